//! What happened in a run, as plain data that serialises with Hugging Face's keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::evaluation::Evaluation;
use super::warning::Warning;

/// What a run is going to do; known before its first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// Optimizer steps in all.
    pub total_steps: usize,
    /// Optimizer steps with a rising learning rate.
    pub warmup_steps: usize,
    /// Rows of the training set.
    pub train_samples: usize,
    /// Numbers that training changes.
    pub trainable_parameters: usize,
    /// Numbers that are frozen.
    pub frozen_parameters: usize,
    /// Optimizer steps that an earlier run has made, if this one goes on from there.
    pub resumed_step: usize,
}

/// One optimizer step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepRecord {
    /// Optimizer steps so far, this one included.
    pub step: usize,
    /// Passes over the data so far, with the fraction of the current one.
    pub epoch: f64,
    /// Mean loss: over this step's rows, or in the report's history since the
    /// record before.
    pub loss: f64,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
}

/// One evaluation during training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EvalRecord {
    /// Optimizer steps so far.
    pub step: usize,
    /// Passes over the data so far.
    pub epoch: f64,
    /// `eval_loss`, `eval_accuracy`, …; in JSON, `null` where it is not a number.
    #[serde(flatten, deserialize_with = "numbers")]
    pub metrics: BTreeMap<String, f64>,
}

fn numbers<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let numbers = BTreeMap::<String, Option<f64>>::deserialize(source)?;
    let or_nan = |(name, number): (_, Option<f64>)| (name, number.unwrap_or(f64::NAN));
    Ok(numbers.into_iter().map(or_nan).collect())
}

impl EvalRecord {
    pub(super) fn new(step: usize, epoch: f64, evaluation: &Evaluation) -> Self {
        Self {
            step,
            epoch,
            metrics: evaluation.to_results("eval"),
        }
    }
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogRecord {
    /// The loss and its surroundings since the record before.
    Step(StepRecord),
    /// An evaluation.
    Eval(EvalRecord),
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stopped {
    /// All steps were made.
    Finished,
    /// It had stopped getting better.
    EarlyStopping,
    /// A callback asked for it.
    Callback,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainReport {
    /// What it was going to do.
    pub plan: Plan,
    /// Why it ended.
    pub stopped: Stopped,
    /// Optimizer steps made.
    pub global_step: usize,
    /// Passes over the data made.
    pub epoch: f64,
    /// Mean loss over the whole run.
    pub train_loss: f64,
    /// Duration in seconds, evaluations included.
    pub train_runtime: f64,
    /// Rows seen per second.
    pub train_samples_per_second: f64,
    /// Real tokens seen per second, padding not counted.
    pub train_tokens_per_second: f64,
    /// The best evaluation's number, if there was an evaluation.
    pub best_metric: Option<f64>,
    /// The step of the best evaluation.
    pub best_step: Option<usize>,
    /// Steps that were skipped, by [`OnNotFinite::SkipStep`](crate::OnNotFinite::SkipStep).
    #[serde(default)]
    pub skipped_steps: usize,
    /// How often the run went back to a checkpoint, by
    /// [`OnNotFinite::GoBack`](crate::OnNotFinite::GoBack).
    #[serde(default)]
    pub went_back: usize,
    /// What looked wrong, in the order in which it was found.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Losses and evaluations in order.
    pub log_history: Vec<LogRecord>,
}

impl TrainReport {
    /// The numbers of the run under Hugging Face's names (`epoch`, `train_loss`,
    /// `train_runtime`, `train_samples`, …); `skipped_steps` and `went_back` where there were
    /// such.
    pub fn to_results(&self) -> BTreeMap<String, f64> {
        let numbers = [
            ("epoch", self.epoch),
            ("train_loss", self.train_loss),
            ("train_runtime", self.train_runtime),
            ("train_samples", self.plan.train_samples as f64),
            ("train_samples_per_second", self.train_samples_per_second),
            ("train_tokens_per_second", self.train_tokens_per_second),
        ]
        .into_iter();
        let counts = [
            ("skipped_steps", self.skipped_steps as f64),
            ("went_back", self.went_back as f64),
        ];
        numbers
            .chain(counts.into_iter().filter(|(_, count)| *count > 0.0))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}
