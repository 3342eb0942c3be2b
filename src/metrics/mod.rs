//! The numbers of an evaluation: each file counts what one kind of task needs and
//! turns the counts into the metrics of that task, under Hugging Face's names.

mod bleu;
mod classification;
mod entities;
mod metric;
mod multi_label;
mod regression;
mod rouge;
mod sari;
mod squad;
mod words;

pub use bleu::Bleu;
pub use classification::ConfusionMatrix;
pub use entities::{EntityMetrics, Scheme, TagSpan, tag_spans};
pub use metric::{Metric, NoMetric};
pub use multi_label::{MultiLabelMetrics, best_threshold, roc_auc};
pub use regression::{RegressionMetrics, pearson, spearman};
pub use rouge::RougeL;
pub use sari::Sari;
pub use squad::SquadMetrics;
pub(crate) use squad::answer_f1;
