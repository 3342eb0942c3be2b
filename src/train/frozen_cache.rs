//! What the frozen layers make of each row: computed once, before the first step, and
//! looked up in every epoch. That is exact because these layers then run without dropout.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use tch::{Device, Tensor};

use super::evaluation::EVALUATION_SEED;
use crate::data::Dataset;
use crate::encode::{Inputs, KnownState, Sampler, lengths, load};
use crate::error::{Error, PathContext, Result, TorchContext};
use crate::fine_tuner::{FineTuner, ItemOf};

/// Tokens of one forward pass while the cache is filled.
const TOKENS_PER_BATCH: usize = 8192;

/// Hidden states by the rows' own tokens, so that a row that has changed is never
/// mistaken for what it was.
pub(super) struct FrozenCache {
    /// Frozen layers.
    layers: usize,
    /// Bytes of memory that are left; what comes after goes to a file.
    memory: usize,
    rows: HashMap<Vec<i64>, Place>,
    file: Option<File>,
}

/// Where the state of a row is: `[L, H]`, float32.
enum Place {
    Memory(Vec<f32>),
    File { offset: u64, bytes: usize },
}

impl FrozenCache {
    /// For so many frozen layers, in so many bytes of memory.
    pub(super) fn new(layers: usize, memory: usize) -> Self {
        Self {
            layers,
            memory,
            rows: HashMap::new(),
            file: None,
        }
    }

    /// Computes the states of all rows, always in the same order, so that a run that is
    /// resumed has the same numbers.
    pub(super) fn fill<M: FineTuner>(
        &mut self,
        model: &M,
        dataset: &dyn Dataset<Item = ItemOf<M>>,
    ) -> Result<()> {
        let collator = model.collator()?;
        let sampler = Sampler::longest_first(1).tokens_per_batch(TOKENS_PER_BATCH);
        let pass = sampler.pass(&lengths(dataset, &collator, sampler.needs_lengths())?, 0);
        let device = model.backbone().device();
        let seed = EVALUATION_SEED;
        load(
            dataset,
            &collator,
            pass.iter(),
            seed,
            device,
            |_, mut batch| {
                self.attach(model, &mut batch.inputs)?;
                Ok(true)
            },
        )
    }

    /// Lets a batch begin after the frozen layers.
    pub(super) fn attach<M: FineTuner>(&mut self, model: &M, inputs: &mut Inputs) -> Result<()> {
        let keys = keys(inputs)?;
        let state = match keys.iter().all(|key| self.rows.contains_key(key)) {
            true => self.read(&keys, inputs, model.backbone().config().hidden_size)?,
            false => {
                let encoder = model.backbone().encoder();
                let compute = || encoder.after(self.layers, inputs);
                let state = tch::no_grad(|| model.backbone().in_precision(compute))?;
                self.keep(keys, &state)?;
                state
            }
        };
        let layers = self.layers;
        inputs.begin_with(KnownState { layers, state });
        Ok(())
    }

    /// `state` is `[B, L, H]`
    fn keep(&mut self, keys: Vec<Vec<i64>>, state: &Tensor) -> Result<()> {
        let (_, length, size) = state.size3().doing("reading hidden states")?;
        let mut all = vec![0.0; state.numel()];
        let count = all.len();
        state
            .f_to_device(Device::Cpu)
            .and_then(|state| state.f_copy_data(&mut all, count))
            .doing("reading hidden states")?;
        let rows = all.chunks_exact((length * size) as usize);
        for (key, row) in keys.into_iter().zip(rows) {
            if self.rows.contains_key(&key) {
                continue;
            }
            let row = &row[..tokens(&key) * size as usize];
            let bytes = size_of_val(row);
            let place = match self.memory.checked_sub(bytes) {
                Some(left) => {
                    self.memory = left;
                    Place::Memory(row.to_vec())
                }
                None => {
                    let offset = self.write(row).writing(&std::env::temp_dir())?;
                    Place::File { offset, bytes }
                }
            };
            self.rows.insert(key, place);
        }
        Ok(())
    }

    /// Writes a row at the end of the file; returns where it begins.
    fn write(&mut self, row: &[f32]) -> std::io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            // It has no name, and goes when the run ends, however it ends.
            none => none.insert(tempfile::tempfile()?),
        };
        let offset = file.seek(SeekFrom::End(0))?;
        let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
        file.write_all(&bytes)?;
        Ok(offset)
    }

    /// The states of known rows, `[B, L, H]`.
    fn read(&mut self, keys: &[Vec<i64>], inputs: &Inputs, size: i64) -> Result<Tensor> {
        let (batch, length) = inputs.size();
        let mut all = vec![0.0; (batch * length * size) as usize];
        let rows = all.chunks_exact_mut((length * size) as usize);
        for (key, target) in keys.iter().zip(rows) {
            match &self.rows[key] {
                Place::Memory(row) => target[..row.len()].copy_from_slice(row),
                Place::File { offset, bytes } => {
                    let mut row = vec![0; *bytes];
                    let file = self.file.as_mut().expect("made when the row was written");
                    file.seek(SeekFrom::Start(*offset))
                        .and_then(|_| file.read_exact(&mut row))
                        .reading(&std::env::temp_dir())?;
                    for (x, bytes) in target.iter_mut().zip(row.as_chunks().0) {
                        *x = f32::from_le_bytes(*bytes);
                    }
                }
            }
        }
        Tensor::f_from_slice(&all)
            .and_then(|state| state.f_view([batch, length, size]))
            .and_then(|state| state.f_to_device(inputs.input_ids().device()))
            .doing("reading hidden states")
    }
}

/// The tokens of each row with their segments.
fn keys(inputs: &Inputs) -> Result<Vec<Vec<i64>>> {
    let Some(lengths) = inputs.lengths() else {
        let rule = "off for a collator that does not pad by `pad`";
        return Err(Error::config("cache_frozen", rule, true));
    };
    let rows = |x: &Tensor| Vec::<Vec<i64>>::try_from(x).doing("reading inputs");
    let (ids, types) = (rows(inputs.input_ids())?, rows(inputs.token_type_ids())?);
    let key = |((ids, types), &length): ((&Vec<_>, &Vec<_>), &usize)| {
        [&ids[..length], &types[..length]].concat()
    };
    Ok(ids.iter().zip(&types).zip(lengths).map(key).collect())
}

/// The tokens of a row, by its key.
fn tokens(key: &[i64]) -> usize {
    key.len() / 2
}
