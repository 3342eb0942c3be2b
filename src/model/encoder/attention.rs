//! Multi-head attention of tokens to those of their own row, the one place that knows where
//! rows end.

use std::sync::OnceLock;

use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

use super::layout::{Group, Layout};
use crate::error::{Result, TorchContext};
use crate::model::config::BertConfig;
use crate::model::linear::Linear;
use crate::native::fused::{self, Row};
use crate::native::{self, Arg, Autocast, Op, one};

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
    pub(in crate::model) fn shared(&self) -> Self {
        Self {
            query: self.query.shared(),
            key: self.key.shared(),
            value: self.value.shared(),
            ..*self
        }
    }

    /// `[T, H]` to `[T, H]`; where only a token of each row is `asking`, `[B, H]`, to `[B, H]`.
    pub(super) fn forward(
        &self,
        state: &Tensor,
        asking: Option<&Tensor>,
        layout: &Layout,
        train: bool,
    ) -> Result<Tensor> {
        // Once, instead of once for each of the three.
        let state = match Autocast::is_on(state.device()) {
            true => &state.f_to_kind(Kind::BFloat16).doing("choosing bfloat16")?,
            false => state,
        };
        let parts = |dense: &Linear, state: &Tensor, sizes: &[i64]| {
            let all = dense.forward(state)?; // [T, H]
            let parts = match sizes.len() {
                1 => Ok(vec![all]),
                _ => all.f_split_with_sizes(sizes, 0),
            };
            parts.doing("splitting rows")
        };
        let sizes: Vec<i64> = layout.groups().iter().map(Group::tokens).collect();
        let (keys, values) = (
            parts(&self.key, state, &sizes)?,
            parts(&self.value, state, &sizes)?,
        );
        let queries = match asking {
            None => parts(&self.query, state, &sizes)?,
            Some(asking) => {
                let asking = layout.in_groups(asking).doing("sorting rows")?;
                parts(&self.query, &asking, &layout.rows_of_groups())?
            }
        };
        let dropout = if train { self.dropout } else { 0.0 };
        let mixed = layout
            .groups()
            .iter()
            .zip(queries.iter().zip(&keys).zip(&values))
            .map(|(group, ((query, key), value))| self.attend(group, [query, key, value], dropout));
        let mixed = mixed.collect::<Result<Vec<_>, _>>().and_then(joined);
        match asking {
            None => mixed,
            Some(_) => mixed.and_then(|mixed| layout.in_rows(&mixed)),
        }
        .doing("attending")
    }

    /// The same in one operation, for rows whose lengths are known.
    pub(super) fn fused(
        &self,
        x: &Tensor,
        asking: Option<&Tensor>,
        (rows, layout): (&[Row], &Layout),
        train: bool,
    ) -> Result<Tensor> {
        let dense = [self.query.parts(), self.key.parts(), self.value.parts()];
        let dropout = if train { self.dropout } else { 0.0 };
        let attend = |asking, rows| fused::attention(x, asking, dense, rows, self.heads, dropout);
        match asking {
            None => attend(None, rows),
            Some(first) => {
                let queries = layout.first_rows(rows);
                attend(Some((first, &queries)), &rows[..queries.len()])
            }
        }
        .doing("attending")
    }

    pub(in crate::model) fn is_trained(&self) -> bool {
        [&self.query, &self.key, &self.value]
            .into_iter()
            .any(Linear::is_trained)
    }

    /// Query, key and value of a group, `[T, H]` each, to as many rows as the query has.
    fn attend(&self, group: &Group, parts: [&Tensor; 3], dropout: f64) -> Result<Tensor, TchError> {
        let heads = |x: &Tensor| {
            x.f_view([group.rows, -1, self.heads, self.head_size])?
                .f_transpose(1, 2) // [B, heads, L, head_size]
        };
        let [query, key, value] = parts;
        let tokens = query.size()[0];
        let (query, key, value) = (heads(query)?, heads(key)?, heads(value)?);
        let mixed = attend([&query, &key, &value], group.bias.as_ref(), dropout)?;
        mixed.f_transpose(1, 2)?.f_reshape([tokens, -1])
    }
}

/// Parts as one, along their first dimension.
fn joined(parts: Vec<Tensor>) -> Result<Tensor, TchError> {
    match &parts[..] {
        [whole] => Ok(whole.shallow_clone()),
        parts => Tensor::f_cat(parts, 0),
    }
}

/// Attention of queries `[B, heads, T, head_size]` to keys and values `[B, heads, L,
/// head_size]`; `bias` is added to the scores, `[B or 1, heads or 1, T or 1, L]`.
pub(in crate::model) fn attend(
    parts: [&Tensor; 3],
    bias: Option<&Tensor>,
    dropout: f64,
) -> Result<Tensor, TchError> {
    match parts[0].device().is_cuda() {
        true => attend_fused(parts, bias, dropout),
        false => attend_in_cache(parts, bias, dropout),
    }
}

