//! The numbers of an evaluation: each file counts what one kind of task needs and
//! turns the counts into the metrics of that task, under Hugging Face's names.

mod classification;
mod entities;
mod metric;
mod multi_label;
mod regression;
mod squad;

pub use classification::ConfusionMatrix;
pub use entities::{EntityMetrics, Scheme, TagSpan, tag_spans};
pub use metric::{Metric, NoMetric};
pub use multi_label::{MultiLabelMetrics, best_threshold, roc_auc};
pub use regression::{RegressionMetrics, pearson, spearman};
pub use squad::SquadMetrics;
pub(crate) use squad::answer_f1;
