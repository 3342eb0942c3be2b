//! How far the download of a file is: a bar on a terminal, else lines in the log.

use std::time::{Duration, Instant};

/// Between two lines of the log.
const PAUSE: Duration = Duration::from_secs(10);

/// Files below so many bytes are there at once.
const WORTH_A_WORD: u64 = 1 << 20;

pub(super) struct Progress {
    what: String,
    total: Option<u64>,
    last_line: Instant,
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// Begins with a word about it.
    #[cfg_attr(not(feature = "progress"), allow(unused_variables))]
    pub(super) fn begin(file: &str, model: &str, total: Option<u64>, draws: bool) -> Self {
        let what = format!("{file} of `{model}`");
        let progress = Self {
            #[cfg(feature = "progress")]
            bar: bar(&what, total).filter(|_| draws),
            what,
            total,
            last_line: Instant::now(),
        };
        if !progress.is_drawn() {
            match total {
                Some(total) if total < WORTH_A_WORD => log::debug!("downloading {}", progress.what),
                Some(total) => log::info!("downloading {} ({})", progress.what, megabytes(total)),
                None => log::info!("downloading {}", progress.what),
            }
        }
        progress
    }

    #[cfg(feature = "progress")]
    fn is_drawn(&self) -> bool {
        self.bar.is_some()
    }

    #[cfg(not(feature = "progress"))]
    fn is_drawn(&self) -> bool {
        false
    }

    /// So many bytes have come.
    pub(super) fn set(&mut self, received: u64) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.set_position(received);
            return;
        }
        if let Some(line) = self.line(received, Instant::now()) {
            log::info!("{line}");
        }
    }

    /// What to say now, if it is time.
    fn line(&mut self, received: u64, now: Instant) -> Option<String> {
        if now.duration_since(self.last_line) < PAUSE {
            return None;
        }
        self.last_line = now;
        let Self { what, total, .. } = self;
        Some(match total.filter(|&total| total > 0) {
            Some(total) => {
                let percent = (100.0 * received as f64 / total as f64) as u64;
                let (came, total) = (megabytes(received), megabytes(total));
                format!("downloading {what}: {came} of {total} ({percent} %)")
            }
            None => format!("downloading {what}: {}", megabytes(received)),
        })
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// None where standard error is no terminal.
#[cfg(feature = "progress")]
fn bar(what: &str, total: Option<u64>) -> Option<indicatif::ProgressBar> {
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

    let template = match total {
        Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        None => "{msg} {spinner} {bytes} {bytes_per_sec}",
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    if bar.is_hidden() {
        return None;
    }
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or(ProgressStyle::default_bar()));
    Some(bar.with_message(what.to_owned()))
}

#[cfg(feature = "progress")]
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_download_is_told_each_ten_seconds() {
        let mut progress = Progress::begin("model.safetensors", "a/b", Some(400_000_000), false);
        let start = progress.last_line;
        let mut at =
            |seconds, received| progress.line(received, start + Duration::from_secs(seconds));
        assert_eq!(at(9, 50_000_000), None);
        assert_eq!(
            at(10, 100_000_000).as_deref(),
            Some("downloading model.safetensors of `a/b`: 100.0 MB of 400.0 MB (25 %)")
        );
        assert_eq!(at(19, 200_000_000), None);
        assert!(at(25, 399_999_999).is_some_and(|line| line.ends_with("(99 %)")));

        progress.total = None;
        let line = progress.line(1_500_000, start + Duration::from_secs(60));
        assert_eq!(
            line.as_deref(),
            Some("downloading model.safetensors of `a/b`: 1.5 MB")
        );
    }
}
