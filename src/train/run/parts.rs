//! Batches in parts: where a budget or the machine's memory is too small for the whole. The
//! rows of a step, and their order, stay the same.

use tch::Device;

use super::{Group, Run};
use crate::checkpoint::hex;
use crate::encode::Pass;
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::FineTuner;
use crate::native;
use crate::train::memory::MemoryPlan;
use crate::train::warning::Warning;

/// Rows of one forward and backward pass.
pub(in crate::train) struct Part {
    rows: Vec<usize>,
    pub(super) ends_batch: bool,
}

impl AsRef<[usize]> for Part {
    fn as_ref(&self) -> &[usize] {
        &self.rows
    }
}

/// A batch in parts of so many rows; the last may be smaller.
fn cut(batch: &[usize], at_once: usize) -> Vec<Part> {
    let last = batch.len().div_ceil(at_once);
    let parts = (1..).zip(batch.chunks(at_once));
    let part = |(number, rows): (usize, &[usize])| Part {
        rows: rows.to_vec(),
        ends_batch: number == last,
    };
    parts.map(part).collect()
}

/// So many rows in the fewest parts of which none is larger than `most`, all but the last of
/// one size.
fn even(rows: usize, most: usize) -> usize {
    rows.div_ceil(rows.div_ceil(most.max(1)).max(1)).max(1)
}

/// What is left of a part after so many halvings.
fn halved(rows: usize, halvings: u32) -> usize {
    (0..halvings).fold(rows, |rows, _| rows.div_ceil(2)).max(1)
}

impl<M: FineTuner> Run<'_, '_, M> {
    /// Whether the lengths of rows decide how batches are cut.
    pub(in crate::train) fn needs_lengths(&self) -> bool {
        self.state.memory.is_some()
    }

    /// Checks that the budget, if there is one, is enough for the longest row alone, or for a
    /// whole batch of such where it must not be cut.
    pub(in crate::train) fn check_memory(&self, lengths: &[u32]) -> Result<()> {
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        let Some(budget) = self.state.memory.filter(|_| !self.has_ended()) else {
            return Ok(());
        };
        let whole = match self.config.tokens_per_batch {
            Some(tokens) => (tokens / longest.max(1)).max(1),
            None => self.config.batch_size,
        };
        let whole = whole.min(lengths.len());
        let (whole, one) = (vec![longest; whole], vec![longest]);
        let of_whole = self.planned(&whole, self.accumulates());
        let (rows, plan) = match self.model.may_split_batches() && whole.len() > 1 {
            true => (one, self.planned(&[longest], true)),
            false => (whole, of_whole),
        };
        match of_whole.peak().min(plan.peak()) > budget {
            true => {
                let problem = format!("`memory` is {} MiB", budget >> 20);
                Err(self.too_little(problem, &rows, plan))
            }
            false => Ok(()),
        }
    }

