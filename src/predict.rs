//! Texts to logits: sorted by length, in batches of like size in tokens, without
//! gradients or dropout, and given back in the order they came in.

use std::borrow::Borrow;
use std::slice;

use tch::{Device, Tensor};

use crate::data::Text;
use crate::encode::{Encoding, Inputs, Sampler, TextEncoder};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, forward};
use crate::model::Backbone;

/// Tokens of one forward pass. On a CPU enough to fill the matrix products, few enough for
/// its cache; a GPU wants large operations, since each costs it a fixed time to begin.
pub(crate) fn tokens_per_batch(device: Device) -> usize {
    match device {
        Device::Cpu => 4096,
        _ => 32_768,
    }
}

/// The logits of each text, kept.
pub(crate) fn logits<M: FineTuner, T: Text + Sync>(
    model: &M,
    texts: &[T],
    encoder: &TextEncoder,
    tokens_per_batch: usize,
) -> Result<Vec<Tensor>> {
    let rows = encoder.rows(texts)?;
    let mut by_row: Vec<Option<Tensor>> = Vec::new();
    by_row.resize_with(texts.len(), || None);
    for_each_text(model, &rows, encoder, tokens_per_batch, |row, logits| {
        by_row[row] = Some(logits);
        Ok(())
    })?;
    Ok(by_row
        .into_iter()
        .map(|logits| logits.expect("each row is in one batch"))
        .collect())
}

/// Calls `take` with each row's number and its logits on the CPU, in any order, in batches
/// that suit the model's device.
pub(crate) fn for_each<M: FineTuner>(
    model: &M,
    encodings: &[Encoding],
    encoder: &TextEncoder,
    take: impl FnMut(usize, Tensor) -> Result<()>,
) -> Result<()> {
    let rows: Vec<&[Encoding]> = encodings.iter().map(slice::from_ref).collect();
    let tokens = tokens_per_batch(model.backbone().device());
    for_each_text(model, &rows, encoder, tokens, take)
}

/// The same for texts of which each may have several rows, its windows.
pub(crate) fn for_each_text<M: FineTuner, R: Borrow<[Encoding]>>(
    model: &M,
    texts: &[R],
    encoder: &TextEncoder,
    tokens_per_batch: usize,
    mut take: impl FnMut(usize, Tensor) -> Result<()>,
) -> Result<()> {
    let tokens = |rows: &R| rows.borrow().iter().map(Encoding::len).sum();
    let lengths: Vec<usize> = texts.iter().map(tokens).collect();
    let inputs = |rows: &[usize]| {
        let batch = rows.iter().map(|&row| texts[row].borrow().to_vec());
        encoder.inputs_of_texts(batch.collect())
    };
    for_each_batch(model, &lengths, tokens_per_batch, inputs, |rows, logits| {
        let given = logits.size().first().copied();
        if given != Some(rows.len() as i64) {
            let rule = "windows only with a model that pools them";
            return Err(Error::config("long_text", rule, "other rows than texts"));
        }
        rows.iter()
            .zip(0..)
            .try_for_each(|(&row, place)| take(row, logits.f_get(place).doing("reading logits")?))
    })
}

/// Calls `take` with the numbers of some rows and their logits on the CPU, until all rows
/// have had their turn; `inputs` makes the batch of rows.
pub(crate) fn for_each_batch<M: FineTuner>(
    model: &M,
    lengths: &[usize],
    tokens_per_batch: usize,
    inputs: impl Fn(&[usize]) -> Result<Inputs>,
    mut take: impl FnMut(&[usize], Tensor) -> Result<()>,
) -> Result<()> {
    each_batch(model.backbone(), lengths, tokens_per_batch, |rows| {
        let inputs = inputs(rows).map_err(|error| error.of_rows(rows))?;
        let inputs = inputs.to_device(model.backbone().device())?;
        let logits = forward(model, &inputs, false)?
            .f_to_device(Device::Cpu)
            .doing("moving logits to the CPU")?; // [B, …]
        take(rows, logits)
    })
}

/// Calls `compute` with the numbers of some rows, without gradients, until all rows have had
/// their turn.
pub(crate) fn each_batch(
    backbone: &Backbone,
    lengths: &[usize],
    tokens_per_batch: usize,
    mut compute: impl FnMut(&[usize]) -> Result<()>,
) -> Result<()> {
    if tokens_per_batch == 0 {
        return Err(Error::config("tokens_per_batch", "at least 1", "0"));
    }
    let sampler = Sampler::longest_first(1).tokens_per_batch(tokens_per_batch);
    let _kept = backbone.precision().keep_converted()?;
    let _no_grad = tch::no_grad_guard();
    sampler
        .batches(lengths, 0)
        .iter()
        .try_for_each(|rows| compute(rows))
}
