//! Stage 1: text files become examples. No tensors here.

mod blocks;
mod choices;
mod class_names;
mod columns;
mod dataset;
mod decompress;
mod embedding_example;
mod example;
mod format;
mod indexed;
mod json_rows;
mod labels;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod problem_type;
mod quotes;
mod raw_label;
mod records;
mod skipped;
mod split;
mod squad;
mod squad_file;
mod squad_json;
mod table;
mod tag_columns;
pub(crate) mod tag_kinds;
mod tag_layout;
mod tag_lists;
mod tagged;
mod test_rows;

pub use choices::{ChoiceExample, ChoiceFile};
pub use columns::Column;
pub use dataset::{Dataset, Subset};
pub use embedding_example::EmbeddingExample;
pub use example::{Example, Text};
pub use format::{Format, Quoting};
pub use indexed::IndexedTable;
pub use labels::Labels;
pub(crate) use labels::is_unnamed;
pub use skipped::{SkippedRow, SkippedRows};
pub use split::{DevSize, stratified_split, train_dev_split};
pub use squad::{QaExample, QaSpan};
pub use squad_file::SquadFile;
pub use table::Table;
pub use tagged::{TaggedFile, TaggedWords};
