//! The order of a pass over the data: a pure function of the settings, the rows'
//! lengths, the seed and the epoch, so that a run can be repeated, or resumed at any
//! batch, from numbers alone.

use std::cmp::Reverse;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Batches' worth of rows among which rows of like length are brought together: so
/// many that batches hold little padding, so few that epochs differ.
const WINDOW: usize = 50;

/// Cuts a data set into batches of row indexes; each row is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    order: Order,
    batch_size: usize,
    tokens_per_batch: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Sequential,
    LongestFirst,
    Shuffled { seed: u64 },
    Grouped { seed: u64 },
}

impl Sampler {
    /// Batches of `batch_size` rows in the order of the data; the last one may be
    /// smaller.
    pub fn sequential(batch_size: usize) -> Self {
        Self::new(Order::Sequential, batch_size)
    }

    /// From the longest row to the shortest: with the least padding, and if the
    /// memory is too small, it shows at once.
    pub fn longest_first(batch_size: usize) -> Self {
        Self::new(Order::LongestFirst, batch_size)
    }

    /// In a new random order for each epoch.
    pub fn shuffled(batch_size: usize, seed: u64) -> Self {
        Self::new(Order::Shuffled { seed }, batch_size)
    }

    /// In a new random order for each epoch, with rows of like length in the same
    /// batch. The batch with the longest row comes first.
    pub fn grouped(batch_size: usize, seed: u64) -> Self {
        Self::new(Order::Grouped { seed }, batch_size)
    }

    fn new(order: Order, batch_size: usize) -> Self {
        Self {
            order,
            batch_size,
            tokens_per_batch: None,
        }
    }

    /// Ends a batch before it would hold more than so many tokens, padding counted,
    /// instead of at a number of rows. A longer row is a batch of its own.
    pub fn tokens_per_batch(mut self, tokens: usize) -> Self {
        self.tokens_per_batch = Some(tokens);
        self
    }

    /// Whether the batches depend on the rows' lengths, not on their number alone.
    pub fn needs_lengths(&self) -> bool {
        let by_length = matches!(self.order, Order::LongestFirst | Order::Grouped { .. });
        by_length || self.tokens_per_batch.is_some()
    }

    /// The batches of one pass over rows of the given lengths in tokens. Where
    /// [`needs_lengths`](Self::needs_lengths) is false, only their number counts.
    ///
    /// # Panics
    /// When the batch size is 0.
    pub fn batches(&self, lengths: &[usize], epoch: usize) -> Vec<Vec<usize>> {
        let mut rows: Vec<usize> = (0..lengths.len()).collect();
        match self.order {
            Order::Sequential => self.cut(&rows, lengths),
            Order::LongestFirst => {
                rows.sort_by_key(|&row| Reverse(lengths[row]));
                self.cut(&rows, lengths)
            }
            Order::Shuffled { seed } => {
                rows.shuffle(&mut generator(seed, epoch));
                self.cut(&rows, lengths)
            }
            Order::Grouped { seed } => {
                let mut generator = generator(seed, epoch);
                rows.shuffle(&mut generator);
                // The sort is stable: rows of the same length stay shuffled.
                for window in rows.chunks_mut(WINDOW * self.batch_size) {
                    window.sort_by_key(|&row| Reverse(lengths[row]));
                }
                let mut batches = self.cut(&rows, lengths);
                batches.shuffle(&mut generator);
                let longest = |batch: &Vec<usize>| batch.iter().map(|&row| lengths[row]).max();
                let first = (0..batches.len()).max_by_key(|&i| (longest(&batches[i]), Reverse(i)));
                if let Some(first) = first {
                    batches.swap(0, first);
                }
                batches
            }
        }
    }

    fn cut(&self, rows: &[usize], lengths: &[usize]) -> Vec<Vec<usize>> {
        let Some(budget) = self.tokens_per_batch else {
            return rows
                .chunks(self.batch_size)
                .map(<[usize]>::to_vec)
                .collect();
        };
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut longest = 0;
        for &row in rows {
            longest = longest.max(lengths[row]);
            match batches.last_mut() {
                Some(batch) if (batch.len() + 1) * longest <= budget => batch.push(row),
                _ => {
                    longest = lengths[row];
                    batches.push(vec![row]);
                }
            }
        }
        batches
    }
}

