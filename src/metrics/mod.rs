//! The numbers of an evaluation: each file counts what one kind of task needs and
//! turns the counts into the metrics of that task, under Hugging Face's names.

mod classification;
mod metric;

pub use classification::ConfusionMatrix;
pub use metric::{Metric, NoMetric};
