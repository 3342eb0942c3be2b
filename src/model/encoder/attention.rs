//! Multi-head self-attention, the one place that knows where rows end.

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::Layout;
use crate::error::{Result, TorchContext};
use crate::model::config::BertConfig;
use crate::model::linear::Linear;
use crate::native::{Autocast, OneDnn};

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
        // Once, instead of once for each of the three.
        let state = match Autocast::is_on() {
            true => &state.f_to_kind(Kind::BFloat16).doing("choosing bfloat16")?,
            false => state,
        };
        let heads = |dense: &Linear| {
            dense
                .forward(state)?
                .f_view([layout.batch, layout.length, -1, self.head_size])
                .and_then(|x| x.f_transpose(1, 2)) // [B, heads, L, head_size]
                .doing("splitting attention heads")
        };
        let dropout = if train { self.dropout } else { 0.0 };
        let (query, key, value) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        let bias = Some(&layout.bias);
        let attend = || {
            Tensor::f_scaled_dot_product_attention(
                &query,
                &key,
                &value,
                bias,
                dropout,
                false,
                None::<f64>,
            )
        };
        // libtorch's fused attention on the CPU, which has no dropout, is slower with oneDNN.
        let mixed = match dropout > 0.0 || state.device().is_cuda() {
            true => attend(),
            false => OneDnn::without(attend),
        };
        let mixed = mixed.doing("attending")?; // [B, heads, L, head_size]
        mixed
            .f_transpose(1, 2)
            .and_then(|x| x.f_reshape([layout.batch * layout.length, -1]))
            .doing("joining attention heads")
    }
}
