//! What a run does when its loss or its gradient is no longer a number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::config::ensure;
use crate::error::{Result, TorchContext};

/// What to do in a step whose loss or gradient is NaN or infinite. The weights have not
/// been moved then. After the last time that is allowed, the run stops with
/// [`Error::NotFinite`](crate::Error::NotFinite).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OnNotFinite {
    /// Stops.
    #[default]
    Stop,
    /// Leaves weights and moments as they are, and goes on with the next step; the step
    /// counts for the schedule. It stops all the same if a weight is not finite, since
    /// then no later step can be.
    SkipStep {
        /// Most steps of the run that may be skipped.
        at_most: usize,
    },
    /// Goes back to the last checkpoint, and on from there with a lower learning rate.
    /// Needs [`Trainer::checkpoints`](crate::Trainer::checkpoints), which then begin with
    /// one of step 0. It stops all the same if this is the first step after the checkpoint,
    /// since the weights are then the same again, whatever the rate.
    GoBack {
        /// Most times that the run may go back.
        at_most: usize,
        /// The learning rate is multiplied by this each time, above 0 and below 1.
        factor: f64,
    },
}

impl OnNotFinite {
    pub(super) fn validate(self) -> Result<()> {
        match self {
            Self::Stop => Ok(()),
            Self::SkipStep { at_most } => {
                ensure(at_most > 0, "on_not_finite.at_most", "at least 1", at_most)
            }
            Self::GoBack { at_most, factor } => {
                ensure(at_most > 0, "on_not_finite.at_most", "at least 1", at_most)?;
                let fits = factor > 0.0 && factor < 1.0;
                ensure(fits, "on_not_finite.factor", "above 0 and below 1", factor)
            }
        }
    }

    pub(super) fn goes_back(self) -> bool {
        matches!(self, Self::GoBack { .. })
    }

    /// What the learning rate is multiplied by after going back so many times.
    pub(super) fn rate_factor(self, went_back: usize) -> f64 {
        match self {
            Self::GoBack { factor, .. } => factor.powi(went_back as i32),
            _ => 1.0,
        }
    }
}

/// The variable with the largest number, by magnitude; NaN is larger than all others.
pub(super) fn largest_parameter(variables: &BTreeMap<String, Tensor>) -> Result<(String, f64)> {
    let largest = |variable: &Tensor| -> Result<f64, TchError> {
        let at = variable.f_abs()?.f_argmax(None, false)?;
        let number = variable
            .f_flatten(0, -1)?
            .f_index_select(0, &at.f_view(1)?)?;
        number.f_to_kind(Kind::Double)?.f_double_value(&[0])
    };
    let mut found = (String::new(), 0.0_f64);
    for (name, variable) in variables {
        let number = tch::no_grad(|| largest(variable)).doing("looking for large weights")?;
        if number.is_nan() || number.abs() > found.1.abs() {
            found = (name.clone(), number);
        }
        if number.is_nan() {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_parameter_is_found_by_magnitude_and_nan_first_of_all() {
        let of = |numbers: &[&[f32]]| {
            let named = numbers.iter().enumerate();
            let named = named.map(|(i, x)| (i.to_string(), Tensor::from_slice(x)));
            largest_parameter(&named.collect()).expect("numbers")
        };
        assert_eq!(of(&[&[1.0, -2.0], &[1.5]]), ("0".to_owned(), -2.0));
        let (name, value) = of(&[&[f32::INFINITY], &[1.0, f32::NAN], &[3.0]]);
        assert!(name == "1" && value.is_nan());
    }

    #[test]
    fn the_policies_are_written_as_json_by_their_names() {
        let json = |policy: OnNotFinite| serde_json::to_string(&policy).expect("plain data");
        assert_eq!(json(OnNotFinite::Stop), r#""stop""#);
        let back = OnNotFinite::GoBack {
            at_most: 3,
            factor: 0.5,
        };
        assert_eq!(json(back), r#"{"go_back":{"at_most":3,"factor":0.5}}"#);
        assert_eq!(back.rate_factor(2), 0.25);
    }
}
