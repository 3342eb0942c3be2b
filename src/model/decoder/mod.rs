//! BERT as a decoder (Rothe et al. 2020): each token sees those before it, and, through a
//! second attention in each layer, what an encoder has made of the input. Parameter names
//! are those of Hugging Face's `BertLMHeadModel` with cross-attention.

mod attention;

use tch::nn::Path;
use tch::{Kind, Tensor};

use self::attention::KeyValue;
use super::config::BertConfig;
use super::encoder::{Attention, BertEncoder, Embeddings, Layer, Output, Tape};
use crate::encode::LOWEST;
use crate::error::{Result, TorchContext};

/// Embeddings and layers of a decoder.
#[derive(Debug)]
pub(crate) struct BertDecoder {
    embeddings: Embeddings,
    layers: Vec<DecoderLayer>,
}

/// What an encoder has made of the input, as each layer attends to it.
#[derive(Debug)]
pub(crate) struct Memory {
    layers: Vec<KeyValue>,
    /// 0 where there is a token, the lowest number where there is padding, `[B, 1, 1, L]`.
    bias: Tensor,
}

/// Keys and values of the tokens so far, by layer.
#[derive(Debug, Default)]
pub(crate) struct Past(Vec<KeyValue>);

impl Memory {
    /// That of some rows, `[N]`, in the order given.
    pub(crate) fn select(&self, rows: &Tensor) -> Result<Self> {
        let bias = self.bias.f_index_select(0, rows);
        Ok(Self {
            layers: select(&self.layers, rows)?,
            bias: bias.doing("choosing sequences")?,
        })
    }
}

impl Past {
    /// That of some rows, `[N]`, in the order given.
    pub(crate) fn select(&self, rows: &Tensor) -> Result<Self> {
        Ok(Self(select(&self.0, rows)?))
    }

    fn length(&self) -> i64 {
        self.0.first().map_or(0, KeyValue::length)
    }
}

fn select(layers: &[KeyValue], rows: &Tensor) -> Result<Vec<KeyValue>> {
    let layers = layers.iter().map(|layer| layer.select(rows));
    layers
        .collect::<std::result::Result<_, _>>()
        .doing("choosing sequences")
}

/// Bytes that a decoder keeps for the backward pass of rows of which it reads these lengths and
/// writes so many tokens, by libtorch's operators in float32.
pub(crate) fn kept(config: &BertConfig, read: &[usize], written: usize) -> u64 {
    let size = |size: i64| size as u64;
    let (hidden, wide) = (size(config.hidden_size), size(config.intermediate_size));
    let (read, rows) = (read.iter().sum::<usize>() as u64, read.len() as u64);
    let tokens = rows * written as u64;
    // Two attentions with their norms, a feed-forward net; keys and values of what is read.
    let states = tokens * (17 * hidden + 2 * wide) + 2 * read * hidden;
    // Shares, dropout's factors and their product.
    let scores = 3 * size(config.num_attention_heads) * written as u64 * (tokens + read);
    4 * size(config.num_hidden_layers) * (states + scores)
}

