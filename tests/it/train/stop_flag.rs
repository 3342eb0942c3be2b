//! A flag that somebody sets ends a run well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bertfit::{
    Callback, CheckpointEvery, Checkpoints, Control, EvalRecord, StepRecord, StopFlag, Stopped,
    TrainConfig, Trainer,
};

use super::resume::{Outcome, assert_same, config, rows};
use super::trainer::{classifier, weights};
use crate::fixture::eight;

/// Sets the flag at the so-manieth event, as a signal would that comes then: events are
/// steps, and batches and ends of evaluations.
struct SetAt {
    events: usize,
    flag: Arc<AtomicBool>,
}

impl SetAt {
    fn count(&mut self) -> Control {
        self.events = self.events.saturating_sub(1);
        if self.events == 0 {
            self.flag.store(true, Ordering::Relaxed);
        }
        Control::Continue
    }
}

impl Callback for SetAt {
    fn on_step(&mut self, _: &StepRecord) -> Control {
        self.count()
    }

    fn on_evaluation_batch(&mut self) -> Control {
        self.count()
    }

    fn on_evaluate(&mut self, _: &EvalRecord, _: bool) -> Control {
        self.count()
    }
}

fn run(checkpoints: Checkpoints, events: usize) -> Outcome {
    // Four batches of an evaluation.
    let config = TrainConfig {
        eval_batch_size: 2,
        ..config()
    };
    let flag = Arc::default();
    let set = SetAt {
        events,
        flag: Arc::clone(&flag),
    };
    let mut model = classifier();
    let report = Trainer::new(config)
        .expect("a trainer")
        .checkpoints(checkpoints)
        .callback(set)
        .callback(StopFlag::new(flag))
        .run(&mut model, &rows(), Some(&eight()));
    (report.expect("a run"), weights(&model))
}

#[test]
fn a_run_whose_flag_is_set_ends_there_and_goes_on_exactly() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // The only checkpoints are those of the stop and of best evaluations.
    let checkpoints = |name: &str| {
        let checkpoints = Checkpoints::new(dir.path().join(name));
        checkpoints
            .every(CheckpointEvery::Minutes(1e6))
            .resume(true)
    };
    let whole = run(checkpoints("whole"), usize::MAX);
    assert_eq!(whole.0.stopped, Stopped::EarlyStopping);
    // After each third step there is an evaluation: eight events.
    let last = 8 * whole.0.global_step / 3;
    for (event, step) in [
        (1, 1),
        (3, 3), // before the evaluation
        (4, 3), // after its first batch
        (7, 3), // after its last
        (8, 3), // after the evaluation
        (last - 1, whole.0.global_step),
        (last, whole.0.global_step),
    ] {
        let name = event.to_string();
        let stopped = run(checkpoints(&name), event);
        assert_eq!(stopped.0.global_step, step, "{event}");
        // What has come to its end does not go on.
        let expected = match event == last {
            true => Stopped::EarlyStopping,
            false => Stopped::Callback,
        };
        assert_eq!(stopped.0.stopped, expected, "{event}");
        let step = format!("{name}/checkpoint-{step}");
        assert!(dir.path().join(step).exists(), "{event}");
        assert_same(&run(checkpoints(&name), usize::MAX), &whole);
    }
}
