//! Batches in order, each made on another thread while the one before it is in
//! use, and handed over on the model's device.

use std::sync::mpsc::sync_channel;
use std::thread;

use tch::Device;

use super::batch::Batch;
use super::collator::Collator;
use super::sampler::{MOST_ROWS, compact, mix};
use crate::data::Dataset;
use crate::error::{Error, Result};

/// Batches that may wait, made, for the consumer.
const AHEAD: usize = 2;

/// Rows that are in memory at a time while lengths are counted: enough for all cores.
const CHUNK: usize = 1024;

/// Calls `consume` with the row indexes and the batch, for each of `batches` (their row indexes)
/// in order, until it returns an error or `false`. What the collator draws depends on `seed`
/// and the row.
///
/// # Errors
/// The first error of the data set, the collator or `consume`; a row of an
/// [`Error::Row`] is its index in the data set.
pub(crate) fn load<C: Collator, R: AsRef<[usize]> + Send>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    batches: impl Iterator<Item = R> + Send,
    seed: u64,
    device: Device,
    mut consume: impl FnMut(&R, Batch<C::Target>) -> Result<bool>,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let producer = scope.spawn(move || {
            for rows in batches {
                // An error of sending means that the consumer has stopped.
                let made = make(dataset, collator, rows.as_ref(), seed);
                let failed = made.is_err();
                if sender.send(made.map(|made| (rows, made))).is_err() || failed {
                    return;
                }
            }
        });
        let mut consume_all = || {
            // Nothing comes any more when the producer is done, or has died.
            while let Ok(made) = receiver.recv() {
                let (rows, batch) = made?;
                if !consume(&rows, batch.to_device(device)?)? {
                    break;
                }
            }
            Ok(())
        };
        let consumed = consume_all();
        drop(receiver);
        let produced = producer.join().map_err(|_| Error::Worker {
            doing: "making batches",
        });
        consumed.and(produced)
    })
}

/// The length of each row in tokens, for [`Sampler::pass`](super::Sampler); zeros where they
/// are not needed, so that no row is read.
pub(crate) fn lengths<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    are_needed: bool,
) -> Result<Vec<u32>> {
    let count = dataset.len();
    if count > MOST_ROWS {
        let rule = format!("of at most {MOST_ROWS} rows");
        return Err(Error::config("data set", rule, count));
    }
    if !are_needed {
        return Ok(vec![0; count]);
    }
    // Elsewhere, as batches are, so that a panic is an error here too.
    thread::scope(|scope| {
        let counted = scope.spawn(|| count_tokens(dataset, collator));
        let counted = counted.join().map_err(|_| Error::Worker {
            doing: "counting tokens",
        });
        counted?
    })
}

fn count_tokens<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
) -> Result<Vec<u32>> {
    let count = dataset.len();
    let mut lengths = Vec::with_capacity(count);
    for start in (0..count).step_by(CHUNK) {
        let rows: Vec<usize> = (start..count.min(start + CHUNK)).collect();
        let of_chunk = collator.lengths(&items(dataset, &rows)?);
        let of_chunk = of_chunk.map_err(|error| error.of_rows(&rows))?;
        lengths.extend(of_chunk.into_iter().map(compact));
    }
    Ok(lengths)
}

fn make<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    rows: &[usize],
    seed: u64,
) -> Result<Batch<C::Target>> {
    let seeds: Vec<u64> = rows.iter().map(|&row| mix(seed, row as u64)).collect();
    collator
        .collate_seeded(&items(dataset, rows)?, &seeds)
        .map_err(|error| error.of_rows(rows))
}

fn items<T>(dataset: &dyn Dataset<Item = T>, rows: &[usize]) -> Result<Vec<T>> {
    rows.iter().map(|&row| dataset.get(row)).collect()
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;
    use tch::{Kind, Tensor};

    use super::super::batch::Inputs;
    use super::*;
    use crate::error::RowProblem;

    /// Rows that are lengths, up to a limit.
    struct Lengths;

    const LIMIT: usize = 3 * CHUNK;

    impl Collator for Lengths {
        type Item = usize;
        type Target = Tensor;

        fn collate(&self, _: &[usize]) -> Result<Batch<Tensor>> {
            unreachable!("no batch is asked for")
        }

        fn lengths(&self, rows: &[usize]) -> Result<Vec<usize>> {
            assert!(rows.len() <= CHUNK);
            match rows.iter().position(|&length| length > LIMIT) {
                None => Ok(rows.to_vec()),
                Some(row) => {
                    let (length, limit) = (rows[row], LIMIT);
                    let problem = RowProblem::TooLong { length, limit };
                    Err(Error::Row { row, problem })
                }
            }
        }
    }

    #[test]
    fn lengths_are_counted_chunk_by_chunk_in_order() {
        let rows: Vec<usize> = (0..2 * CHUNK + 7).collect();
        let of = |are_needed| lengths(&rows, &Lengths, are_needed).expect("lengths");
        let expected: Vec<u32> = (0..rows.len() as u32).collect();
        assert_eq!(of(true), expected);
        assert_eq!(of(false), vec![0; rows.len()]);
    }

    /// A collator with a bug, on the thread of batches or on those that help it.
    struct Panics {
        on_others: bool,
    }

    impl Collator for Panics {
        type Item = usize;
        type Target = Tensor;

        fn collate(&self, rows: &[usize]) -> Result<Batch<Tensor>> {
            let one = |row: &usize| assert!(*row != 5, "a bug in a collator");
            match self.on_others {
                true => rows.par_iter().for_each(one),
                false => rows.iter().for_each(one),
            }
            let empty = || Tensor::zeros([1, 1], (Kind::Int64, Device::Cpu));
            Ok(Batch {
                inputs: Inputs::new(empty(), empty(), empty()),
                target: empty(),
                tokens: 1,
            })
        }
    }

    #[test]
    fn a_collator_that_panics_ends_the_loading_with_an_error() {
        let rows: Vec<usize> = (0..100).collect();
        for on_others in [false, true] {
            // More batches come after the bad one than may wait.
            let batches = rows.chunks(2).map(<[usize]>::to_vec);
            let mut consumed = 0;
            let loaded = load(
                &rows,
                &Panics { on_others },
                batches,
                1,
                Device::Cpu,
                |_, _| {
                    consumed += 1;
                    Ok(true)
                },
            );
            match loaded {
                Err(Error::Worker { doing }) => assert_eq!(doing, "making batches"),
                other => panic!("{other:?}"),
            }
            assert_eq!(consumed, 2);
        }
    }

    #[test]
    fn a_row_without_a_length_is_named_by_its_place_in_the_data_set() {
        let mut rows = vec![1; 2 * CHUNK];
        rows[CHUNK + 3] = LIMIT + 1;
        match lengths(&rows, &Lengths, true) {
            Err(Error::Row { row, .. }) => assert_eq!(row, CHUNK + 3),
            other => panic!("{other:?}"),
        }
    }
}
