//! Hidden states to scores of all tokens: Hugging Face's `BertLMPredictionHead`, whose
//! last product is with the word embeddings.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::config::{Activation, BertConfig};
use super::linear::{LayerNorm, Linear};
use super::precision::Precision;
use crate::error::{Result, TorchContext};

/// A dense layer, the activation and a norm, then the product with the word embeddings.
#[derive(Debug)]
pub(crate) struct LmHead {
    transform: Linear,
    activation: Activation,
    norm: LayerNorm,
    bias: Tensor, // [V]
}

impl LmHead {
    /// Makes the variables under `path`, which checkpoints call `cls.predictions`.
    pub(crate) fn new(path: &Path, config: &BertConfig) -> Result<Self> {
        let (size, std) = (config.hidden_size, config.initializer_range);
        let transform = path / "transform";
        let zeros = Init::Const(0.0);
        Ok(Self {
            transform: Linear::new(&(&transform / "dense"), size, size, std)?,
            activation: config.hidden_act,
            norm: LayerNorm::new(&(&transform / "LayerNorm"), size, config.layer_norm_eps)?,
            bias: path
                .f_var("bias", &[config.vocab_size], zeros)
                .doing("making a bias")?,
        })
    }

    /// Bytes that scores of so many tokens take in training, by words `[V, H]`: of each state
    /// the four that are kept, of the scores themselves, their logarithms and the gradients of
    /// both, all float32; in bfloat16 also what the product gives and takes, and the words.
    pub(crate) fn memory(tokens: usize, words: &Tensor, precision: Precision) -> u64 {
        let size = words.size();
        let (vocabulary, hidden) = (size[0] as u64, size[1] as u64);
        let short = match precision {
            Precision::F32 => 0,
            Precision::Bf16 => 4 * tokens as u64 * vocabulary + 2 * vocabulary * hidden,
        };
        tokens as u64 * (16 * vocabulary + 16 * hidden) + short
    }

    /// `[…, H]` to `[…, V]`, by the word embeddings `[V, H]`.
    pub(crate) fn forward(&self, hidden: &Tensor, words: &Tensor) -> Result<Tensor> {
        let dense = self.activation.apply(&self.transform.forward(hidden)?)?;
        self.norm
            .forward(&dense)?
            .f_linear(words, Some(&self.bias))
            .doing("scoring tokens")
    }
}
