//! When a run writes a checkpoint.

use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// When a run writes a checkpoint, besides at each new best evaluation and at its end.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum CheckpointEvery {
    /// After each epoch.
    #[default]
    Epoch,
    /// After each so many optimizer steps.
    Steps(usize),
    /// At the first optimizer step after so many minutes.
    Minutes(f64),
}

impl FromStr for CheckpointEvery {
    type Err = Error;

    /// Reads `epoch`, a number of steps, or a number of minutes with an `m` behind.
    fn from_str(text: &str) -> Result<Self> {
        let minutes = text.strip_suffix('m').and_then(|text| text.parse().ok());
        let every = match (text, text.parse(), minutes) {
            ("epoch", ..) => Some(Self::Epoch),
            (_, Ok(steps), _) if steps > 0 => Some(Self::Steps(steps)),
            (_, _, Some(minutes)) => Some(Self::Minutes(minutes)),
            _ => None,
        };
        let every = every.filter(|every: &Self| every.validate().is_ok());
        let rule = "epoch, a number of steps, or minutes such as 10m";
        every.ok_or_else(|| Error::config("checkpoint_every", rule, text))
    }
}

impl CheckpointEvery {
    pub(super) fn validate(self) -> Result<()> {
        let (rule, got) = match self {
            Self::Steps(0) => ("above 0", 0.0),
            Self::Minutes(minutes) if minutes.is_nan() || minutes <= 0.0 => ("above 0", minutes),
            Self::Minutes(minutes) if duration(minutes).is_none() => {
                ("a time that a clock can count", minutes)
            }
            _ => return Ok(()),
        };
        Err(Error::config("checkpoint_every", rule, got))
    }

    /// Whether it is time for a checkpoint at the end of a step, so long after the last one.
    pub(crate) fn is_due(self, step: usize, epoch_ends: bool, since_last: Duration) -> bool {
        match self {
            Self::Epoch => epoch_ends,
            Self::Steps(every) => step.is_multiple_of(every),
            Self::Minutes(minutes) => duration(minutes).is_some_and(|every| since_last >= every),
        }
    }
}

/// `None` for what no clock counts to.
fn duration(minutes: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(60.0 * minutes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_an_epoch_steps_or_minutes() {
        let read = |text: &str| text.parse::<CheckpointEvery>().ok();
        assert_eq!(read("epoch"), Some(CheckpointEvery::Epoch));
        assert_eq!(read("500"), Some(CheckpointEvery::Steps(500)));
        assert_eq!(read("2.5m"), Some(CheckpointEvery::Minutes(2.5)));
        for wrong in [
            "0", "0m", "-1m", "m", "ten", "1.5", "infm", "nanm", "1e18m", "",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_time_is_too_long_to_be_refused_or_waited_for() {
        for minutes in [1e18, f64::MAX, f64::INFINITY, f64::NAN, -1e18] {
            let every = CheckpointEvery::Minutes(minutes);
            let error = every.validate();
            let error = error.expect_err("no time").to_string();
            assert!(error.starts_with("`checkpoint_every` must be "), "{error}");
            assert!(!every.is_due(1, true, Duration::MAX));
        }
        let day = CheckpointEvery::Minutes(1440.0);
        assert!(!day.is_due(1, true, Duration::from_secs(86_399)));
        assert!(day.is_due(1, true, Duration::from_secs(86_400)));
        // The largest that is accepted.
        let longest = CheckpointEvery::Minutes(u64::MAX as f64 / 61.0);
        longest.validate().expect("a time");
        assert!(!longest.is_due(1, true, Duration::from_secs(1)));
    }
}
