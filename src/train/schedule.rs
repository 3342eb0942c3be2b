//! The learning rate of each step, as pure functions; the formulas are those of
//! transformers' `get_scheduler`, so that runs can be compared step by step.

use std::f64::consts::PI;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// In a straight line to 0 at the last step.
    #[default]
    Linear,
    /// Along half a cosine to 0 at the last step.
    Cosine,
    /// Not at all.
    Constant,
}

/// How long the learning rate rises, in a straight line from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// A share of all steps, from 0 to 1, rounded up.
    Ratio(f64),
    /// So many steps.
    Steps(usize),
}

impl FromStr for Schedule {
    type Err = Error;

    /// Reads `linear`, `cosine` or `constant`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "linear" => Ok(Self::Linear),
            "cosine" => Ok(Self::Cosine),
            "constant" => Ok(Self::Constant),
            _ => Err(Error::config(
                "schedule",
                "linear, cosine or constant",
                name,
            )),
        }
    }
}

impl FromStr for Warmup {
    type Err = Error;

    /// Reads a share of all steps, below 1, or a number of steps.
    fn from_str(text: &str) -> Result<Self> {
        match (text.parse::<f64>(), text.parse()) {
            (Ok(ratio), _) if (0.0..1.0).contains(&ratio) => Ok(Self::Ratio(ratio)),
            (_, Ok(steps)) => Ok(Self::Steps(steps)),
            _ => Err(Error::config(
                "warmup",
                "a share below 1 or a number of steps",
                text,
            )),
        }
    }
}

impl Default for Warmup {
    /// A tenth of all steps.
    fn default() -> Self {
        Self::Ratio(0.1)
    }
}

impl Warmup {
    /// The steps of the warm-up in a run of `total` steps.
    pub fn steps(self, total: usize) -> usize {
        match self {
            Self::Ratio(ratio) => (total as f64 * ratio).ceil() as usize,
            Self::Steps(steps) => steps,
        }
    }
}

impl Schedule {
    /// What the highest learning rate is multiplied by, from 0 to 1, for the step
    /// number `step` (from 0) of `total`, the first `warmup` of which rise.
    pub fn factor(self, step: usize, warmup: usize, total: usize) -> f64 {
        if step < warmup {
            return step as f64 / warmup as f64;
        }
        let left = total.saturating_sub(step) as f64;
        let share_left = left / total.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Linear => share_left,
            Self::Cosine => 0.5 * (1.0 + (PI * (1.0 - share_left)).cos()),
            Self::Constant => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_rises_and_falls_as_in_transformers() {
        // get_linear_schedule_with_warmup(optimizer, 2, 6), six steps.
        let factors: Vec<_> = (0..6)
            .map(|step| Schedule::Linear.factor(step, 2, 6))
            .collect();
        assert_eq!(factors, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn cosine_falls_as_in_transformers() {
        // get_cosine_schedule_with_warmup(optimizer, 0, 4), four steps.
        let expected = [1.0, 0.853_553_390_593_273_8, 0.5, 0.146_446_609_406_726_24];
        for (step, expected) in expected.into_iter().enumerate() {
            assert!((Schedule::Cosine.factor(step, 0, 4) - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn a_ratio_of_the_steps_is_rounded_up() {
        assert_eq!(Warmup::Ratio(0.1).steps(228), 23);
        assert_eq!(Warmup::Ratio(0.0).steps(228), 0);
        assert_eq!(Warmup::Steps(5).steps(228), 5);
    }

    #[test]
    fn a_warm_up_longer_than_the_run_never_peaks() {
        assert_eq!(Schedule::Linear.factor(9, 20, 10), 0.45);
    }

    #[test]
    fn words_are_read_as_the_recipes_flags_want_them() {
        assert_eq!("cosine".parse::<Schedule>().ok(), Some(Schedule::Cosine));
        assert!("cosin".parse::<Schedule>().is_err());
        assert_eq!("0.1".parse::<Warmup>().ok(), Some(Warmup::Ratio(0.1)));
        assert_eq!("0".parse::<Warmup>().ok(), Some(Warmup::Ratio(0.0)));
        assert_eq!("100".parse::<Warmup>().ok(), Some(Warmup::Steps(100)));
        for wrong in ["1.5", "-1", "NaN", ""] {
            assert!(wrong.parse::<Warmup>().is_err(), "{wrong}");
        }
    }
}
