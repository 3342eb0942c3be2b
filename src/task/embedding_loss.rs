//! What a model of embeddings learns from pairs and triplets: the losses of
//! sentence-transformers.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor};

use crate::encode::{EmbeddingTarget, LOWEST};
use crate::error::{Error, Result};
use crate::fine_tuner::Loss;
use crate::native;

/// How embeddings are compared in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmbeddingLoss {
    /// Cross-entropy over cosines: each text is to find its own pair among all pairs and
    /// negatives of the batch (van den Oord et al. 2018). Texts that are known to be like
    /// it are none of its negatives. The mean is over texts. Scores are not looked at: all
    /// pairs are alike.
    MultipleNegatives {
        /// Factor of the cosines; sentence-transformers has 20.
        scale: f64,
    },
    /// The squared difference of a pair's cosine and its score, which must be from -1 to 1
    /// (Reimers and Gurevych 2019). The mean is over pairs.
    Cosine,
    /// The order of the cosines of all pairs in a batch is to be that of their scores
    /// (Huang et al. 2024). There is one loss for a batch, and the mean is over batches.
    CoSent {
        /// Factor of the cosines; sentence-transformers has 20.
        scale: f64,
    },
    /// The negative is to be further off than the pair, by a margin (Hermans et al. 2017).
    /// The mean is over triplets.
    Triplet {
        /// How far off; sentence-transformers' default is Euclidean.
        distance: TripletDistance,
        /// The margin; sentence-transformers has 5, which is too much for cosines.
        margin: f64,
    },
}

/// How far two vectors are from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TripletDistance {
    /// The length of their difference.
    Euclidean,
    /// 1 less their cosine.
    Cosine,
}

impl Default for EmbeddingLoss {
    /// [`MultipleNegatives`](Self::MultipleNegatives) with the scale 20.
    fn default() -> Self {
        Self::MultipleNegatives { scale: 20.0 }
    }
}

impl EmbeddingLoss {
    /// # Errors
    /// When a number is out of its range.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::MultipleNegatives { scale } | Self::CoSent { scale }
                if !(scale > 0.0 && scale.is_finite()) =>
            {
                Err(Error::config("scale", "above 0", scale))
            }
            Self::Triplet { margin, .. } if !(margin >= 0.0 && margin.is_finite()) => {
                Err(Error::config("margin", "at least 0", margin))
            }
            _ => Ok(()),
        }
    }

    /// The scores that each pair must have, if it must.
    pub(super) fn scores(&self) -> Option<RangeInclusive<f32>> {
        match self {
            Self::Cosine => Some(-1.0..=1.0),
            Self::CoSent { .. } => Some(f32::MIN..=f32::MAX),
            Self::MultipleNegatives { .. } | Self::Triplet { .. } => None,
        }
    }

    pub(super) fn needs_negatives(&self) -> bool {
        matches!(self, Self::Triplet { .. })
    }

    /// The loss of embeddings `[2N + M, H]`.
    pub(super) fn of(
        &self,
        embeddings: &Tensor,
        target: &EmbeddingTarget,
    ) -> Result<Loss, TchError> {
        let parts = Parts::of(embeddings, target)?;
        let mean_over_examples = |sum| Loss {
            sum,
            count: target.examples() as f64,
        };
        match *self {
            Self::MultipleNegatives { scale } => {
                let candidates = unit(&Tensor::f_cat(&[&parts.pairs, &parts.negatives], 0)?)?;
                let texts = unit(&parts.texts)?;
                let scores = native::matmul(&texts, &candidates.f_transpose(0, 1)?)? // [N, N + M]
                    .f_mul_scalar(scale)?
                    .f_masked_fill(&target.like, LOWEST)?;
                let own = Tensor::f_arange(target.examples(), (Kind::Int64, scores.device()))?;
                let sum =
                    scores.f_cross_entropy_loss::<Tensor>(&own, None, Reduction::Sum, -100, 0.0)?;
                Ok(mean_over_examples(sum))
            }
            Self::Cosine => {
                let cosines = cosines(&parts.texts, &parts.pairs)?;
                let sum = cosines.f_mse_loss(&target.scores, Reduction::Sum)?;
                Ok(mean_over_examples(sum))
            }
            Self::CoSent { scale } => {
                let cosines = cosines(&parts.texts, &parts.pairs)?.f_mul_scalar(scale)?;
                let excess = cosines.f_unsqueeze(1)?.f_sub(&cosines)?; // [N, N]
                // Only where the row's score is the lower one should its cosine be lower.
                let scores = &target.scores;
                let in_order = scores.f_unsqueeze(1)?.f_ge_tensor(scores)?;
                let excess = excess.f_masked_fill(&in_order, LOWEST)?;
                let zero = Tensor::f_zeros([1], (excess.kind(), excess.device()))?;
                let all = Tensor::f_cat(&[zero, excess.f_flatten(0, 1)?], 0)?;
                let sum = all.f_logsumexp(0, false)?;
                Ok(Loss { sum, count: 1.0 })
            }
            Self::Triplet { distance, margin } => {
                let of_negatives = |x: &Tensor| x.f_index_select(0, &target.negatives);
                let texts = of_negatives(&parts.texts)?;
                let near = distance.between(&texts, &of_negatives(&parts.pairs)?)?;
                let far = distance.between(&texts, &parts.negatives)?;
                let excess = near.f_sub(&far)?.f_add_scalar(margin)?.f_relu()?;
                Ok(mean_over_examples(excess.f_sum(None)?))
            }
        }
    }
}

impl TripletDistance {
    /// Of each row of `a` from that of `b`: `[N, H]` to `[N]`.
    fn between(self, a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
        match self {
            // Where both are the same, its gradient is zero; that of a root is none.
            Self::Euclidean => a.f_sub(b)?.f_norm_scalaropt_dim(2, [1], false),
            Self::Cosine => cosines(a, b)?.f_rsub_scalar(1.0),
        }
    }
}

/// The embeddings of a batch by what they are of.
pub(super) struct Parts {
    pub(super) texts: Tensor,     // [N, H]
    pub(super) pairs: Tensor,     // [N, H]
    pub(super) negatives: Tensor, // [M, H]
}

impl Parts {
    pub(super) fn of(embeddings: &Tensor, target: &EmbeddingTarget) -> Result<Self, TchError> {
        let examples = target.examples();
        let negatives = target.negatives.size()[0];
        Ok(Self {
            texts: embeddings.f_narrow(0, 0, examples)?,
            pairs: embeddings.f_narrow(0, examples, examples)?,
            negatives: embeddings.f_narrow(0, 2 * examples, negatives)?,
        })
    }
}

/// Each row divided by its length; zero stays zero.
pub(super) fn unit(x: &Tensor) -> Result<Tensor, TchError> {
    let length = x.f_norm_scalaropt_dim(2, [1], true)?;
    x.f_div(&length.f_clamp_min(1e-12)?)
}

/// The cosine of each row of `a` with that of `b`: `[N, H]` to `[N]`.
pub(super) fn cosines(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    unit(a)?.f_mul(&unit(b)?)?.f_sum_dim_intlist(1, false, None)
}
