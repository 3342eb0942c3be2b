//! An evaluation that fails, or panics, does not cost the steps before it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bertfit::tch::Tensor;
use bertfit::{
    BertClassifier, CheckpointEvery, Checkpoints, Dataset, Error, EvalEvery, Example, FineTuner,
    Inputs, Loss, Metric, Result, TrainConfig, Trainer,
};
use serde_json::Value;

use super::resume::{Outcome, assert_same, config, folder, rows};
use super::trainer::{classifier, weights};
use crate::fixture::eight;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Error,
    Panic,
}

/// A classifier of which one evaluation fails, counted from 0.
struct Failing {
    classifier: BertClassifier,
    evaluations: Cell<usize>,
    fails: Option<(usize, Fault)>,
}

impl FineTuner for Failing {
    reads_as_classifier!(classifier);

    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.classifier.logits(inputs, train)
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        self.classifier.loss(logits, target)
    }
    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        self.classifier.metric()
    }
    fn answer_metrics(&self, _: &dyn Dataset<Item = Example>) -> Result<BTreeMap<String, f64>> {
        let number = self.evaluations.replace(self.evaluations.get() + 1);
        match self.fails.filter(|(fails, _)| *fails == number) {
            None => Ok(BTreeMap::new()),
            Some((_, Fault::Panic)) => panic!("a bug in a metric"),
            Some((_, Fault::Error)) => Err(Error::Worker { doing: "testing" }),
        }
    }
}

/// `keep` checkpoints, and a run whose evaluation of a number fails.
fn run(
    dir: &Path,
    config: TrainConfig,
    every: CheckpointEvery,
    fails: Option<(usize, Fault)>,
) -> Result<Outcome> {
    let mut model = Failing {
        classifier: classifier(),
        evaluations: Cell::new(0),
        fails,
    };
    let checkpoints = Checkpoints::new(dir).every(every).resume(true);
    let report =
        Trainer::new(config)?
            .checkpoints(checkpoints)
            .run(&mut model, &rows(), Some(&eight()))?;
    Ok((report, weights(&model.classifier)))
}

/// Evaluations and checkpoints after each epoch of three steps; each has to be better than it is.
fn by_epoch() -> TrainConfig {
    TrainConfig {
        eval_every: EvalEvery::Epoch,
        metric: None,
        ..config()
    }
}

/// The first number of the newest checkpoint's state under this name.
fn state(dir: &Path, step: usize) -> Value {
    let text = std::fs::read_to_string(folder(dir, step).join("trainer_state.json"));
    serde_json::from_str(&text.expect("a state")).expect("JSON")
}

#[test]
fn the_epoch_is_saved_before_its_evaluation_and_goes_on_as_if_nothing_had_been() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = run(dir.path(), by_epoch(), CheckpointEvery::Epoch, None).expect("a run");
    let steps = whole.0.global_step;
    assert!(steps >= 9, "{steps} steps");
    for fault in [Fault::Error, Fault::Panic] {
        // The first epoch, the second, and the one that ends the run.
        for number in [0, 1, steps / 3 - 1] {
            let dir = tempfile::tempdir().expect("a folder");
            let fails = Some((number, fault));
            let failed = || run(dir.path(), by_epoch(), CheckpointEvery::Epoch, fails);
            match fault {
                Fault::Error => assert!(matches!(failed(), Err(Error::Worker { .. }))),
                Fault::Panic => assert!(catch_unwind(AssertUnwindSafe(failed)).is_err()),
            }
            let step = 3 * (number + 1);
            let saved = state(dir.path(), step);
            assert_eq!(saved["global_step"], step);
            let before = (number > 0).then(|| step - 3);
            assert_eq!(saved["evaluated_at"], Value::from(before));
            let resumed = run(dir.path(), by_epoch(), CheckpointEvery::Epoch, None);
            let resumed = resumed.expect("a run that goes on");
            assert_eq!(resumed.0.plan.resumed_step, step);
            assert_same(&resumed, &whole);
            // And the checkpoint knows of its evaluation then, if it is still there.
            let last = state(dir.path(), steps);
            assert_eq!(last["evaluated_at"], steps);
        }
    }
}

#[test]
fn an_evaluation_that_fails_between_checkpoints_costs_no_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = run(dir.path(), config(), CheckpointEvery::Steps(100), None).expect("a run");
    for number in [0, 1] {
        let dir = tempfile::tempdir().expect("a folder");
        let every = CheckpointEvery::Steps(100);
        let failed = run(dir.path(), config(), every, Some((number, Fault::Error)));
        assert!(matches!(failed, Err(Error::Worker { .. })));
        let resumed = run(dir.path(), config(), every, None).expect("a run that goes on");
        assert_eq!(resumed.0.plan.resumed_step, 3 * (number + 1));
        assert_same(&resumed, &whole);
    }
}

#[test]
fn a_checkpoint_holds_the_evaluation_of_its_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let (report, _) = run(dir.path(), by_epoch(), CheckpointEvery::Epoch, None).expect("a run");
    let best = report.best_step.expect("a best step");
    for step in [best, report.global_step] {
        let state = state(dir.path(), step);
        assert_eq!(state["evaluated_at"], step);
        let history = state["log_history"].as_array().expect("a list");
        let last = history.last().expect("a record");
        assert_eq!(
            (&last["step"], last["eval_loss"].is_f64()),
            (&step.into(), true)
        );
        bertfit::checkpoint::verify(folder(dir.path(), step)).expect("a whole checkpoint");
    }
    assert_eq!(state(dir.path(), best)["best"]["global_step"], best);
}
