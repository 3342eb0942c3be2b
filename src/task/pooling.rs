//! The hidden states of a text's tokens to one vector.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::encode::{Inputs, LOWEST};
use crate::error::{Error, Result, TorchContext};
use crate::model::BertEncoder;

/// How one vector is made of a text's tokens, special tokens included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The first of them, `[CLS]`.
    Cls,
    /// In each place the highest number.
    Max,
}

impl FromStr for Pooling {
    type Err = Error;

    /// Reads `mean`, `cls` or `max`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "cls" => Ok(Self::Cls),
            "max" => Ok(Self::Max),
            _ => Err(Error::config("pooling", "mean, cls or max", name)),
        }
    }
}

impl Pooling {
    /// The vectors of rows, `[B, H]`.
    pub(super) fn of(self, encoder: &BertEncoder, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let pool = match self {
            Self::Cls => return encoder.first(inputs, train),
            Self::Mean => mean,
            Self::Max => largest,
        };
        let hidden = encoder.hidden(inputs, train)?;
        let mask = inputs.attention_mask().f_unsqueeze(-1); // [B, L, 1]
        mask.and_then(|mask| pool(&hidden, &mask)).doing("pooling")
    }
}

/// Hidden states `[B, L, H]` and a mask `[B, L, 1]` to `[B, H]`.
fn mean(hidden: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let mask = mask.f_to_kind(hidden.kind())?;
    let sum = hidden.f_mul(&mask)?.f_sum_dim_intlist(1, false, None)?;
    let tokens = mask.f_sum_dim_intlist(1, false, None)?;
    sum.f_div(&tokens.f_clamp_min(1.0)?)
}

fn largest(hidden: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let padding = mask.f_to_kind(Kind::Bool)?.f_logical_not()?;
    hidden.f_masked_fill(&padding, LOWEST)?.f_amax(1, false)
}