/// By libtorch's choice of kernel.
fn attend_fused(
    [query, key, value]: [&Tensor; 3],
    bias: Option<&Tensor>,
    dropout: f64,
) -> Result<Tensor, TchError> {
    static FUSED: OnceLock<Op> = OnceLock::new();
    let fused = Op::once(&FUSED, "aten::scaled_dot_product_attention", "")?;
    let bias = bias.map(|bias| bias.f_to_kind(query.kind())).transpose()?;
    let mut results = fused.call(&[
        Arg::Tensor(query),
        Arg::Tensor(key),
        Arg::Tensor(value),
        // The fastest kernel takes none. tch 0.17 cannot leave it out.
        bias.as_ref().map_or(Arg::Absent, Arg::Tensor),
        Arg::Double(dropout),
    ])?;
    one(&mut results)
}

/// As plain products, some heads at a time: on CPUs faster than libtorch's kernels, the more
/// so the longer the rows.
fn attend_in_cache(
    [query, key, value]: [&Tensor; 3],
    bias: Option<&Tensor>,
    dropout: f64,
) -> Result<Tensor, TchError> {
    let size = query.size();
    let [rows, heads, queries, head_size] = size[..] else {
        unreachable!("an attention makes four dimensions");
    };
    let keys = key.size()[2];
    let scale = (head_size as f64).powf(-0.5);
    let all = rows * heads;
    let at_once = (SCORES_AT_ONCE / (queries * keys).max(1)).clamp(1, all.max(1));
    let parts = |x: &Tensor, length| x.f_reshape([all, length, -1])?.f_split(at_once, 0);
    let (queries, keys, values) = (
        parts(query, queries)?,
        parts(key, keys)?,
        parts(value, keys)?,
    );
    let biases = match bias {
        None => Vec::new(),
        Some(bias) => {
            let size = bias.size();
            let of_all = [rows, heads, size[2], size[3]];
            match size[..2] == [1, 1] {
                true => vec![bias.f_squeeze_dim(0)?],
                false => bias
                    .f_expand(of_all, false)?
                    .f_reshape([all, size[2], size[3]])?
                    .f_split(at_once, 0)?,
            }
        }
    };
    let mut mixed = Vec::with_capacity(queries.len());
    for (part, ((query, key), value)) in queries.iter().zip(&keys).zip(&values).enumerate() {
        let key = key.f_transpose(1, 2)?;
        // One for all, or one for each part.
        let scores = match biases.get(part).or(biases.first()) {
            Some(bias) if native::are_exact(query)? => bias
                .f_to_kind(query.kind())?
                .f_baddbmm(query, &key, 1.0, scale)?,
            Some(bias) => native::bmm(&query.f_mul_scalar(scale)?, &key)?.f_add(bias)?,
            None => native::bmm(&query.f_mul_scalar(scale)?, &key)?,
        }; // [part, T, L]
        let shares = scores.f_softmax(-1, None::<Kind>)?;
        let shares = match dropout > 0.0 {
            true => shares.f_dropout(dropout, true)?,
            false => shares,
        };
        mixed.push(native::bmm(&shares, value)?);
    }
    joined(mixed)?.f_view(&size[..])
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn libtorchs_choice_and_plain_products_agree() {
        tch::manual_seed(1);
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let bias = random(&[2, 1, 1, 7]);
        for bias in [None, Some(&bias)] {
            let parts = [5, 7, 7].map(|length| random(&[2, 3, length, 8]).set_requires_grad(true));
            let of = |attend: fn(_, _, _) -> Result<Tensor, TchError>| {
                let [query, key, value] = &parts;
                let mixed = attend([query, key, value], bias, 0.0).expect("attention");
                let gradients = Tensor::run_backward(
                    &[mixed.sin().sum(Kind::Float)],
                    &[query, key, value],
                    false,
                    false,
                );
                std::iter::once(mixed).chain(gradients).collect::<Vec<_>>()
            };
            for (ours, other) in of(attend_in_cache).iter().zip(of(attend_fused)) {
                let difference = (ours - other).abs().max().double_value(&[]);
                assert!(difference < 1e-5, "{difference}");
            }
        }
    }

    #[test]
    fn dropout_without_a_mask_reaches_libtorch() {
        tch::manual_seed(1);
        let x = Tensor::randn([1, 2, 4, 8], (Kind::Float, Device::Cpu));
        let of = |dropout| attend_fused([&x, &x, &x], None, dropout).expect("attention");
        assert_eq!(of(0.0), of(0.0));
        assert_ne!(of(0.5), of(0.5));
    }
}
