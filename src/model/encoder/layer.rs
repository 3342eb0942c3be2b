//! One layer of the encoder: attention and a feed-forward net, each followed by
//! dropout, the residual and a layer norm.

use tch::Tensor;
use tch::nn::Path;

use super::attention::Attention;
use super::layout::Layout;
use crate::error::{Result, TorchContext};
use crate::model::config::{Activation, BertConfig};
use crate::model::linear::{LayerNorm, Linear};

#[derive(Debug)]
pub(in crate::model) struct Layer {
    pub(in crate::model) attention: Attention,
    pub(in crate::model) attention_output: Output,
    intermediate: Linear,
    activation: Activation,
    output: Output,
}

impl Layer {
    pub(in crate::model) fn new(path: &Path, config: &BertConfig) -> Result<Self> {
        let (size, wide) = (config.hidden_size, config.intermediate_size);
        let attention = path / "attention";
        let intermediate = path / "intermediate" / "dense";
        Ok(Self {
            attention: Attention::new(&(&attention / "self"), config)?,
            attention_output: Output::new(&(&attention / "output"), size, config)?,
            intermediate: Linear::new(&intermediate, size, wide, config.initializer_range)?,
            activation: config.hidden_act,
            output: Output::new(&(path / "output"), wide, config)?,
        })
    }

    /// The same with the same weights.
    pub(super) fn shared(&self) -> Self {
        Self {
            attention: self.attention.shared(),
            attention_output: self.attention_output.shared(),
            intermediate: self.intermediate.shared(),
            activation: self.activation,
            output: self.output.shared(),
        }
    }

    /// `[T, H]` to `[T, H]`
    pub(super) fn forward(&self, state: &Tensor, layout: &Layout, train: bool) -> Result<Tensor> {
        let attended = self.attention.forward(state, layout, train)?;
        let state = self.attention_output.forward(&attended, state, train)?;
        self.feed_forward(&state, train)
    }

    /// What comes after attention, `[…, H]` to `[…, H]`.
    pub(in crate::model) fn feed_forward(&self, state: &Tensor, train: bool) -> Result<Tensor> {
        let wide = self.activation.apply(&self.intermediate.forward(state)?)?; // […, I]
        self.output.forward(&wide, state, train)
    }

    /// Whether any weight of the layer is trained.
    pub(super) fn is_trained(&self) -> bool {
        self.attention.is_trained()
            || self.attention_output.is_trained()
            || self.intermediate.is_trained()
            || self.output.is_trained()
    }
}

/// Dense layer, dropout, residual, norm.
#[derive(Debug)]
pub(in crate::model) struct Output {
    dense: Linear,
    norm: LayerNorm,
    dropout: f64,
}

impl Output {
    pub(in crate::model) fn new(path: &Path, inputs: i64, config: &BertConfig) -> Result<Self> {
        let (size, std) = (config.hidden_size, config.initializer_range);
        Ok(Self {
            dense: Linear::new(&(path / "dense"), inputs, size, std)?,
            norm: LayerNorm::new(&(path / "LayerNorm"), size, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
        })
    }

    pub(in crate::model) fn forward(
        &self,
        x: &Tensor,
        residual: &Tensor,
        train: bool,
    ) -> Result<Tensor> {
        let sum = self
            .dense
            .forward(x)?
            .f_dropout(self.dropout, train)
            .and_then(|x| x.f_add(residual))
            .doing("adding the residual")?;
        self.norm.forward(&sum)
    }

    fn shared(&self) -> Self {
        Self {
            dense: self.dense.shared(),
            norm: self.norm.shared(),
            dropout: self.dropout,
        }
    }

    fn is_trained(&self) -> bool {
        self.dense.is_trained() || self.norm.is_trained()
    }
}
