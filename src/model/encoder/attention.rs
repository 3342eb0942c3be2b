//! Multi-head attention of tokens to those of their own row, the one place that knows where
//! rows end.

use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

use super::layout::{Group, Layout};
use crate::error::{Result, TorchContext};
use crate::model::config::BertConfig;
use crate::model::linear::Linear;
use crate::native::Autocast;

/// Scores that are computed at once on a CPU: 4 MiB in float32, so that softmax and the
/// product after it find them in the cache.
const SCORES_AT_ONCE: i64 = 1 << 20;

/// Queries, keys and values of several heads.
#[derive(Debug)]
pub(in crate::model) struct Attention {
    pub(in crate::model) query: Linear,
    pub(in crate::model) key: Linear,
    pub(in crate::model) value: Linear,
    heads: i64,
    pub(in crate::model) head_size: i64,
    pub(in crate::model) dropout: f64,
}

impl Attention {
    pub(in crate::model) fn new(path: &Path, config: &BertConfig) -> Result<Self> {
        let (size, std) = (config.hidden_size, config.initializer_range);
        let dense = |name: &str| Linear::new(&(path / name), size, size, std);
        Ok(Self {
            query: dense("query")?,
            key: dense("key")?,
            value: dense("value")?,
            heads: config.num_attention_heads,
            head_size: config.head_size(),
            dropout: config.attention_probs_dropout_prob,
        })
    }

    /// The same with the same weights.
    pub(super) fn shared(&self) -> Self {
        Self {
            query: self.query.shared(),
            key: self.key.shared(),
            value: self.value.shared(),
            ..*self
        }
    }

    /// `[T, H]` to `[T, H]`
    pub(super) fn forward(&self, state: &Tensor, layout: &Layout, train: bool) -> Result<Tensor> {
        // Once, instead of once for each of the three.
        let state = match Autocast::is_on() {
            true => &state.f_to_kind(Kind::BFloat16).doing("choosing bfloat16")?,
            false => state,
        };
        let sizes: Vec<i64> = layout.groups().iter().map(Group::tokens).collect();
        let parts = |dense: &Linear| {
            let all = dense.forward(state)?; // [T, H]
            let parts = match sizes.len() {
                1 => Ok(vec![all]),
                _ => all.f_split_with_sizes(&sizes[..], 0),
            };
            parts.doing("splitting rows")
        };
        let (queries, keys, values) = (parts(&self.query)?, parts(&self.key)?, parts(&self.value)?);
        let dropout = if train { self.dropout } else { 0.0 };
        let mixed = layout
            .groups()
            .iter()
            .zip(queries.iter().zip(&keys).zip(&values))
            .map(|(group, ((query, key), value))| self.attend(group, [query, key, value], dropout));
        mixed
            .collect::<Result<Vec<_>, _>>()
            .and_then(joined)
            .doing("attending")
    }

    pub(super) fn is_trained(&self) -> bool {
        [&self.query, &self.key, &self.value]
            .into_iter()
            .any(Linear::is_trained)
    }

    /// Query, key and value of a group, `[T, H]` each, to `[T, H]`.
    fn attend(&self, group: &Group, parts: [&Tensor; 3], dropout: f64) -> Result<Tensor, TchError> {
        let heads = |x: &Tensor| {
            x.f_view([group.rows, group.length, self.heads, self.head_size])?
                .f_transpose(1, 2) // [B, heads, L, head_size]
        };
        let [query, key, value] = parts;
        let (query, key, value) = (heads(query)?, heads(key)?, heads(value)?);
        let mixed = match query.device().is_cuda() {
            true => attend(&query, &key, &value, group.bias.as_ref(), dropout),
            false => attend_in_cache(&query, &key, &value, group, dropout),
        }?; // [B, heads, L, head_size]
        mixed.f_transpose(1, 2)?.f_reshape([group.tokens(), -1])
    }
}

/// Parts as one, along their first dimension.
fn joined(parts: Vec<Tensor>) -> Result<Tensor, TchError> {
    match &parts[..] {
        [whole] => Ok(whole.shallow_clone()),
        parts => Tensor::f_cat(parts, 0),
    }
}

/// Attention by libtorch's choice of kernel; all `[B, heads, L, head_size]`, and `bias`,
/// which is added to the scores, of a shape that expands to `[B, heads, L, L]`.
pub(in crate::model) fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    bias: Option<&Tensor>,
    dropout: f64,
) -> Result<Tensor, TchError> {
    let bias = match bias {
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
    group: &Group,
    dropout: f64,
) -> Result<Tensor, TchError> {
    let size = query.size();
    let [rows, heads, length, head_size] = size[..] else {
        unreachable!("`Attention::attend` makes four dimensions");
    };
    let scale = (head_size as f64).powf(-0.5);
    let all = rows * heads;
    let at_once = (SCORES_AT_ONCE / (length * length).max(1)).clamp(1, all.max(1));
    let parts = |x: &Tensor| x.f_reshape([all, length, -1])?.f_split(at_once, 0);
    let (queries, keys, values) = (parts(query)?, parts(key)?, parts(value)?);
    let biases = match &group.bias {
        Some(bias) => bias
            .f_expand([rows, heads, 1, length], false)?
            .f_reshape([all, 1, length])?
            .f_split(at_once, 0)?,
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
    joined(mixed)?.f_view(&size[..])
}
