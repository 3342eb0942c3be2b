//! Batches in order, each made on another thread while the one before it is in
//! use, and handed over on the model's device.

use std::sync::mpsc::sync_channel;
use std::thread;

use tch::Device;

use super::batch::{Batch, Target};
use super::collator::Collator;
use super::sampler::Sampler;
use crate::data::Dataset;
use crate::error::{Error, Result};

/// Batches that may wait, made, for the consumer.
const AHEAD: usize = 2;

/// Calls `consume` with the row indexes and the batch, for each of `batches` in
/// order, until it returns an error or `false`.
///
/// # Errors
/// The first error of the data set, the collator or `consume`; a row of an
/// [`Error::Row`] is its index in the data set.
pub(crate) fn load<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    batches: &[Vec<usize>],
    device: Device,
    mut consume: impl FnMut(&[usize], Batch<C::Target>) -> Result<bool>,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let producer = scope.spawn(move || {
            for rows in batches {
                // An error of sending means that the consumer has stopped.
                let made = make(dataset, collator, rows);
                let failed = made.is_err();
                if sender.send(made).is_err() || failed {
                    return;
                }
            }
        });
        let mut consume_all = || {
            for rows in batches {
                // Nothing comes any more only if the producer has died.
                let Ok(made) = receiver.recv() else { break };
                let Batch {
                    inputs,
                    target,
                    tokens,
                } = made?;
                let inputs = inputs.to_device(device)?;
                let batch = Batch {
                    inputs,
                    target: target.to_device(device)?,
                    tokens,
                };
                if !consume(rows, batch)? {
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

/// The length of each row in tokens, for [`Sampler::batches`]; zeros where they decide
/// nothing, so that no row is read.
pub(crate) fn lengths<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    sampler: &Sampler,
) -> Result<Vec<usize>> {
    if !sampler.needs_lengths() {
        return Ok(vec![0; dataset.len()]);
    }
    let items = (0..dataset.len())
        .map(|row| dataset.get(row))
        .collect::<Result<Vec<_>>>()?;
    collator.lengths(&items)
}

fn make<C: Collator>(
    dataset: &dyn Dataset<Item = C::Item>,
    collator: &C,
    rows: &[usize],
) -> Result<Batch<C::Target>> {
    let items = rows
        .iter()
        .map(|&row| dataset.get(row))
        .collect::<Result<Vec<_>>>()?;
    collator
        .collate(&items)
        .map_err(|error| error.of_rows(rows))
}
