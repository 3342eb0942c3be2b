//! Multi-head self-attention, the one place that knows where rows end.

use tch::Tensor;
use tch::nn::Path;

use super::Layout;
use crate::error::{Result, TorchContext};
use crate::model::config::BertConfig;
use crate::model::linear::Linear;

#[derive(Debug)]
pub(super) struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    head_size: i64,
    dropout: f64,
}

impl SelfAttention {
    pub(super) fn new(path: &Path, config: &BertConfig) -> Result<Self> {
        let (size, std) = (config.hidden_size, config.initializer_range);
        let dense = |name: &str| Linear::new(&(path / name), size, size, std);
        Ok(Self {
            query: dense("query")?,
            key: dense("key")?,
            value: dense("value")?,
            head_size: config.head_size(),
            dropout: config.attention_probs_dropout_prob,
        })
    }

    /// `[T, H]` to `[T, H]`
    pub(super) fn forward(&self, state: &Tensor, layout: &Layout, train: bool) -> Result<Tensor> {
        let heads = |dense: &Linear| {
            dense
                .forward(state)?
                .f_view([layout.batch, layout.length, -1, self.head_size])
                .and_then(|x| x.f_transpose(1, 2)) // [B, heads, L, head_size]
                .doing("splitting attention heads")
        };
        let dropout = if train { self.dropout } else { 0.0 };
        let mixed = Tensor::f_scaled_dot_product_attention(
            &heads(&self.query)?,
            &heads(&self.key)?,
            &heads(&self.value)?,
            Some(&layout.bias),
            dropout,
            false,
            None,
        )
        .doing("attending")?; // [B, heads, L, head_size]
        mixed
            .f_transpose(1, 2)
            .and_then(|x| x.f_reshape([layout.batch * layout.length, -1]))
            .doing("joining attention heads")
    }
}
