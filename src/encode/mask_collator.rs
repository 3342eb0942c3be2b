//! Blocks of tokens to batches in which some tokens are hidden, to be guessed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::batch::Batch;
use super::collator::{Collator, TextEncoder};
use super::sampler::mix;
use super::token_blocks::TokenBlock;
use super::tokenizer::{Encoding, Tokenizer};
use crate::error::{Error, Result, TorchContext};

/// Which tokens are to be guessed, and what stands in their place. The defaults are those
/// of BERT (Devlin et al. 2019).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Masking {
    /// The probability of a token, or of a word, to be chosen; default 0.15.
    pub probability: f64,
    /// Of the tokens that were chosen, the share that `[MASK]` stands for; default 0.8.
    pub masked: f64,
    /// The share that a random token stands for; default 0.1. The rest stay as they are.
    pub random: f64,
    /// Words are chosen with all their tokens; default no.
    pub whole_words: bool,
}

impl Default for Masking {
    fn default() -> Self {
        Self {
            probability: 0.15,
            masked: 0.8,
            random: 0.1,
            whole_words: false,
        }
    }
}

impl Masking {
    /// # Errors
    /// When a number is no probability.
    pub fn validate(&self) -> Result<()> {
        let share = 0.0..=1.0;
        if !(share.contains(&self.probability) && self.probability > 0.0) {
            let rule = "above 0 and at most 1";
            return Err(Error::config("probability", rule, self.probability));
        }
        for (field, value) in [("masked", self.masked), ("random", self.random)] {
            if !share.contains(&value) {
                return Err(Error::config(field, "from 0 to 1", value));
            }
        }
        if self.masked + self.random > 1.0 {
            let sum = self.masked + self.random;
            return Err(Error::config("masked + random", "at most 1", sum));
        }
        Ok(())
    }
}

/// Blocks of tokens to inputs, some tokens of which are hidden, and the ids of those, `[M]`
/// (int64), which [`Inputs::places`](super::Inputs::places) names.
#[derive(Debug, Clone)]
pub struct MaskCollator {
    encoder: TextEncoder,
    masking: Masking,
    /// For each id that a text can become, whether it goes on with the word before it.
    continues: Vec<bool>,
}

impl MaskCollator {
    /// # Errors
    /// When a number of `masking` is no probability.
    pub fn new(encoder: TextEncoder, masking: Masking) -> Result<Self> {
        masking.validate()?;
        let tokenizer = encoder.tokenizer();
        let continues = |id: i64| {
            let token = tokenizer.id_to_token(id);
            token.is_some_and(|token| token.starts_with("##"))
        };
        Ok(Self {
            continues: (0..tokenizer.vocab_size() as i64).map(continues).collect(),
            masking,
            encoder,
        })
    }

    fn row(&self, block: &TokenBlock) -> Encoding {
        let tokenizer = self.encoder.tokenizer();
        let mut row = Encoding::default();
        row.input_ids.push(tokenizer.cls_id());
        row.input_ids.extend(&block.input_ids);
        row.input_ids.push(tokenizer.sep_id());
        row.token_type_ids = vec![0; row.input_ids.len()];
        row
    }

    /// Hides tokens of `ids`; returns their places, with what they were.
    fn hide(&self, ids: &mut [i64], generator: &mut ChaCha8Rng) -> Vec<(usize, i64)> {
        let tokenizer = self.encoder.tokenizer();
        let Masking {
            probability,
            masked,
            random,
            whole_words,
        } = self.masking;
        let mut hidden = Vec::new();
        // Whether the token before was chosen, if it was of the text.
        let mut before = None;
        for (place, slot) in ids.iter_mut().enumerate() {
            let id = *slot;
            if is_special(tokenizer, id) {
                before = None;
                continue;
            }
            let goes_on = self.continues.get(id as usize) == Some(&true);
            let with_it = before.filter(|_| whole_words && goes_on);
            let chosen = with_it.unwrap_or_else(|| generator.random_bool(probability));
            before = Some(chosen);
            if !chosen {
                continue;
            }
            hidden.push((place, id));
            let draw: f64 = generator.random();
            if draw < masked {
                *slot = tokenizer.mask_id();
            } else if draw < masked + random {
                *slot = generator.random_range(0..tokenizer.vocab_size() as i64);
            }
        }
        hidden
    }
}

/// Whether a token is none of the text, and never to be guessed.
fn is_special(tokenizer: &Tokenizer, id: i64) -> bool {
    let special = [
        tokenizer.cls_id(),
        tokenizer.sep_id(),
        tokenizer.pad_id(),
        tokenizer.mask_id(),
    ];
    special.contains(&id)
}

impl Collator for MaskCollator {
    type Item = TokenBlock;
    type Target = Tensor;

    /// With the same draws each time, by the row's place in the batch.
    fn collate(&self, rows: &[TokenBlock]) -> Result<Batch<Tensor>> {
        let seeds: Vec<u64> = (0..rows.len() as u64).map(|row| mix(0, row)).collect();
        self.collate_seeded(rows, &seeds)
    }

    fn collate_seeded(&self, rows: &[TokenBlock], seeds: &[u64]) -> Result<Batch<Tensor>> {
        let mut encodings: Vec<Encoding> = rows.iter().map(|block| self.row(block)).collect();
        let (mut hidden, mut ids) = (Vec::new(), Vec::new());
        for ((row, encoding), &seed) in (0..).zip(&mut encodings).zip(seeds) {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            for (place, id) in self.hide(&mut encoding.input_ids, &mut generator) {
                hidden.push((row, place as i64));
                ids.push(id);
            }
        }
        let inputs = self.encoder.inputs(&encodings)?;
        let (_, length) = inputs.size();
        let places: Vec<i64> = hidden
            .iter()
            .map(|(row, place)| row * length + place)
            .collect();
        let tensor = |values: &[i64]| Tensor::f_from_slice(values).doing("making a batch");
        Ok(Batch {
            inputs: inputs.at(tensor(&places)?),
            target: tensor(&ids)?,
            tokens: encodings.iter().map(Encoding::len).sum(),
        })
    }

    fn draws(&self) -> bool {
        true
    }

    fn lengths(&self, rows: &[TokenBlock]) -> Result<Vec<usize>> {
        Ok(rows.iter().map(|block| block.input_ids.len() + 2).collect())
    }
}
