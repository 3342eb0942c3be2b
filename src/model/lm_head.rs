//! Hidden states to scores of all tokens: Hugging Face's `BertLMPredictionHead`, whose
//! last product is with the word embeddings.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::config::{Activation, BertConfig};
use super::linear::{LayerNorm, Linear};
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

    /// `[…, H]` to `[…, V]`, by the word embeddings `[V, H]`.
    pub(crate) fn forward(&self, hidden: &Tensor, words: &Tensor) -> Result<Tensor> {
        let dense = self.activation.apply(&self.transform.forward(hidden)?)?;
        self.norm
            .forward(&dense)?
            .f_linear(words, Some(&self.bias))
            .doing("scoring tokens")
    }
}
