//! How well cosines of embeddings tell what is known of pairs and triplets.

use std::collections::BTreeMap;

use tch::{Kind, TchError, Tensor};

use super::embedding_loss::{Parts, cosines};
use crate::encode::EmbeddingTarget;
use crate::error::{Result, TorchContext};
use crate::metrics::{Metric, RegressionMetrics};

/// The correlation of cosines and scores, and the share of negatives that are less like
/// the text than its pair: each where there are such examples.
pub(super) struct EmbeddingMetric {
    scored: usize,
    scores: RegressionMetrics,
    triplets: usize,
    right: i64,
}

impl EmbeddingMetric {
    pub(super) fn new() -> Self {
        Self {
            scored: 0,
            scores: RegressionMetrics::new(1),
            triplets: 0,
            right: 0,
        }
    }
}

impl Metric<EmbeddingTarget> for EmbeddingMetric {
    fn update(&mut self, embeddings: &Tensor, target: &EmbeddingTarget) -> Result<()> {
        let compare = || -> Result<_, TchError> {
            let parts = Parts::of(embeddings, target)?;
            let of_pairs = cosines(&parts.texts, &parts.pairs)?;
            let of_negatives = |x: &Tensor| x.f_index_select(0, &target.negatives);
            let far = cosines(&of_negatives(&parts.texts)?, &parts.negatives)?;
            let right = of_negatives(&of_pairs)?.f_gt_tensor(&far)?;
            let right = right.f_sum(Kind::Int64)?.f_int64_value(&[])?;
            let scores = Vec::<f32>::try_from(&target.scores)?;
            Ok((right, Vec::<f32>::try_from(of_pairs)?, scores))
        };
        let (right, cosines, scores) = compare().doing("comparing embeddings")?;
        self.right += right;
        self.triplets += target.negatives.numel();
        for (cosine, score) in cosines.into_iter().zip(scores) {
            if !score.is_nan() {
                self.scored += 1;
                self.scores.update(&[cosine], &[score]);
            }
        }
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        let mut numbers = BTreeMap::new();
        let mut add = |name: &str, number| numbers.insert(name.to_owned(), number);
        if self.scored > 0 {
            add("pearson", self.scores.pearson());
            add("spearmanr", self.scores.spearman());
        }
        if self.triplets > 0 {
            add("accuracy", self.right as f64 / self.triplets as f64);
        }
        numbers
    }
}
