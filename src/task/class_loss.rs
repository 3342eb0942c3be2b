//! What a classifier is trained to make small.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor};

use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::Loss;

/// The loss of classes of which each row has one. The default is plain cross-entropy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassLoss {
    /// Share of the target that is spread evenly over all classes (Szegedy et al. 2016),
    /// from 0 to below 1; default 0.
    pub label_smoothing: f64,
    /// What a row of each class weighs, in the order of the ids; default all the same.
    pub class_weights: Option<Vec<f32>>,
    /// The focal loss' exponent (Lin et al. 2017): rows that are right already count less
    /// by `(1 - p)^gamma`; default 0, which is cross-entropy. Not with label smoothing.
    pub focal_gamma: f64,
}

impl ClassLoss {
    /// Weights in inverse proportion to how often each class occurs, so that all classes
    /// weigh the same together and a row weighs 1 on average (scikit-learn's `balanced`).
    ///
    /// # Errors
    /// When a class does not occur.
    pub fn balanced(counts: &[usize]) -> Result<Self> {
        let rows: usize = counts.iter().sum();
        let weight = |&count: &usize| rows as f32 / (counts.len() as f32 * count as f32);
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            let got = format!("no row of class {class}");
            return Err(Error::config("class_weights", "of classes that occur", got));
        }
        Ok(Self {
            class_weights: Some(counts.iter().map(weight).collect()),
            ..Self::default()
        })
    }

    /// Checks every number, for so many classes.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that is out of its range.
    pub fn validate(&self, classes: usize) -> Result<()> {
        let smoothing = self.label_smoothing;
        if !(0.0..1.0).contains(&smoothing) {
            let rule = "at least 0 and below 1";
            return Err(Error::config("label_smoothing", rule, smoothing));
        }
        let gamma = self.focal_gamma;
        if !(gamma.is_finite() && gamma >= 0.0 && (gamma == 0.0 || smoothing == 0.0)) {
            let rule = "at least 0, and 0 with label smoothing";
            return Err(Error::config("focal_gamma", rule, gamma));
        }
        let Some(weights) = &self.class_weights else {
            return Ok(());
        };
        let usable = |weight: &f32| weight.is_finite() && *weight >= 0.0;
        match weights.len() == classes && weights.iter().all(usable) {
            true => Ok(()),
            false => {
                let rule = format!("{classes} numbers of at least 0");
                Err(Error::config("class_weights", rule, format!("{weights:?}")))
            }
        }
    }

    /// The loss of logits `[B, C]` and class ids `[B]`; the count is the rows' weight.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn of(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let compute = || -> Result<Loss, TchError> {
            let weights = match &self.class_weights {
                Some(weights) => Some(Tensor::f_from_slice(weights)?.f_to_device(logits.device())?),
                None => None,
            };
            let count = match &weights {
                Some(weights) => weights
                    .f_index_select(0, target)?
                    .f_sum(Kind::Double)?
                    .f_double_value(&[])?,
                None => target.size()[0] as f64,
            };
            let sum = match self.focal_gamma > 0.0 {
                true => self.focal(logits, target, weights.as_ref())?,
                false => logits.f_cross_entropy_loss(
                    target,
                    weights.as_ref(),
                    Reduction::Sum,
                    -100,
                    self.label_smoothing,
                )?,
            };
            Ok(Loss { sum, count })
        };
        compute().doing("computing the loss")
    }

    fn focal(
        &self,
        logits: &Tensor,
        target: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let of_target = target.f_unsqueeze(1)?;
        let log_p = logits.f_log_softmax(-1, Kind::Float)?;
        let log_p = log_p.f_gather(1, &of_target, false)?.f_squeeze_dim(1)?; // [B]
        // Below the least difference from 1, so that it changes only a 0, whose power has no slope.
        let least = f64::from(f32::EPSILON) / 4.0;
        let wrong = log_p.f_exp()?.f_rsub_scalar(1)?.f_clamp_min(least)?;
        let losses = wrong.f_pow_tensor_scalar(self.focal_gamma)?.f_mul(&log_p)?;
        let losses = match weights {
            Some(weights) => losses.f_mul(&weights.f_index_select(0, target)?)?,
            None => losses,
        };
        losses.f_sum(Kind::Float)?.f_neg()
    }
}
