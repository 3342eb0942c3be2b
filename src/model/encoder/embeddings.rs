//! Token ids to the first hidden state: word + position + segment, normalised.

use std::cell::Cell;

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::layout::Layout;
use crate::encode::Inputs;
use crate::error::{Result, TorchContext};
use crate::model::config::BertConfig;
use crate::model::linear::{Embedding, LayerNorm};

#[derive(Debug)]
pub(in crate::model) struct Embeddings {
    word: Embedding,
    position: Embedding,
    token_type: Embedding,
    norm: LayerNorm,
    dropout: f64,
    /// Whether the gradient of `word` holds only the rows of the batch's tokens.
    sparse: Cell<bool>,
    /// Whether a decoder has the same weights, and gives every row a gradient.
    shared: Cell<bool>,
}

impl Embeddings {
    pub(in crate::model) fn new(path: &Path, config: &BertConfig) -> Result<Self> {
        let size = config.hidden_size;
        let table = |name: &str, rows, padding_id| {
            Embedding::new(
                &(path / name),
                rows,
                size,
                config.initializer_range,
                padding_id,
            )
        };
        Ok(Self {
            word: table("word_embeddings", config.vocab_size, config.pad_token_id)?,
            position: table("position_embeddings", config.max_position_embeddings, -1)?,
            token_type: table("token_type_embeddings", config.type_vocab_size, -1)?,
            norm: LayerNorm::new(&(path / "LayerNorm"), size, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
            sparse: Cell::new(false),
            shared: Cell::new(false),
        })
    }

    pub(super) fn make_gradient_sparse(&self, sparse: bool) {
        self.sparse.set(sparse && !self.shared.get());
    }

    pub(super) fn words_are_own(&self) -> bool {
        !self.shared.get()
    }

    /// The same embeddings with the same weights, for a decoder.
    pub(super) fn shared(&self) -> Self {
        self.shared.set(true);
        Self {
            word: self.word.shared(),
            position: self.position.shared(),
            token_type: self.token_type.shared(),
            norm: self.norm.shared(),
            dropout: self.dropout,
            sparse: Cell::new(false),
            shared: Cell::new(true),
        }
    }

    pub(in crate::model) fn share_words(&self) -> Tensor {
        self.shared.set(true);
        self.word.weight().shallow_clone()
    }

    /// `[T, H]`
    pub(super) fn forward(&self, inputs: &Inputs, layout: &Layout, train: bool) -> Result<Tensor> {
        let (batch, length) = inputs.size();
        let packed = |x: &Tensor| layout.pack(x).doing("reading inputs"); // [T]
        let ids = packed(inputs.input_ids())?;
        let types = packed(inputs.token_type_ids())?;
        let positions = Tensor::f_arange(length, (Kind::Int64, ids.device()))
            .and_then(|positions| positions.f_expand([batch, length], false))
            .doing("numbering positions")?;
        let positions = packed(&positions)?;
        self.of(&ids, &types, &positions, train)
    }

    /// Ids, segments and positions of one shape, `[…]`, to `[…, H]`.
    pub(in crate::model) fn of(
        &self,
        ids: &Tensor,
        types: &Tensor,
        positions: &Tensor,
        train: bool,
    ) -> Result<Tensor> {
        let words = self.word.forward(ids, self.sparse.get())?;
        let types = self.token_type.forward(types, false)?;
        let positions = self.position.forward(positions, false)?;
        let sum = words
            .f_add(&types)
            .and_then(|sum| sum.f_add(&positions))
            .doing("adding embeddings")?;
        self.norm
            .forward(&sum)?
            .f_dropout(self.dropout, train)
            .doing("dropping out")
    }
}
