//! Guessed tokens: what their loss counts, and how many were right.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::error::{Result, TorchContext};
use crate::fine_tuner::Loss;
use crate::metrics::Metric;

/// A loss that is added up over the ids `[M]` of all guessed tokens.
pub(super) fn of_tokens(sum: Tensor, target: &Tensor) -> Loss {
    let count = target.numel() as f64;
    Loss { sum, count }
}

/// The share of tokens whose best guess was right: of logits `[M, V]` and ids `[M]`.
#[derive(Default)]
pub(super) struct TokenAccuracy {
    right: i64,
    all: usize,
}

impl Metric<Tensor> for TokenAccuracy {
    fn update(&mut self, logits: &Tensor, target: &Tensor) -> Result<()> {
        let right = logits
            .f_argmax(-1, false)
            .and_then(|best| best.f_eq_tensor(target)?.f_sum(Kind::Int64))
            .and_then(|right| right.f_int64_value(&[]));
        self.right += right.doing("counting right guesses")?;
        self.all += target.numel();
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        let accuracy = self.right as f64 / self.all.max(1) as f64;
        BTreeMap::from([("accuracy".to_owned(), accuracy)])
    }
}
