//! The best evaluation so far: its number, its weights, and how long ago it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::config::EarlyStopping;
use crate::error::{Result, TorchContext};

/// Watches one number over the evaluations of a run.
pub(super) struct Best {
    less_is_better: bool,
    early_stopping: Option<EarlyStopping>,
    keep_weights: bool,
    record: BestRecord,
    weights: Option<BTreeMap<String, Tensor>>,
}

/// What is known of the best evaluation so far, but for the weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BestRecord {
    pub(super) metric: Option<f64>,
    pub(super) global_step: Option<usize>,
    /// Evaluations since the last one that counts as better for early stopping.
    pub(super) stale_evaluations: usize,
}

impl Best {
    pub(super) fn new(
        less_is_better: bool,
        early_stopping: Option<EarlyStopping>,
        keep_weights: bool,
    ) -> Self {
        Self {
            less_is_better,
            early_stopping,
            keep_weights,
            record: BestRecord::default(),
            weights: None,
        }
    }

    pub(super) fn record(&self) -> BestRecord {
        self.record
    }

    /// The step whose weights are put back in the end, if any are.
    pub(super) fn step_to_restore(&self) -> Option<usize> {
        self.record.global_step.filter(|_| self.keep_weights)
    }

    /// Goes on from an earlier record; `weights` are those of its best step.
    pub(super) fn resume(&mut self, record: BestRecord, weights: Option<BTreeMap<String, Tensor>>) {
        (self.record, self.weights) = (record, weights);
    }

    /// Takes in an evaluation; returns whether it is the best so far. Of equals,
    /// the first is the best.
    pub(super) fn offer(
        &mut self,
        value: f64,
        step: usize,
        weights: &BTreeMap<String, Tensor>,
    ) -> Result<bool> {
        let gain = match self.record.metric {
            // Such a number says nothing, and JSON has no word for it.
            _ if !value.is_finite() => 0.0,
            Some(best) if self.less_is_better => best - value,
            Some(best) => value - best,
            None => f64::INFINITY,
        };
        let weights = (gain > 0.0 && self.keep_weights).then(|| copies(weights));
        let weights = weights.transpose()?;
        let threshold = self.early_stopping.map_or(0.0, |stop| stop.threshold);
        if gain > threshold {
            self.record.stale_evaluations = 0;
        } else {
            self.record.stale_evaluations += 1;
        }
        // The last evaluation's weights are the model's own until it trains on.
        if gain > 0.0 {
            self.record.metric = Some(value);
            self.record.global_step = Some(step);
            self.weights = weights;
        }
        Ok(gain > 0.0)
    }

    /// Whether the run has stopped getting better.
    pub(super) fn is_stale(&self) -> bool {
        self.early_stopping
            .is_some_and(|stop| self.record.stale_evaluations >= stop.patience)
    }

    /// Puts the best weights back.
    pub(super) fn restore(&self, weights: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, kept) in self.weights.iter().flatten() {
            let mut weight = weights[name].shallow_clone();
            tch::no_grad(|| weight.f_copy_(kept)).doing("restoring the best weights")?;
        }
        Ok(())
    }
}

/// Copies that later steps do not change, in the CPU's memory: a GPU that is full has no room for
/// them.
pub(super) fn copies(weights: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let _no_grad = tch::no_grad_guard();
    let copy = |tensor: &Tensor| match tensor.device() {
        Device::Cpu => tensor.f_detach_copy(),
        _ => tensor.f_detach()?.f_to_device(Device::Cpu),
    };
    weights
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), copy(tensor).doing("copying weights")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best_steps(less_is_better: bool, values: &[f64]) -> Vec<usize> {
        let mut best = Best::new(less_is_better, None, false);
        let weights = BTreeMap::new();
        let offers = values.iter().enumerate();
        offers
            .filter_map(|(step, &value)| {
                best.offer(value, step, &weights)
                    .expect("no weights")
                    .then_some(step)
            })
            .collect()
    }

    #[test]
    fn more_accuracy_and_less_loss_are_better_and_ties_are_not() {
        assert_eq!(best_steps(false, &[0.5, 0.7, 0.7, 0.6, 0.8]), [0, 1, 4]);
        assert_eq!(best_steps(true, &[0.5, 0.7, 0.4, 0.4]), [0, 2]);
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        assert_eq!(best_steps(true, &[infinite, nan, 0.7, -infinite]), [2]);
    }

    #[test]
    fn early_stopping_counts_evaluations_without_enough_gain() {
        let stop = EarlyStopping {
            patience: 2,
            threshold: 0.1,
        };
        let mut best = Best::new(false, Some(stop), false);
        let mut stale = Vec::new();
        for (step, value) in [0.5, 0.55, 0.7, 0.71, 0.72].into_iter().enumerate() {
            best.offer(value, step, &BTreeMap::new())
                .expect("no weights");
            stale.push(best.is_stale());
        }
        assert_eq!(stale, [false, false, false, false, true]);
    }
}
