//! Hidden states to scores of all tokens: Hugging Face's `BertLMPredictionHead`, whose
//! last product is with the word embeddings.

use tch::nn::{Init, Path};
use tch::{Device, Kind, Reduction, Tensor};

use super::activation::Activation;
use super::config::BertConfig;
use super::linear::{LayerNorm, Linear};
use super::precision::Precision;
use crate::error::{Result, TorchContext};
use crate::native::{Autocast, fused};

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

    /// Bytes that the loss of so many tokens takes in training, by words `[V, H]`: of each state
    /// the four that are kept, and the scores, once where that is an operation of our own. Else
    /// scores, their logarithms and the gradients of both are float32; in bfloat16 there is also
    /// what the product gives and takes, and the words.
    pub(crate) fn memory(tokens: usize, words: &Tensor, precision: Precision) -> u64 {
        let size = words.size();
        let (vocabulary, hidden) = (size[0] as u64, size[1] as u64);
        let (of_score, of_words) = match (precision, is_fused(words.device())) {
            (Precision::F32, true) => (4, 0),
            (Precision::Bf16, true) => (2, 0),
            (Precision::F32, false) => (16, 0),
            (Precision::Bf16, false) => (20, 2),
        };
        tokens as u64 * (of_score * vocabulary + 16 * hidden) + of_words * vocabulary * hidden
    }

    /// `[…, H]` to `[…, V]`, by the word embeddings `[V, H]`.
    pub(crate) fn forward(&self, hidden: &Tensor, words: &Tensor) -> Result<Tensor> {
        self.states(hidden)?
            .f_linear(words, Some(&self.bias))
            .doing("scoring tokens")
    }

    /// The cross-entropies, added up, of the scores of `[M, H]` with the right tokens `[M]`;
    /// `smoothing` is the share of a target that is spread over all tokens.
    pub(crate) fn loss(
        &self,
        hidden: &Tensor,
        words: &Tensor,
        target: &Tensor,
        smoothing: f64,
    ) -> Result<Tensor> {
        if !is_fused(words.device()) {
            let logits = self.forward(hidden, words)?.f_to_kind(Kind::Float);
            return cross_entropy(&logits.doing("leaving bfloat16")?, target, smoothing);
        }
        let mut states = self.states(hidden)?;
        if Autocast::is_on(hidden.device()) {
            states = states
                .f_to_kind(Kind::BFloat16)
                .doing("choosing bfloat16")?;
        }
        fused::token_loss(&states, (words, &self.bias), target, smoothing)
            .doing("computing the loss")
    }

    /// What the word embeddings are multiplied with, `[…, H]`.
    fn states(&self, hidden: &Tensor) -> Result<Tensor> {
        let dense = self.activation.apply(&self.transform.forward(hidden)?)?;
        self.norm.forward(&dense)
    }
}

/// Whether the loss is an operation of our own.
fn is_fused(device: Device) -> bool {
    fused::is_available(device, &[])
}

/// The cross-entropies, added up, of logits `[M, V]` with the right tokens `[M]`; -100 does not
/// count.
pub(crate) fn cross_entropy(logits: &Tensor, target: &Tensor, smoothing: f64) -> Result<Tensor> {
    logits
        .f_cross_entropy_loss::<Tensor>(target, None, Reduction::Sum, -100, smoothing)
        .doing("computing the loss")
}

#[cfg(test)]
mod tests;
