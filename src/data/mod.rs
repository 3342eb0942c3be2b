//! Stage 1: text files become examples. No tensors here.

mod blocks;
mod columns;
mod dataset;
mod decompress;
mod example;
mod format;
mod indexed;
mod labels;
mod lines;
mod records;
mod split;
mod table;

pub use columns::Column;
pub use dataset::{Dataset, Subset};
pub use example::{Example, Text};
pub use format::Format;
pub use indexed::IndexedTable;
pub use labels::Labels;
pub use split::{DevSize, stratified_split, train_dev_split};
pub use table::Table;
