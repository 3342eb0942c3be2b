//! Multi-head self-attention, the one place that knows where rows end.

use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

use super::Layout;
use crate::error::{Result, TorchContext};
use crate::model::config::BertConfig;
use crate::model::linear::Linear;
use crate::native::Autocast;

/// Scores that are computed at once on a CPU: 4 MiB in float32, so that softmax and the
/// product after it find them in the cache.
const SCORES_AT_ONCE: i64 = 1 << 20;

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
                .f_view([layout.batch, layout.length, layout.heads, self.head_size])
                .and_then(|x| x.f_transpose(1, 2)) // [B, heads, L, head_size]
                .doing("splitting attention heads")
        };
        let (query, key, value) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        let dropout = if train { self.dropout } else { 0.0 };
        let mixed = match state.device().is_cuda() {
            true => attend(&query, &key, &value, layout, dropout),
            false => attend_in_cache(&query, &key, &value, layout, dropout),
        };
        let mixed = mixed.doing("attending")?; // [B, heads, L, head_size]
        mixed
            .f_transpose(1, 2)
            .and_then(|x| x.f_reshape([layout.batch * layout.length, -1]))
            .doing("joining attention heads")
    }
}

/// Attention by libtorch's choice of kernel; all `[B, heads, L, head_size]`.
fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    layout: &Layout,
    dropout: f64,
) -> Result<Tensor, TchError> {
    let bias = match &layout.bias {
        Some(bias) => bias.f_to_kind(query.kind())?,
        // tch 0.17 cannot leave it out.
        None => Tensor::f_zeros([1, 1, 1, 1], (query.kind(), query.device()))?,
    };
    Tensor::f_scaled_dot_product_attention(
        query,
        key,
        value,
        Some(&bias),
        dropout,
        false,
        None::<f64>,
    )
}

/// Attention as plain products, some heads at a time: on CPUs faster than libtorch's
/// kernels, the more so the longer the rows. All `[B, heads, L, head_size]`.
fn attend_in_cache(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    layout: &Layout,
    dropout: f64,
) -> Result<Tensor, TchError> {
    let Layout { length, heads, .. } = *layout;
    let size = query.size();
    let scale = (size[3] as f64).powf(-0.5);
    let all = layout.batch * heads;
    let at_once = (SCORES_AT_ONCE / (length * length).max(1)).clamp(1, all.max(1));
    let parts = |x: &Tensor| x.f_reshape([all, length, -1])?.f_split(at_once, 0);
    let (queries, keys, values) = (parts(query)?, parts(key)?, parts(value)?);
    let biases = match &layout.bias {
        Some(bias) => bias.f_reshape([all, 1, length])?.f_split(at_once, 0)?,
        None => Vec::new(),
    };
    let mut mixed = Vec::with_capacity(queries.len());
    for (part, ((query, key), value)) in queries.iter().zip(&keys).zip(&values).enumerate() {
        let key = key.f_transpose(1, 2)?;
        let scores = match biases.get(part) {
            Some(bias) => bias.f_baddbmm(query, &key, 1.0, scale)?,
            None => query.f_mul_scalar(scale)?.f_bmm(&key)?,
        }; // [part, L, L]
        let shares = scores.f_softmax(-1, None::<Kind>)?;
        let shares = match dropout > 0.0 {
            true => shares.f_dropout(dropout, true)?,
            false => shares,
        };
        mixed.push(shares.f_bmm(value)?);
    }
    let mixed = match &mixed[..] {
        [all] => all.shallow_clone(),
        parts => Tensor::f_cat(parts, 0)?,
    };
    mixed.f_view(&size[..])
}
