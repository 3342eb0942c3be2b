//! Batches in order, each made on another thread while the one before it is in
//! use, and handed over on the model's device.

use std::sync::mpsc::sync_channel;
use std::thread;

use tch::Device;

use super::batch::{Batch, Target};
use super::collator::Collator;
use super::sampler::{MOST_ROWS, Sampler, compact};
use crate::data::Dataset;
use crate::error::{Error, Result};

/// Batches that may wait, made, for the consumer.
const AHEAD: usize = 2;

/// Rows that are in memory at a time while lengths are counted: enough for all cores.
const CHUNK: usize = 1024;

/// Calls `consume` with the row indexes and the batch, for each of `batches` in
/// order, until it returns an error or `false`.
///
/// # Errors
/// The first error of the data set, the collator or `consume`; a row of an
/// [`Error::Row`] is its index in the data set.
pub(crate) fn load<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    batches: impl Iterator<Item = Vec<usize>> + Send,
    device: Device,
    mut consume: impl FnMut(&[usize], Batch<C::Target>) -> Result<bool>,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let producer = scope.spawn(move || {
            for rows in batches {
                // An error of sending means that the consumer has stopped.
                let made = make(dataset, collator, &rows);
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
                let Batch {
                    inputs,
                    target,
                    tokens,
                } = batch;
                let inputs = inputs.to_device(device)?;
                let batch = Batch {
                    inputs,
                    target: target.to_device(device)?,
                    tokens,
                };
                if !consume(&rows, batch)? {
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

/// The length of each row in tokens, for [`Sampler::pass`]; zeros where they decide
/// nothing, so that no row is read.
pub(crate) fn lengths<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    sampler: &Sampler,
) -> Result<Vec<u32>> {
    let count = dataset.len();
    if count > MOST_ROWS {
        let rule = format!("of at most {MOST_ROWS} rows");
        return Err(Error::config("data set", rule, count));
    }
    if !sampler.needs_lengths() {
        return Ok(vec![0; count]);
    }
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
) -> Result<Batch<C::Target>> {
    collator
        .collate(&items(dataset, rows)?)
        .map_err(|error| error.of_rows(rows))
}

fn items<T>(dataset: &dyn Dataset<Item = T>, rows: &[usize]) -> Result<Vec<T>> {
    rows.iter().map(|&row| dataset.get(row)).collect()
}