fn generator(seed: u64, epoch: usize) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(seed, epoch as u64))
}

/// One seed out of two numbers, such that neighbours have nothing in common
/// (splitmix64's finalizer: Steele, Lea and Flood 2014).
pub(crate) fn mix(seed: u64, stream: u64) -> u64 {
    let mut z = seed.wrapping_add((stream + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Sampler; 8] {
        let samplers = [
            Sampler::sequential(4),
            Sampler::longest_first(4),
            Sampler::shuffled(4, 7),
            Sampler::grouped(4, 7),
        ];
        let [a, b, c, d] = samplers.map(|sampler| sampler.tokens_per_batch(40));
        let [e, f, g, h] = samplers;
        [a, b, c, d, e, f, g, h]
    }

    /// Rows of 3 to 32 tokens.
    fn lengths(rows: usize) -> Vec<usize> {
        (0..rows).map(|row| 3 + row * 7919 % 30).collect()
    }

    fn padded(batches: &[Vec<usize>], lengths: &[usize]) -> usize {
        let longest = |batch: &[usize]| batch.iter().map(|&row| lengths[row]).max();
        batches
            .iter()
            .map(|batch| batch.len() * longest(batch).unwrap_or(0))
            .sum()
    }

    #[test]
    fn every_row_comes_once_and_the_last_small_batch_is_used() {
        for sampler in all() {
            for rows in [0, 1, 9, 1001] {
                let mut seen = sampler.batches(&lengths(rows), 3).concat();
                seen.sort_unstable();
                assert_eq!(seen, (0..rows).collect::<Vec<_>>(), "{sampler:?}");
            }
        }
        let sizes = |sampler: Sampler| -> Vec<usize> {
            sampler
                .batches(&lengths(10), 0)
                .iter()
                .map(Vec::len)
                .collect()
        };
        assert_eq!(sizes(Sampler::sequential(4)), [4, 4, 2]);
        assert_eq!(sizes(Sampler::shuffled(4, 7)), [4, 4, 2]);
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_alone() {
        for make in [Sampler::shuffled, Sampler::grouped] {
            let order = |seed, epoch| make(8, seed).batches(&lengths(100), epoch);
            assert_eq!(order(1, 0), order(1, 0));
            assert_ne!(order(1, 0), order(1, 1));
            assert_ne!(order(1, 0), order(2, 0));
        }
    }

    #[test]
    fn the_order_is_the_same_on_every_platform() {
        // What this code gave when it was written; a change would alter every run.
        let batches = Sampler::shuffled(8, 42).batches(&[0; 8], 0);
        assert_eq!(batches, [[0, 5, 1, 6, 4, 2, 7, 3]]);
    }

    #[test]
    fn grouping_saves_padding_and_starts_with_the_longest_row() {
        let lengths = lengths(1000);
        let shuffled = Sampler::shuffled(8, 1).batches(&lengths, 0);
        let grouped = Sampler::grouped(8, 1).batches(&lengths, 0);
        let real: usize = lengths.iter().sum();
        assert!(padded(&shuffled, &lengths) as f64 > 1.5 * real as f64);
        assert!((padded(&grouped, &lengths) as f64) < 1.1 * real as f64);
        assert!(grouped[0].iter().any(|&row| lengths[row] == 32));
        let sorted = |batches: &[Vec<usize>]| batches.is_sorted_by_key(|b| Reverse(lengths[b[0]]));
        assert!(!sorted(&grouped), "the batches are not shuffled");
    }

    #[test]
    fn no_batch_goes_over_the_budget_unless_one_row_does() {
        let lengths = lengths(1000);
        for budget in [10, 100, 10_000] {
            for sampler in all().map(|sampler| sampler.tokens_per_batch(budget)) {
                for batch in sampler.batches(&lengths, 0) {
                    let tokens = padded(std::slice::from_ref(&batch), &lengths);
                    assert!(tokens <= budget || batch.len() == 1, "{sampler:?}");
                }
            }
        }
        let whole = Sampler::longest_first(1).tokens_per_batch(1_000_000);
        assert_eq!(whole.batches(&lengths, 0).len(), 1);
    }
}
