//! Tokens that were guessed right.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::error::{Result, TorchContext};
use crate::metrics::Metric;

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