impl BertDecoder {
    /// Makes the variables under `path` (`embeddings…`, `encoder.layer.N…`), randomly
    /// initialised. With `encoder`, all but the second attentions are its own.
    pub(crate) fn new(
        path: &Path,
        config: &BertConfig,
        encoder: Option<&BertEncoder>,
    ) -> Result<Self> {
        let path_of = |layer| path / "encoder" / "layer" / layer;
        let (embeddings, layers) = match encoder {
            Some(encoder) => encoder.shared(),
            None => (
                Embeddings::new(&(path / "embeddings"), config)?,
                (0..config.num_hidden_layers)
                    .map(|layer| Layer::new(&path_of(layer), config))
                    .collect::<Result<_>>()?,
            ),
        };
        let layers = layers.into_iter().zip(0..);
        let layers = layers.map(|(own, layer)| DecoderLayer::new(own, &path_of(layer), config));
        Ok(Self {
            embeddings,
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// The word embeddings, `[V, H]`, for a head with the same weights.
    pub(crate) fn share_word_embeddings(&self) -> Tensor {
        self.embeddings.share_words()
    }

    /// What the decoder attends to: the encoder's last state `[B, L, H]`, and 1 where there
    /// is a token in it, `[B, L]`.
    pub(crate) fn remember(&self, hidden: &Tensor, attention_mask: &Tensor) -> Result<Memory> {
        let (rows, length) = attention_mask.size2().doing("reading inputs")?;
        let bias = attention_mask
            .f_to_kind(Kind::Float)
            .and_then(|mask| mask.f_rsub_scalar(1.0)?.f_mul_scalar(LOWEST))
            .and_then(|bias| bias.f_view([rows, 1, 1, length]));
        let layers = self
            .layers
            .iter()
            .map(|layer| layer.cross.key_value(hidden));
        Ok(Memory {
            layers: layers.collect::<Result<_>>()?,
            bias: bias.doing("reading inputs")?,
        })
    }

    /// Token ids `[R, T]` to hidden states `[R, T, H]`; there may be several rows, side by
    /// side, for each input that is remembered. With a `tape` that is on, the layers are
    /// computed again in the backward pass.
    pub(crate) fn forward(
        &self,
        input_ids: &Tensor,
        memory: &Memory,
        train: bool,
        tape: &Tape,
    ) -> Result<Tensor> {
        let mut state = self.embed(input_ids, 0, train)?;
        let length = input_ids.size()[1];
        // What comes later is hidden.
        let place = (Kind::Float, state.device());
        let causal = Tensor::f_full([1, 1, length, length], LOWEST, place)
            .and_then(|bias| bias.f_triu(1))
            .doing("hiding what comes later")?;
        let checkpointing = train && tape.is_on();
        if checkpointing {
            state = tape.cut(state)?;
        }
        for (layer, seen) in self.layers.iter().zip(&memory.layers) {
            let is_trained = layer.is_trained() || seen.requires_grad();
            let layer = layer.shared();
            let (causal, seen) = (causal.shallow_clone(), seen.shallow_clone());
            let padding = memory.bias.shallow_clone();
            let through = move |state: &Tensor| {
                let own = layer.own.attention.key_value(state)?;
                layer.forward(state, (&own, Some(&causal)), (&seen, &padding), train)
            };
            state = match checkpointing {
                true => tape.forward(state, is_trained, through)?,
                false => through(&state)?,
            };
        }
        Ok(state)
    }

    /// The next token of each row, `[R, 1]`, which joins the past, to its state `[R, 1, H]`.
    pub(crate) fn next(
        &self,
        input_ids: &Tensor,
        memory: &Memory,
        past: &mut Past,
    ) -> Result<Tensor> {
        let mut state = self.embed(input_ids, past.length(), false)?;
        let mut seen = Vec::with_capacity(self.layers.len());
        for (number, (layer, memory_of_layer)) in self.layers.iter().zip(&memory.layers).enumerate()
        {
            let mut own = layer.own.attention.key_value(&state)?;
            if let Some(before) = past.0.get(number) {
                own = before.followed_by(&own).doing("remembering tokens")?;
            }
            let memory = (memory_of_layer, &memory.bias);
            state = layer.forward(&state, (&own, None), memory, false)?;
            seen.push(own);
        }
        past.0 = seen;
        Ok(state)
    }

    /// Token ids `[R, T]`, of which `before` stand before the first, to `[R, T, H]`.
    fn embed(&self, input_ids: &Tensor, before: i64, train: bool) -> Result<Tensor> {
        let (_, length) = input_ids.size2().doing("reading inputs")?;
        let place = (Kind::Int64, input_ids.device());
        let positions = Tensor::f_arange_start(before, before + length, place)
            .and_then(|positions| positions.f_expand_as(input_ids))
            .doing("numbering positions")?;
        let types = input_ids.f_zeros_like().doing("reading inputs")?;
        self.embeddings.of(input_ids, &types, &positions, train)
    }
}

/// A layer as an encoder has it, with a second attention.
#[derive(Debug)]
struct DecoderLayer {
    own: Layer,
    cross: Attention,
    cross_output: Output,
}

impl DecoderLayer {
    fn new(own: Layer, path: &Path, config: &BertConfig) -> Result<Self> {
        let cross = path / "crossattention";
        Ok(Self {
            own,
            cross: Attention::new(&(&cross / "self"), config)?,
            cross_output: Output::new(&(&cross / "output"), config.hidden_size, config)?,
        })
    }

    /// The same with the same weights.
    fn shared(&self) -> Self {
        Self {
            own: self.own.shared(),
            cross: self.cross.shared(),
            cross_output: self.cross_output.shared(),
        }
    }

    /// Whether any weight of the layer is trained.
    fn is_trained(&self) -> bool {
        self.own.is_trained() || self.cross.is_trained() || self.cross_output.is_trained()
    }

    /// `[R, T, H]` to `[R, T, H]`, by its own keys and values and the encoder's, each with
    /// what is added to the scores.
    fn forward(
        &self,
        state: &Tensor,
        (seen, causal): (&KeyValue, Option<&Tensor>),
        (memory, padding): (&KeyValue, &Tensor),
        train: bool,
    ) -> Result<Tensor> {
        let (.., size) = state.size3().doing("attending")?;
        let attended = self.own.attention.over(state, seen, causal, train)?;
        let state = self.own.attention_output.forward(&attended, state, train)?;
        // Several rows may be about one input.
        let by_input = state.f_view([memory.rows(), -1, size]).doing("attending")?;
        let attended = self.cross.over(&by_input, memory, Some(padding), train)?;
        let attended = attended.f_view_as(&state).doing("attending")?;
        let state = self.cross_output.forward(&attended, &state, train)?;
        self.own.feed_forward(&state, train)
    }
}
