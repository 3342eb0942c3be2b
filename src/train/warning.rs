//! What looks wrong in a run though nothing has failed, and how it is noticed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that looks wrong in a run. It is logged when it is found, and stands in the
/// report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// All rows of the training set have the same label.
    OneLabel {
        /// The label, as it prints.
        label: String,
        /// How many rows were looked at; see
        /// [`TrainConfig::check_data`](crate::TrainConfig::check_data).
        rows: usize,
    },
    /// Rows of the training set stand in the development set too, at least one for each
    /// hundred rows there.
    TrainRowsInDev {
        /// How many of the rows that were looked at.
        rows: usize,
        /// The first of them, from 0.
        first: usize,
        /// How many rows of the training set were looked at; see
        /// [`TrainConfig::check_data`](crate::TrainConfig::check_data).
        looked_at: usize,
    },
    /// The loss did not fall in the first epoch, in which there were at least 20 steps.
    LossDidNotFall {
        /// Mean loss of the first half of the epoch's steps.
        first_half: f64,
        /// Mean loss of the second half.
        second_half: f64,
    },
    /// The loss was 0 in all steps.
    NothingToLearn,
    /// In the second half of a run, an evaluation predicted the same for all rows, at least
    /// 20, though their classes differ. The first such evaluation.
    OnePrediction {
        /// Optimizer steps so far.
        step: usize,
        /// What was predicted.
        prediction: String,
    },
    /// A step was skipped, since its loss or its gradient was not finite.
    SkippedStep {
        /// The error that would have ended the run.
        problem: String,
    },
    /// Memory was too small for a part of a batch; from this step on, batches are computed in
    /// parts of half the size, with the same rows in each step.
    OutOfMemory {
        /// libtorch's own words.
        problem: String,
        /// The step that was made again.
        step: usize,
        /// Rows of such a part now.
        rows: usize,
    },
    /// The run went back to a checkpoint for the same reason.
    WentBack {
        /// The error that would have ended the run.
        problem: String,
        /// The step of the checkpoint.
        to_step: usize,
        /// What the learning rate is multiplied by from there on.
        rate_factor: f64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneLabel { label, rows } => write!(
                f,
                "all training rows have the label `{label}` ({rows} were looked at)"
            ),
            Self::TrainRowsInDev {
                rows,
                first,
                looked_at,
            } => write!(
                f,
                "{rows} of {looked_at} training rows stand in the development set too, the \
                 first is row {first}"
            ),
            Self::LossDidNotFall {
                first_half,
                second_half,
            } => write!(
                f,
                "the loss did not fall in the first epoch: {first_half:.4} in its first half, \
                 {second_half:.4} in its second"
            ),
            Self::NothingToLearn => {
                write!(f, "the loss was 0 in all steps: there was nothing to learn")
            }
            Self::OnePrediction { step, prediction } => write!(
                f,
                "in the evaluation after step {step}, `{prediction}` was predicted for all rows"
            ),
            Self::SkippedStep { problem } => write!(f, "{problem}: the step was skipped"),
            Self::OutOfMemory {
                problem,
                step,
                rows,
            } => write!(
                f,
                "{problem}: batches are computed in parts of half the size from step {step} on, \
                 {rows} rows at once"
            ),
            Self::WentBack {
                problem,
                to_step,
                rate_factor,
            } => write!(
                f,
                "{problem}: going back to step {to_step}, with {rate_factor} times the learning \
                 rate"
            ),
        }
    }
}

/// Fewer steps say nothing of an epoch.
const LEAST_STEPS: usize = 20;

/// The losses of the first epoch's steps, as sums over each half of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FirstEpoch {
    halves: [Half; 2],
    judged: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Half {
    steps: usize,
    sum: f64,
    squares: f64,
}

impl Half {
    fn mean(&self) -> f64 {
        self.sum / self.steps as f64
    }

    /// The squared standard error of the mean.
    fn error(&self) -> f64 {
        let steps = self.steps as f64;
        let spread = self.squares / steps - self.mean() * self.mean();
        spread.max(0.0) / (steps - 1.0)
    }
}

impl FirstEpoch {
    /// Takes in the loss of step `step`, from 1, of the first epoch's `steps`.
    pub(super) fn add(&mut self, step: usize, steps: usize, loss: f64) {
        if step <= steps {
            let half = &mut self.halves[usize::from(2 * step > steps)];
            half.steps += 1;
            half.sum += loss;
            half.squares += loss * loss;
        }
    }

    /// Once, after the last step of the epoch: whether the loss has not fallen. A fall that
    /// is less than what the means of the halves vary by chance is none.
    pub(super) fn judge(&mut self, step: usize, steps: usize) -> Option<Warning> {
        if step < steps || std::mem::replace(&mut self.judged, true) {
            return None;
        }
        let [first, second] = &self.halves;
        if first.steps + second.steps < LEAST_STEPS || first.steps < 2 || second.steps < 2 {
            return None;
        }
        let fall = first.mean() - second.mean();
        let chance = (first.error() + second.error()).sqrt();
        // A loss of 0 has nowhere to fall to.
        (fall <= chance && second.mean() != 0.0).then(|| Warning::LossDidNotFall {
            first_half: first.mean(),
            second_half: second.mean(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(losses: &[f64]) -> bool {
        let (mut epoch, steps) = (FirstEpoch::default(), losses.len());
        let verdicts = (1..).zip(losses).map(|(step, &loss)| {
            epoch.add(step, steps, loss);
            epoch.judge(step, steps).is_some()
        });
        let verdicts: Vec<bool> = verdicts.collect();
        assert!(!verdicts[..steps - 1].contains(&true));
        assert!(epoch.judge(steps, steps).is_none(), "judged twice");
        verdicts[steps - 1]
    }

    /// Losses that fall from 0.7 by `fall` in all, with noise.
    fn losses(steps: usize, fall: f64) -> Vec<f64> {
        let noise = |step: usize| (step * 7919 % 97) as f64 / 97.0 - 0.5;
        let at = |step| 0.7 - fall * step as f64 / steps as f64 + 0.1 * noise(step);
        (0..steps).map(at).collect()
    }

    #[test]
    fn a_loss_that_stays_or_rises_is_told_from_one_that_falls() {
        for steps in [20, 75, 1000] {
            assert!(judged(&losses(steps, 0.0)), "{steps} steps without a fall");
            assert!(judged(&losses(steps, -0.2)), "{steps} steps up");
            assert!(!judged(&losses(steps, 0.2)), "{steps} steps down");
        }
        assert!(!judged(&losses(1000, 0.02)), "a small fall over many steps");
        assert!(!judged(&losses(19, -0.2)), "too few steps to judge");
        assert!(!judged(&[0.0; 50]), "a loss of 0");
    }
}