    /// The batches of a pass in parts, without the first `done` batches.
    pub(in crate::train) fn parts<'p>(
        &self,
        pass: &'p Pass,
        done: usize,
        lengths: &[u32],
    ) -> impl Iterator<Item = Part> + use<'p, M> {
        let sizes = pass.iter().skip(done);
        let sizes: Vec<usize> = match self.state.memory.is_none() && self.state.halvings == 0 {
            true => Vec::new(),
            false => sizes.map(|rows| self.at_once(&rows, lengths)).collect(),
        };
        let sizes = sizes.into_iter().chain(std::iter::repeat(usize::MAX));
        let batches = pass.iter().skip(done).zip(sizes);
        batches.flat_map(|(rows, size)| cut(&rows, size.min(rows.len()).max(1)))
    }

    /// How many rows of a batch are computed at once.
    fn at_once(&self, rows: &[usize], lengths: &[u32]) -> usize {
        let whole = rows.len();
        if !self.model.may_split_batches() {
            return whole;
        }
        let fitting = match self.state.memory {
            // Of a whole batch, so that the last one of a pass is not cut smaller.
            None if self.config.tokens_per_batch.is_none() => {
                self.config.batch_size.min(self.plan.train_samples)
            }
            None => whole,
            Some(budget) => {
                let mut lengths: Vec<usize> =
                    rows.iter().map(|&row| lengths[row] as usize).collect();
                // Each part fits if the one with the longest rows does.
                lengths.sort_unstable_by(|a, b| b.cmp(a));
                let fits = |rows: usize, accumulates| {
                    self.planned(&lengths[..rows], accumulates).peak() <= budget
                };
                match fits(whole, self.accumulates()) {
                    true => whole,
                    false => {
                        let sizes: Vec<usize> = (1..=whole).collect();
                        even(whole, sizes.partition_point(|&rows| fits(rows, true)))
                    }
                }
            }
        };
        halved(fitting, self.state.halvings).min(whole)
    }

    fn accumulates(&self) -> bool {
        self.config.accumulate > 1
    }

    fn planned(&self, lengths: &[usize], accumulates: bool) -> MemoryPlan {
        self.planner.plan(self.model, lengths, accumulates)
    }

    fn too_little(&self, problem: String, lengths: &[usize], plan: MemoryPlan) -> Error {
        Error::OutOfMemory {
            problem,
            rows: lengths.len(),
            longest: lengths.iter().copied().max().unwrap_or(0),
            plan: plan.to_string(),
        }
    }

    /// The generator's state before a step, from which the step can be made again.
    pub(super) fn note_generator(&mut self, device: Device) -> Result<()> {
        if self.group.rows.is_empty() {
            let state = native::generator_state(device);
            self.group.generator = state.doing("reading the random generator")?;
        }
        Ok(())
    }

    /// After `problem` in a part whose rows have these `lengths`: halves the parts, and lets
    /// the pass begin again at the first batch of the step on its way.
    pub(super) fn halve(&mut self, problem: String, part: &Part, lengths: &[usize]) -> Result<()> {
        self.optimizer.zero_grad()?;
        // What the unfinished pass has kept goes.
        let encoder = self.model.backbone().encoder();
        encoder.checkpoint_gradients(self.config.gradient_checkpointing);
        let rows = part.rows.len();
        if rows < 2 || !self.model.may_split_batches() {
            let plan = self.planned(lengths, !part.ends_batch || self.accumulates());
            return Err(self.too_little(problem, lengths, plan));
        }
        let Group {
            batches, generator, ..
        } = std::mem::take(&mut self.group);
        self.state.batches_done -= batches;
        self.state.generator = hex(&generator);
        self.state.halvings += 1;
        self.rewound = true;
        self.warn(Warning::OutOfMemory {
            problem,
            step: self.state.global_step + 1,
            rows: rows.div_ceil(2),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_into_parts_of_which_the_last_ends_it() {
        for rows in 1..40 {
            let batch: Vec<usize> = (100..100 + rows).collect();
            for at_once in 1..=rows {
                let parts = cut(&batch, at_once);
                let all: Vec<usize> = parts.iter().flat_map(|part| part.rows.clone()).collect();
                assert_eq!(all, batch);
                assert!(parts.iter().all(|part| part.rows.len() <= at_once));
                let ends: Vec<bool> = parts.iter().map(|part| part.ends_batch).collect();
                assert_eq!(ends.iter().filter(|&&ends| ends).count(), 1);
                assert_eq!(ends.last(), Some(&true));
            }
        }
    }

    #[test]
    fn parts_are_even_and_halves_end_at_one_row() {
        assert_eq!([even(32, 32), even(32, 31), even(32, 12)], [32, 16, 11]);
        assert_eq!([even(5, 0), even(0, 3), even(7, 6)], [1, 1, 4]);
        assert_eq!([halved(8, 0), halved(8, 1), halved(7, 1)], [8, 4, 4]);
        assert_eq!([halved(7, 2), halved(7, 3), halved(7, 63)], [2, 1, 1]);
    }
}
