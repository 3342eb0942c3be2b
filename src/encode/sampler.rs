//! The order of a pass over the data: a pure function of the settings, the rows'
//! lengths, the seed and the epoch, so that a run can be repeated, or resumed at any
//! batch, from numbers alone.

use std::cmp::Reverse;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Most batches' worth of rows among which rows of like length are brought together: so
/// many that batches hold little padding, so few that epochs differ.
const MOST_IN_WINDOW: usize = 50;

/// Least windows of a pass, where there are rows for them: else the same rows would share a batch
/// in each epoch.
const LEAST_WINDOWS: usize = 4;

/// Rows of the largest data set: their indexes take half the memory of `usize`.
pub(crate) const MOST_ROWS: usize = u32::MAX as usize;

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
    /// When the batch size is 0, or there are more than 4,294,967,295 rows.
    pub fn batches(&self, lengths: &[usize], epoch: usize) -> Vec<Vec<usize>> {
        let lengths: Vec<u32> = lengths.iter().map(|&length| compact(length)).collect();
        self.pass(&lengths, epoch).iter().collect()
    }

    /// The same, in a fraction of the memory.
    pub(crate) fn pass(&self, lengths: &[u32], epoch: usize) -> Pass {
        assert!(self.batch_size > 0, "the batch size is 0");
        assert!(lengths.len() <= MOST_ROWS, "more than {MOST_ROWS} rows");
        let mut rows: Vec<u32> = (0..lengths.len() as u32).collect();
        let length = |row: u32| lengths[row as usize];
        match self.order {
            Order::Sequential => self.cut(rows, length),
            Order::LongestFirst => {
                rows.sort_by_key(|&row| Reverse(length(row)));
                self.cut(rows, length)
            }
            Order::Shuffled { seed } => {
                rows.shuffle(&mut generator(seed, epoch));
                self.cut(rows, length)
            }
            Order::Grouped { seed } => {
                let mut generator = generator(seed, epoch);
                rows.shuffle(&mut generator);
                self.sort_windows(&mut rows, length);
                let Pass { rows, mut batches } = self.cut(rows, length);
                batches.shuffle(&mut generator);
                let longest = |i: usize| {
                    let [start, end] = batches[i];
                    let batch = &rows[start as usize..end as usize];
                    batch.iter().map(|&row| length(row)).max()
                };
                let first = (0..batches.len()).max_by_key(|&i| (longest(i), Reverse(i)));
                if let Some(first) = first {
                    batches.swap(0, first);
                }
                Pass { rows, batches }
            }
        }
    }

    /// Brings rows of like length together, in windows as those of transformers'
    /// `get_length_grouped_indices`.
    fn sort_windows(&self, rows: &mut [u32], length: impl Fn(u32) -> u32) {
        let batches = rows.len() / self.batch_size.saturating_mul(LEAST_WINDOWS);
        let batches = batches.clamp(1, MOST_IN_WINDOW);
        for window in rows.chunks_mut(batches.saturating_mul(self.batch_size)) {
            // The sort is stable: rows of the same length stay shuffled.
            window.sort_by_key(|&row| Reverse(length(row)));
        }
    }

    /// The number of batches of a pass.
    pub(crate) fn count(&self, lengths: &[u32], epoch: usize) -> usize {
        match self.tokens_per_batch {
            None => lengths.len().div_ceil(self.batch_size),
            Some(_) => self.pass(lengths, epoch).batches.len(),
        }
    }

    fn cut(&self, rows: Vec<u32>, length: impl Fn(u32) -> u32) -> Pass {
        let mut batches: Vec<[u32; 2]> = Vec::new();
        let mut longest = 0;
        for (&row, place) in rows.iter().zip(0_u32..) {
            longest = longest.max(length(row));
            match batches.last_mut() {
                Some([start, end]) if self.has_room((place - *start) as usize, longest) => {
                    *end = place + 1;
                }
                _ => {
                    longest = length(row);
                    batches.push([place, place + 1]);
                }
            }
        }
        Pass { rows, batches }
    }

    /// Whether a batch of so many rows takes another, the longest then being `longest`.
    fn has_room(&self, rows: usize, longest: u32) -> bool {
        match self.tokens_per_batch {
            None => rows < self.batch_size,
            Some(budget) => (rows + 1).saturating_mul(longest as usize) <= budget,
        }
    }
}

/// The batches of one pass, in four bytes a row and eight a batch.
pub(crate) struct Pass {
    /// All rows, batch by batch.
    rows: Vec<u32>,
    /// Where each batch starts and ends among them.
    batches: Vec<[u32; 2]>,
}

impl Pass {
    /// The number of batches.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The rows of each batch.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Vec<usize>> {
        let batches = self.batches.iter();
        batches.map(|&[start, end]| {
            let rows = &self.rows[start as usize..end as usize];
            rows.iter().map(|&row| row as usize).collect()
        })
    }
}

/// A length for [`Sampler::pass`]; so long a row fills a batch in any case.
pub(crate) fn compact(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
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
    fn the_number_of_batches_is_known_beforehand() {
        for sampler in all() {
            for rows in [0, 1, 8, 9, 1001] {
                let lengths: Vec<u32> = lengths(rows).into_iter().map(compact).collect();
                let pass = sampler.pass(&lengths, 2);
                assert_eq!(sampler.count(&lengths, 2), pass.len(), "{sampler:?}");
            }
        }
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
        let batches = Sampler::grouped(2, 42).batches(&[3, 9, 4, 9, 5, 6, 9, 3], 1);
        assert_eq!(batches, [[6, 5], [4, 2], [3, 1], [7, 0]]);
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

    /// tests/data/encode/make_windows.py
    #[test]
    fn windows_are_those_of_transformers() {
        #[derive(serde::Deserialize)]
        struct Case {
            batch_size: usize,
            lengths: Vec<u32>,
            order: Vec<u32>,
        }
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/encode/windows.json"
        );
        let text = std::fs::read_to_string(path).expect("the reference");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("JSON");
        assert!(cases.len() > 5);
        for case in cases {
            let mut rows: Vec<u32> = (0..case.lengths.len() as u32).collect();
            let sampler = Sampler::grouped(case.batch_size, 0);
            sampler.sort_windows(&mut rows, |row| case.lengths[row as usize]);
            assert_eq!(rows, case.order, "{} rows", rows.len());
        }
    }

    #[test]
    fn a_batch_of_all_rows_may_be_asked_for() {
        for size in [
            usize::MAX,
            usize::MAX / 50 + 1,
            usize::MAX / 2 + 1,
            usize::MAX / 4 + 1,
        ] {
            for make in [Sampler::shuffled, Sampler::grouped] {
                assert_eq!(make(size, 1).batches(&[3, 4, 5], 0)[0].len(), 3);
            }
            let lengths = [3, 4];
            assert_eq!(Sampler::longest_first(size).batches(&lengths, 0), [[1, 0]]);
            let by_tokens = Sampler::grouped(size, 1).tokens_per_batch(usize::MAX);
            assert_eq!(by_tokens.batches(&lengths, 0)[0].len(), 2);
        }
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
