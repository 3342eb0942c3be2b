//! Ends a run when a flag is set: by the handler of a signal, or by another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::callback::{Callback, Control};
use super::report::{EvalRecord, StepRecord};

/// Ends a run once its flag is set: the optimizer step on its way is finished, a
/// checkpoint is written, and [`Trainer::run`](crate::Trainer::run) returns with
/// [`Stopped::Callback`](crate::Stopped::Callback). An evaluation on its way is given up;
/// the run that is resumed makes it.
///
/// The library installs no handler of signals; a program does:
///
/// ```
/// use std::sync::{Arc, atomic::AtomicBool};
/// use bertfit::{Checkpoints, StopFlag, TrainConfig, Trainer};
///
/// let flag = Arc::new(AtomicBool::new(false));
/// for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
///     signal_hook::flag::register(signal, flag.clone())?;
/// }
/// let trainer = Trainer::new(TrainConfig::default())?
///     .checkpoints(Checkpoints::new("run").resume(true))
///     .callback(StopFlag::new(flag));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct StopFlag {
    flag: Arc<AtomicBool>,
}

impl StopFlag {
    /// Watches a flag that somebody else sets.
    pub fn new(flag: Arc<AtomicBool>) -> Self {
        Self { flag }
    }

    fn control(&self) -> Control {
        match self.flag.load(Ordering::Relaxed) {
            true => Control::Stop,
            false => Control::Continue,
        }
    }
}

impl Callback for StopFlag {
    fn on_step(&mut self, _: &StepRecord) -> Control {
        self.control()
    }

    fn on_evaluation_batch(&mut self) -> Control {
        self.control()
    }

    fn on_evaluate(&mut self, _: &EvalRecord, _: bool) -> Control {
        self.control()
    }
}
