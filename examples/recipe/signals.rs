//! Ctrl-C and a request to end: training ends well, all else at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bertfit::{Error, Result, StopFlag};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Watches for SIGINT and SIGTERM.
pub struct Signals {
    stop: Arc<AtomicBool>,
    /// The last one; 0 where there was none.
    signal: Arc<AtomicUsize>,
}

impl Signals {
    /// From now on the first one sets a flag, and a second one ends the program, with the
    /// status that shells give: 128 and the number of the signal.
    pub fn watch() -> Result<Self> {
        let (stop, signal) = (Arc::new(AtomicBool::new(false)), Arc::default());
        for number in [SIGINT, SIGTERM] {
            // In this order: the flag that the first sets is for the second to find.
            flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&stop))
                .and_then(|_| flag::register_usize(number, Arc::clone(&signal), number as usize))
                .and_then(|_| flag::register(number, Arc::clone(&stop)))
                .map_err(|error| Error::config("signals", "to be watched", error))?;
        }
        Ok(Self { stop, signal })
    }

    /// What stops training.
    pub fn stop_flag(&self) -> StopFlag {
        StopFlag::new(Arc::clone(&self.stop))
    }

    /// The status to end with, where there was a signal. From now on one ends the program
    /// at once.
    pub fn received(&self) -> Option<ExitCode> {
        self.stop.store(true, Ordering::SeqCst);
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            number => Some(ExitCode::from(128 + number as u8)),
        }
    }
}
