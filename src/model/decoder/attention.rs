//! Attention to keys and values that are kept: of the tokens so far, or of the input.

use tch::{TchError, Tensor};

use crate::error::{Result, TorchContext};
use crate::model::encoder::{Attention, attend};

/// `[B, heads, L, head_size]` each.
#[derive(Debug)]
pub(super) struct KeyValue {
    key: Tensor,
    value: Tensor,
}

impl KeyValue {
    pub(super) fn shallow_clone(&self) -> Self {
        Self {
            key: self.key.shallow_clone(),
            value: self.value.shallow_clone(),
        }
    }

    pub(super) fn requires_grad(&self) -> bool {
        self.key.requires_grad() || self.value.requires_grad()
    }

    pub(super) fn rows(&self) -> i64 {
        self.key.size()[0]
    }

    pub(super) fn length(&self) -> i64 {
        self.key.size()[2]
    }

    /// Those of some rows, `[N]`, in the order given.
    pub(super) fn select(&self, rows: &Tensor) -> Result<Self, TchError> {
        Ok(Self {
            key: self.key.f_index_select(0, rows)?,
            value: self.value.f_index_select(0, rows)?,
        })
    }

    pub(super) fn followed_by(&self, next: &Self) -> Result<Self, TchError> {
        Ok(Self {
            key: Tensor::f_cat(&[&self.key, &next.key], 2)?,
            value: Tensor::f_cat(&[&self.value, &next.value], 2)?,
        })
    }
}

impl Attention {
    /// Keys and values of a state `[B, L, H]`.
    pub(super) fn key_value(&self, state: &Tensor) -> Result<KeyValue> {
        // They may be read many times.
        let kept = |x: Tensor| self.split(&x)?.f_contiguous().doing("attending");
        Ok(KeyValue {
            key: kept(self.key.forward(state)?)?,
            value: kept(self.value.forward(state)?)?,
        })
    }

    /// `[B, T, H]` to `[B, T, H]`; `bias` is added to the scores.
    pub(super) fn over(
        &self,
        state: &Tensor,
        seen: &KeyValue,
        bias: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor> {
        let query = self.split(&self.query.forward(state)?)?;
        let dropout = if train { self.dropout } else { 0.0 };
        attend([&query, &seen.key, &seen.value], bias, dropout)
            .and_then(|mixed| mixed.f_transpose(1, 2)?.f_flatten(2, 3))
            .doing("attending")
    }

    /// `[B, L, H]` to `[B, heads, L, head_size]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let size = x.size();
        x.f_view([size[0], size[1], -1, self.head_size])
            .and_then(|x| x.f_transpose(1, 2))
            .doing("attending")
    }
}
