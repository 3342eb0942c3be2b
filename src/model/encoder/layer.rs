//! One layer of the encoder: attention and a feed-forward net, each followed by
//! dropout, the residual and a layer norm.

use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use super::attention::Attention;
use super::layout::Layout;
use crate::error::{Result, TorchContext};
use crate::model::activation::Activation;
use crate::model::config::BertConfig;
use crate::model::linear::{LayerNorm, Linear};
use crate::native::{Autocast, fused};

/// Rows up to this length are attended to in one operation; the scores of longer ones do not
/// fit into a core's cache, and are cut into parts by libtorch's operators.
pub(crate) const LONGEST_ROW: i64 = 512;

/// Whether a layer of these sizes, the state's and the feed-forward net's, is computed by
/// operations of our own.
pub(crate) fn is_fused(device: Device, sizes: [i64; 2], activation: Activation) -> bool {
    activation == Activation::Gelu && fused::is_available(device, &sizes)
}

/// Hidden states of tokens, `[T, H]`.
#[derive(Debug)]
pub(super) struct State {
    pub(super) full: Tensor,
    /// The same in bfloat16, where products are computed in it.
    short: Option<Tensor>,
}

impl State {
    /// Of what another part of the model has computed.
    pub(super) fn new(full: Tensor) -> Result<Self> {
        let short = Autocast::is_on(full.device()).then(|| full.f_to_kind(Kind::BFloat16));
        Ok(Self {
            short: short.transpose().doing("choosing bfloat16")?,
            full,
        })
    }

    /// That of the first token of each row, `[B, H]`.
    fn of_first_tokens(&self, layout: &Layout) -> Result<Self> {
        let short = self.short.as_ref();
        Ok(Self {
            full: layout.first_tokens(&self.full)?,
            short: short.map(|short| layout.first_tokens(short)).transpose()?,
        })
    }

    /// In the numbers of products.
    fn for_products(&self) -> &Tensor {
        self.short.as_ref().unwrap_or(&self.full)
    }
}

/// The tokens whose state after a layer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `[T, H]`
    All,
    /// That of each row, `[B, H]`. The others are attended to, but nothing else is computed of
    /// them.
    First,
}

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
    pub(in crate::model) fn shared(&self) -> Self {
        Self {
            attention: self.attention.shared(),
            attention_output: self.attention_output.shared(),
            intermediate: self.intermediate.shared(),
            activation: self.activation,
            output: self.output.shared(),
        }
    }

    /// `[T, H]` to `[T, H]`, or to `[B, H]`.
    pub(super) fn forward(
        &self,
        state: &State,
        layout: &Layout,
        wanted: Wanted,
        train: bool,
    ) -> Result<State> {
        match self.is_fused(&state.full) {
            true => self.fused(state, layout, wanted, train),
            false => State::new(self.operators(&state.full, layout, wanted, train)?),
        }
    }

    /// Whether operations of our own take states like this one.
    fn is_fused(&self, state: &Tensor) -> bool {
        let [(_, wide), (_, size)] = [&self.intermediate, &self.output.dense].map(Linear::parts);
        let sizes = [size, wide].map(|bias| bias.numel() as i64);
        is_fused(state.device(), sizes, self.activation) && state.kind() == Kind::Float
    }

    /// By a few operations of our own.
    fn fused(&self, state: &State, layout: &Layout, wanted: Wanted, train: bool) -> Result<State> {
        let x = state.for_products();
        let first = match wanted {
            Wanted::All => None,
            Wanted::First => Some(state.of_first_tokens(layout)?),
        };
        let asking = first.as_ref().map(State::for_products);
        let attended = match layout.rows_up_to(LONGEST_ROW) {
            Some(rows) => self.attention.fused(x, asking, (rows, layout), train)?,
            None => self.attention.forward(x, asking, layout, train)?,
        };
        let state = first.as_ref().unwrap_or(state);
        let state = self.attention_output.fused(&attended, &state.full, train)?;
        self.feed_fused(&state, train)
    }

    fn feed_fused(&self, state: &State, train: bool) -> Result<State> {
        let wide = fused::dense_gelu(state.for_products(), self.intermediate.parts());
        let wide = wide.doing("applying a dense layer")?; // [T, I]
        self.output.fused(&wide, &state.full, train)
    }

    /// By libtorch's operators, `[T, H]` to `[T, H]`, or to `[B, H]`.
    fn operators(
        &self,
        state: &Tensor,
        layout: &Layout,
        wanted: Wanted,
        train: bool,
    ) -> Result<Tensor> {
        let first = match wanted {
            Wanted::All => None,
            Wanted::First => Some(layout.first_tokens(state)?),
        };
        let attended = self
            .attention
            .forward(state, first.as_ref(), layout, train)?;
        let state = first.as_ref().unwrap_or(state);
        let state = self.attention_output.operators(&attended, state, train)?;
        self.feed_operators(&state, train)
    }

    fn feed_operators(&self, state: &Tensor, train: bool) -> Result<Tensor> {
        let wide = self.activation.apply(&self.intermediate.forward(state)?)?; // […, I]
        self.output.operators(&wide, state, train)
    }

    /// What comes after attention, `[…, H]` to `[…, H]`.
    pub(in crate::model) fn feed_forward(&self, state: &Tensor, train: bool) -> Result<Tensor> {
        if !self.is_fused(state) {
            return self.feed_operators(state, train);
        }
        let output = self.feed_fused(&State::new(matrix(state)?)?, train)?;
        output.full.f_view_as(state).doing("feeding forward")
    }

    /// Whether any weight of the layer is trained.
    pub(in crate::model) fn is_trained(&self) -> bool {
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

    /// `[…, in]` and the residual `[…, H]` to `[…, H]`.
    pub(in crate::model) fn forward(
        &self,
        x: &Tensor,
        residual: &Tensor,
        train: bool,
    ) -> Result<Tensor> {
        let (weight, _) = self.dense.parts();
        let fits = fused::is_available(residual.device(), &weight.size());
        if !fits || residual.kind() != Kind::Float {
            return self.operators(x, residual, train);
        }
        let x = State::new(matrix(x)?)?;
        let output = self.fused(x.for_products(), &matrix(residual)?, train)?;
        output.full.f_view_as(residual).doing("adding the residual")
    }

    fn operators(&self, x: &Tensor, residual: &Tensor, train: bool) -> Result<Tensor> {
        let sum = self
            .dense
            .forward(x)?
            .f_dropout(self.dropout, train)
            .and_then(|x| x.f_add(residual))
            .doing("adding the residual")?;
        self.norm.forward(&sum)
    }

    pub(in crate::model) fn shared(&self) -> Self {
        Self {
            dense: self.dense.shared(),
            norm: self.norm.shared(),
            dropout: self.dropout,
        }
    }

    /// The same in one operation.
    fn fused(&self, x: &Tensor, residual: &Tensor, train: bool) -> Result<State> {
        let dropout = if train { self.dropout } else { 0.0 };
        let (norm, eps) = self.norm.parts();
        let dense = self.dense.parts();
        let (full, short) = fused::dense_add_norm(x, dense, residual, norm, eps, dropout)
            .doing("adding the residual")?;
        Ok(State { full, short })
    }

    pub(in crate::model) fn is_trained(&self) -> bool {
        self.dense.is_trained() || self.norm.is_trained()
    }
}

/// `[…, H]` to `[T, H]`.
fn matrix(x: &Tensor) -> Result<Tensor> {
    x.f_flatten(0, -2).doing("putting tokens in a row")
}

#[cfg(test)]
mod tests;
