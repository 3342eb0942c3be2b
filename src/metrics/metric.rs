//! The contract between a task's numbers and the loop that collects them.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::error::Result;

/// Numbers of an evaluation, collected batch by batch: it keeps counts, never the
/// logits of a whole data set.
pub trait Metric<T> {
    /// Takes in the logits of one batch and what they should have been.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    fn update(&mut self, logits: &Tensor, target: &T) -> Result<()>;

    /// The numbers so far, by the names that Hugging Face uses, without a prefix
    /// (`accuracy`, `f1`, …).
    fn compute(&self) -> BTreeMap<String, f64>;

    /// What was predicted for all rows, if that was the same for all and should not have
    /// been; by default unknown.
    fn one_prediction(&self) -> Option<String> {
        None
    }
}

/// No numbers: an evaluation then reports the loss alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMetric;

impl<T> Metric<T> for NoMetric {
    fn update(&mut self, _logits: &Tensor, _target: &T) -> Result<()> {
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}
