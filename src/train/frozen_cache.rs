//! What the frozen layers make of each row: computed once, before the first step, and
//! looked up in every epoch. That is exact because these layers then run without dropout.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};
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
    rows: HashMap<Key, Place>,
    file: Option<File>,
}

/// The SHA-256 sum of a row's tokens with their segments: as good as these, and as long for
/// any row.
type Key = [u8; 32];

/// Where the state of a row is: `[L, H]`, float32.
enum Place {
    Memory(Box<[f32]>),
    File { offset: u64, bytes: usize },
}

/// What a row takes in the table of rows, of which half may be empty.
const ENTRY: usize = 2 * size_of::<(Key, Place)>();

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
        collator: &M::Collator,
        dataset: &dyn Dataset<Item = ItemOf<M>>,
    ) -> Result<()> {
        let sampler = Sampler::longest_first(1).tokens_per_batch(TOKENS_PER_BATCH);
        let pass = sampler.pass(&lengths(dataset, collator, sampler.needs_lengths())?, 0);
        let device = model.backbone().device();
        let seed = EVALUATION_SEED;
        load(dataset, collator, pass.iter(), seed, device, |_, batch| {
            let keys = keys(&batch.inputs)?;
            if !self.knows(&keys) {
                let state = self.compute(model, &batch.inputs)?;
                self.keep(&keys, &batch.inputs.row_lengths(), &state)?;
            }
            Ok(true)
        })
    }

    /// Lets a batch begin after the frozen layers. Rows that are not those of the data sets are
    /// not kept: one that has other texts in each epoch has no end of them.
    pub(super) fn attach<M: FineTuner>(&mut self, model: &M, inputs: &mut Inputs) -> Result<()> {
        let keys = keys(inputs)?;
        let state = match self.knows(&keys) {
            true => self.read(&keys, inputs, model.backbone().config().hidden_size)?,
            false => self.compute(model, inputs)?,
        };
        let layers = self.layers;
        inputs.begin_with(KnownState { layers, state });
        Ok(())
    }

    fn knows(&self, keys: &[Key]) -> bool {
        keys.iter().all(|key| self.rows.contains_key(key))
    }

    /// `[B, L, H]`
    fn compute<M: FineTuner>(&self, model: &M, inputs: &Inputs) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let backbone = model.backbone();
        backbone.in_precision(|| backbone.encoder().after(self.layers, inputs))
    }

    /// `state` is `[B, L, H]`
    fn keep(&mut self, keys: &[Key], lengths: &[usize], state: &Tensor) -> Result<()> {
        let (_, length, size) = state.size3().doing("reading hidden states")?;
        let mut all = vec![0.0; state.numel()];
        let count = all.len();
        state
            .f_to_device(Device::Cpu)
            .and_then(|state| state.f_copy_data(&mut all, count))
            .doing("reading hidden states")?;
        let rows = all.chunks_exact((length * size) as usize);
        for ((key, tokens), row) in keys.iter().zip(lengths).zip(rows) {
            if self.rows.contains_key(key) {
                continue;
            }
            // In memory in any case: without it the state would not be found.
            self.memory = self.memory.saturating_sub(ENTRY);
            let row = &row[..tokens * size as usize];
            let bytes = size_of_val(row);
            let place = match self.memory.checked_sub(bytes) {
                Some(left) => {
                    self.memory = left;
                    Place::Memory(row.into())
                }
                None => {
                    let offset = self.write(row).writing(&std::env::temp_dir())?;
                    Place::File { offset, bytes }
                }
            };
            self.rows.insert(*key, place);
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
    fn read(&mut self, keys: &[Key], inputs: &Inputs, size: i64) -> Result<Tensor> {
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

/// The keys of all rows.
fn keys(inputs: &Inputs) -> Result<Vec<Key>> {
    let Some(lengths) = inputs.lengths() else {
        let rule = "off for a collator that does not pad by `pad`";
        return Err(Error::config("cache_frozen", rule, true));
    };
    let rows = |x: &Tensor| Vec::<Vec<i64>>::try_from(x).doing("reading inputs");
    let (ids, types) = (rows(inputs.input_ids())?, rows(inputs.token_type_ids())?);
    let key = |((ids, types), &length): ((&Vec<_>, &Vec<_>), &usize)| {
        key(&ids[..length], &types[..length])
    };
    Ok(ids.iter().zip(&types).zip(lengths).map(key).collect())
}

/// Of a row with as many segments as tokens.
fn key(ids: &[i64], types: &[i64]) -> Key {
    let mut hash = Sha256::new();
    for number in ids.iter().chain(types) {
        hash.update(number.to_le_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn rows_have_keys_of_their_own() {
        let rows: [(&[i64], &[i64]); 4] = [
            (&[1, 2], &[0, 0]),
            (&[1, 2], &[0, 1]),
            (&[2, 1], &[0, 0]),
            (&[1], &[2]),
        ];
        let keys = rows.map(|(ids, types)| key(ids, types));
        for (number, one) in keys.iter().enumerate() {
            assert!(!keys[..number].contains(one));
        }
        assert_eq!(keys[0], key(&[1, 2], &[0, 0]));
    }

    #[test]
    fn the_table_of_rows_is_a_part_of_the_memory() {
        let states = Tensor::ones([3, 4, 2], (Kind::Float, Device::Cpu));
        let keys = [1, 2, 3].map(|id| key(&[id; 4], &[0; 4]));
        let bytes = 4 * 2 * size_of::<f32>();
        // Two rows fit, and the entry of the third.
        let mut cache = FrozenCache::new(1, 2 * (ENTRY + bytes) + ENTRY + bytes - 1);
        cache.keep(&keys, &[4; 3], &states).expect("states");
        let in_memory = |place: &&Place| matches!(place, Place::Memory(_));
        assert_eq!(cache.rows.values().filter(in_memory).count(), 2);
        assert_eq!(cache.memory, bytes - 1);
        // Less memory than a table takes does not keep rows from the file.
        let mut cache = FrozenCache::new(1, ENTRY);
        cache.keep(&keys, &[4; 3], &states).expect("states");
        assert_eq!((cache.rows.len(), cache.memory), (3, 0));
        assert!(!cache.rows.values().any(|place| in_memory(&place)));
    }
}
