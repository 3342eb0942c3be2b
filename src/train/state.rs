//! How far a run has come: all that changes from step to step besides weights and
//! moments, as plain data. It is `trainer_state.json` of a checkpoint, with Hugging
//! Face's keys where it has such.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::best::BestRecord;
use super::report::{LogRecord, Stopped};
use super::warning::{FirstEpoch, Warning};
use crate::error::{Error, Result};

/// The state of a run after an optimizer step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunState {
    pub(super) global_step: usize,
    /// Steps of the whole run.
    pub(super) max_steps: usize,
    /// Passes over the data, with the fraction of the current one.
    pub(super) epoch: f64,
    pub(super) best: BestRecord,
    pub(super) log_history: Vec<LogRecord>,
    /// Whole passes over the data.
    pub(super) epochs_done: usize,
    /// Batches of the current pass.
    pub(super) batches_done: usize,
    /// The step of the last evaluation.
    pub(super) evaluated_at: Option<usize>,
    pub(super) stopped: Option<Stopped>,
    /// Seconds that the run has taken.
    pub(super) runtime: f64,
    pub(super) seen: Totals,
    /// What was seen since the last record of the log.
    pub(super) unlogged: Totals,
    /// State of libtorch's generator, in hexadecimal digits.
    pub(super) generator: String,
    /// Steps in which the weights were left as they were.
    #[serde(default)]
    pub(super) skipped_steps: usize,
    /// How often the run has gone back to a checkpoint.
    #[serde(default)]
    pub(super) went_back: usize,
    /// The step of the last checkpoint that an interrupt has not made.
    #[serde(default)]
    pub(super) back_to: Option<usize>,
    /// Bytes that training may take.
    #[serde(default)]
    pub(super) memory: Option<u64>,
    /// How often the parts of batches were halved.
    #[serde(default)]
    pub(super) halvings: u32,
    #[serde(default)]
    pub(super) first_epoch: FirstEpoch,
    #[serde(default)]
    pub(super) warnings: Vec<Warning>,
}

/// Sums over batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Totals {
    pub(super) loss: f64,
    pub(super) count: f64,
    pub(super) rows: usize,
    pub(super) tokens: usize,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.count += other.count;
        self.rows += other.rows;
        self.tokens += other.tokens;
    }

    /// The loss of one row or token; 0 where nothing had a label.
    pub(super) fn mean_loss(&self) -> f64 {
        match self.count {
            0.0 => 0.0,
            count => self.loss / count,
        }
    }
}

/// More halvings than these leave one row of any batch.
const MOST_HALVINGS: usize = 32;

/// Counts are at most 2^53, as in all JSON that others read.
pub(super) const MOST_COUNT: usize = 1 << 53;

impl RunState {
    /// Checks what a run relies on to come to its end: the state of the checkpoint of
    /// `step` in the file at `path`.
    pub(super) fn check(&self, step: usize, path: &Path) -> Result<()> {
        let problem = |problem: String| {
            let path = path.to_owned();
            Err(Error::File { path, problem })
        };
        if self.global_step != step {
            let found = self.global_step;
            return problem(format!(
                "`global_step` is {found} in the checkpoint of step {step}"
            ));
        }
        // Else the step after the last one would be made, and the one after that.
        if self.batches_done == 0 && step > 0 {
            return problem("`batches_done` is 0, but this checkpoint is of a step".to_owned());
        }
        let Totals { rows, tokens, .. } = self.seen;
        let counts = [
            ("global_step", self.global_step, self.max_steps),
            ("max_steps", self.max_steps, MOST_COUNT),
            // Each pass has a step.
            ("epochs_done", self.epochs_done, self.global_step),
            ("batches_done", self.batches_done, MOST_COUNT),
            (
                "best.stale_evaluations",
                self.best.stale_evaluations,
                MOST_COUNT,
            ),
            ("seen.rows", rows, MOST_COUNT),
            ("seen.tokens", tokens, MOST_COUNT),
            ("halvings", self.halvings as usize, MOST_HALVINGS),
            ("unlogged.rows", self.unlogged.rows, rows),
            ("unlogged.tokens", self.unlogged.tokens, tokens),
        ];
        match counts.iter().find(|(_, count, most)| count > most) {
            Some((name, count, most)) => problem(format!(
                "`{name}` is {count}, but cannot be more than {most}"
            )),
            None => Ok(()),
        }
    }

    pub(super) fn generator_bytes(&self) -> Result<Vec<u8>> {
        let rule = "bytes as hexadecimal digits";
        let problem = || Error::config("generator", rule, "something else");
        bytes_of_hex(&self.generator).ok_or_else(problem)
    }
}

/// The bytes that hexadecimal digits stand for; `None` if they are not such.
fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |place: usize| char::from(digits.as_bytes()[place]).to_digit(16);
    (0..digits.len())
        .step_by(2)
        .map(|place| {
            let (high, low) = (
                digit(place)?,
                (place + 1 < digits.len()).then_some(place + 1)?,
            );
            Some((high * 16 + digit(low)?) as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::hex;

    #[test]
    fn bytes_survive_hexadecimal_digits() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes_of_hex(&hex(&bytes)), Some(bytes));
        for wrong in ["0", "0g", "é", "+1"] {
            assert_eq!(bytes_of_hex(wrong), None, "{wrong}");
        }
    }
}
