//! BERT's encoder (Devlin et al. 2019), with the parameter names of the published
//! checkpoints. Inside, hidden states are a matrix of tokens, `[T, H]`: dense
//! layers, norms and dropout know nothing of rows and lengths. Only attention
//! does, through [`Layout`], so that a layout without padding can take its place.

mod attention;
mod embeddings;
mod layer;

use tch::nn::Path;
use tch::{Kind, Tensor};

use self::embeddings::Embeddings;
use self::layer::Layer;
use super::config::BertConfig;
use super::linear::Linear;
use crate::encode::Inputs;
use crate::error::{Result, TorchContext};

/// A BERT encoder: embeddings, layers, and the pooler if it has one.
#[derive(Debug)]
pub struct BertEncoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pooler: Option<Linear>,
    heads: i64,
}

/// How the tokens of a batch lie in the matrix of hidden states: `B` rows of `L`
/// tokens each, padded.
pub(crate) struct Layout {
    batch: i64,
    length: i64,
    heads: i64,
    /// Added to the attention scores: 0 where the key is a token, the lowest
    /// number where it is padding. `[B, heads, 1, L]`; none if there is no padding.
    bias: Option<Tensor>,
}

/// The lowest finite number of bfloat16, which float32 has too.
const LOWEST: f64 = -3.389_531_389_251_535_5e38;

impl Layout {
    fn of(inputs: &Inputs, heads: i64) -> Result<Self> {
        let (batch, length) = inputs.size();
        let bias = || {
            let mask = inputs.attention_mask.f_to_kind(Kind::Float)?;
            // A row without a single token then gives an even spread instead of NaN.
            let bias = mask.f_rsub_scalar(1.0)?.f_mul_scalar(LOWEST)?;
            bias.f_view([batch, 1, 1, length])?
                .f_expand([batch, heads, 1, length], false)
        };
        let bias = (!inputs.is_full()).then(bias).transpose();
        Ok(Self {
            batch,
            length,
            heads,
            bias: bias.doing("reading the attention mask")?,
        })
    }
}

impl BertEncoder {
    /// Makes the variables under `path` (`embeddings…`, `encoder.layer.N…`,
    /// `pooler…`), randomly initialised by the configuration's
    /// `initializer_range`.
    ///
    /// # Errors
    /// When libtorch cannot make the tensors.
    pub fn new(path: &Path, config: &BertConfig, pooler: bool) -> Result<Self> {
        let layers = path / "encoder" / "layer";
        Ok(Self {
            embeddings: Embeddings::new(&(path / "embeddings"), config)?,
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::new(&(&layers / i), config))
                .collect::<Result<_>>()?,
            pooler: match pooler {
                true => {
                    let (size, std) = (config.hidden_size, config.initializer_range);
                    Some(Linear::new(&(path / "pooler" / "dense"), size, size, std)?)
                }
                false => None,
            },
            heads: config.num_attention_heads,
        })
    }

    /// The hidden states after the last layer, `[B, L, H]`. `train` turns dropout
    /// on.
    ///
    /// # Errors
    /// When libtorch refuses the inputs.
    pub fn hidden(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let states = self.run(inputs, train, |_| Ok(()))?;
        by_row(&states, inputs)
    }

    /// The hidden states after the embeddings and after each layer, each
    /// `[B, L, H]`.
    ///
    /// # Errors
    /// When libtorch refuses the inputs.
    pub fn hidden_states(&self, inputs: &Inputs, train: bool) -> Result<Vec<Tensor>> {
        let mut states = Vec::with_capacity(self.layers.len() + 1);
        let _ = self.run(inputs, train, |state| {
            states.push(by_row(state, inputs)?);
            Ok(())
        })?;
        Ok(states)
    }

    /// The pooled output `[B, H]`: tanh of a dense layer on the first token
    /// (`[CLS]`); without a pooler, the first token itself.
    ///
    /// # Errors
    /// When libtorch refuses the inputs.
    pub fn pooled(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.pool(&self.hidden(inputs, train)?)
    }

    /// The pooled output `[B, H]` of hidden states `[B, L, H]`.
    ///
    /// # Errors
    /// When libtorch refuses the shapes.
    pub fn pool(&self, hidden: &Tensor) -> Result<Tensor> {
        let first = hidden.f_select(1, 0).doing("taking the first token")?; // [B, H]
        match &self.pooler {
            Some(dense) => dense.forward(&first)?.f_tanh().doing("pooling"),
            None => Ok(first),
        }
    }

    /// Calls `seen` with each state `[T, H]` on the way, returns the last.
    fn run(
        &self,
        inputs: &Inputs,
        train: bool,
        mut seen: impl FnMut(&Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let layout = Layout::of(inputs, self.heads)?;
        let mut state = self.embeddings.forward(inputs, train)?; // [T, H]
        seen(&state)?;
        for layer in &self.layers {
            state = layer.forward(&state, &layout, train)?;
            seen(&state)?;
        }
        Ok(state)
    }
}

fn by_row(state: &Tensor, inputs: &Inputs) -> Result<Tensor> {
    let (batch, length) = inputs.size();
    state
        .f_view([batch, length, -1])
        .doing("shaping hidden states")
}
