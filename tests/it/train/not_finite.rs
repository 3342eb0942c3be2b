//! Losses that are no longer numbers: the run stops, skips the step, or goes back.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{
    BertClassifier, Callback, CheckpointEvery, Checkpoints, Control, Error, FineTuner, Inputs,
    Loss, OnNotFinite, Result, Schedule, StepRecord, TrainConfig, TrainReport, Trainer, Warmup,
    Warning,
};

use super::resume::assert_same;
use super::trainer::{classifier, classifier_on, fast, weights};
use crate::fixture::eight;

/// A classifier whose loss is NaN where `is_wrong` says so of its weights and a target.
struct Faulty<F>(BertClassifier, F);

impl<F: Fn(&BertClassifier, &Tensor) -> bool> FineTuner for Faulty<F> {
    reads_as_classifier!(0);

    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.0.logits(inputs, train)
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let loss = self.0.loss(logits, target)?;
        let factor = if (self.1)(&self.0, target) {
            f64::NAN
        } else {
            1.0
        };
        Ok(Loss {
            sum: loss.sum * factor,
            ..loss
        })
    }
}

fn config(on_not_finite: OnNotFinite) -> TrainConfig {
    TrainConfig {
        on_not_finite,
        schedule: Schedule::Constant,
        warmup: Warmup::Steps(0),
        epochs: 6.0,
        batch_size: 2,
        log_every: 2,
        check_data: false,
        seed: 15,
        ..fast()
    }
}

/// How far the head's bias is from 0, where it starts.
fn drift(model: &BertClassifier) -> f64 {
    let bias = &model.backbone().named_variables()["classifier.bias"];
    bias.abs().max().double_value(&[])
}

const BACK: OnNotFinite = OnNotFinite::GoBack {
    at_most: 8,
    factor: 0.25,
};

/// Stops after so many steps, those that are undone later included.
struct StopAfter(usize);

impl Callback for StopAfter {
    fn on_step(&mut self, _: &StepRecord) -> Control {
        self.0 -= 1;
        match self.0 {
            0 => Control::Stop,
            _ => Control::Continue,
        }
    }
}

/// A run whose loss is NaN as soon as its weights have moved too far.
fn run_back(dir: &Path, resume: bool, stop: usize) -> Result<(TrainReport, super::Weights)> {
    run_back_with(dir, resume, StopAfter(stop))
}

fn run_back_with(
    dir: &Path,
    resume: bool,
    callback: impl Callback,
) -> Result<(TrainReport, super::Weights)> {
    let checkpoints = Checkpoints::new(dir)
        .every(CheckpointEvery::Steps(2))
        .keep(1)
        .resume(resume);
    let classifier = classifier_on(Device::Cpu);
    let mut model = Faulty(classifier, |model: &BertClassifier, _: &Tensor| {
        drift(model) > 0.0032
    });
    let report = Trainer::new(config(BACK))?
        .checkpoints(checkpoints)
        .callback(callback)
        .run(&mut model, &eight(), None)?;
    Ok((report, weights(&model.0)))
}

#[test]
fn a_run_goes_back_and_on_with_a_lower_rate_and_is_resumed_exactly() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = run_back(dir.path(), false, usize::MAX).expect("a run");
    let report = &whole.0;
    assert!((1..=8).contains(&report.went_back), "{}", report.went_back);
    assert_eq!(report.global_step, 24);
    assert_eq!(report.to_results()["went_back"], report.went_back as f64);
    // In the middle of an epoch of four steps, so that moments and generator must be those of then.
    let back = |warning: &Warning| match warning {
        Warning::WentBack { to_step, .. } if !to_step.is_multiple_of(4) => Some(*to_step),
        _ => None,
    };
    let back = report.warnings.iter().find_map(back);
    let back = back.unwrap_or_else(|| panic!("{:?}", report.warnings));
    // Interrupts at the checkpoint, in the step that is undone, and after it.
    for stop in [back, back + 1, back + 2, 20] {
        for is_killed in [false, true] {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let (report, _) = run_back(dir.path(), false, stop).expect("a run that is stopped");
            let step = report.global_step;
            // One that is killed leaves no checkpoint but those of the calendar.
            if is_killed && !step.is_multiple_of(2) {
                let checkpoint = dir.path().join(format!("checkpoint-{step}"));
                std::fs::remove_dir_all(checkpoint).expect("a checkpoint");
            }
            let resumed = run_back(dir.path(), true, usize::MAX).expect("a run that goes on");
            assert_same(&resumed, &whole);
        }
    }
}

/// Looks for the checkpoint of a step when the step is made.
struct Looks(PathBuf, usize, Rc<Cell<bool>>);

impl Callback for Looks {
    fn on_step(&mut self, record: &StepRecord) -> Control {
        if record.step == self.1 {
            let checkpoint = self.0.join(format!("checkpoint-{}", self.1));
            assert!(!checkpoint.exists(), "it is of the path that was left");
            self.2.set(true);
        }
        Control::Continue
    }
}

#[test]
fn what_an_interrupt_has_saved_goes_when_the_run_goes_back_behind_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // The seventh step moves the weights too far, and none but an interrupt writes a checkpoint.
    let (report, _) = run_back(dir.path(), false, 7).expect("a run that is stopped");
    assert_eq!((report.global_step, report.went_back), (7, 0));
    assert!(dir.path().join("checkpoint-7").exists());
    let looked = Rc::new(Cell::new(false));
    let looks = Looks(dir.path().to_owned(), 7, looked.clone());
    let (report, _) = run_back_with(dir.path(), true, looks).expect("a run that goes on");
    assert!(report.went_back > 0 && looked.get());
}

#[test]
fn a_run_that_cannot_be_helped_by_going_back_stops() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // The second step is wrong, however small the first was.
    let mut model = Faulty(classifier(), |model: &BertClassifier, _: &Tensor| {
        drift(model) > 0.0
    });
    let mut trainer = Trainer::new(config(BACK)).expect("a configuration");
    let error = trainer.run(&mut model, &eight(), None);
    let error = error.expect_err("no checkpoints to go back to").to_string();
    assert!(error.contains("on_not_finite"), "{error}");
    let mut trainer = trainer.checkpoints(Checkpoints::new(dir.path()));
    match trainer.run(&mut model, &eight(), None) {
        Err(Error::NotFinite {
            step: 2,
            learning_rate,
            ..
        }) => assert_eq!(learning_rate, 3e-3 * 0.25_f64.powi(8)),
        other => panic!("{other:?}"),
    }
    // The first step is the same again after going back.
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut model = Faulty(classifier(), |_: &BertClassifier, _: &Tensor| true);
    let mut trainer = trainer.checkpoints(Checkpoints::new(dir.path()));
    match trainer.run(&mut model, &eight(), None) {
        Err(Error::NotFinite {
            step: 1,
            learning_rate,
            ..
        }) => assert_eq!(learning_rate, 3e-3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_skipped_step_leaves_the_weights_and_is_counted() {
    // Batches of one row each: those of the second class are skipped.
    let fit = |at_most| {
        let mut model = Faulty(classifier(), |_: &BertClassifier, target: &Tensor| {
            target.sum(Kind::Double).double_value(&[]) > 0.0
        });
        let config = TrainConfig {
            batch_size: 1,
            epochs: 1.0,
            ..config(OnNotFinite::SkipStep { at_most })
        };
        let report = Trainer::new(config)?.run(&mut model, &eight(), None)?;
        Ok::<_, Error>((report, weights(&model.0)))
    };
    let (report, moved) = fit(4).expect("a run");
    assert_eq!((report.global_step, report.skipped_steps), (8, 4));
    assert_eq!(report.to_results()["skipped_steps"], 4.0);
    assert!(report.train_loss.is_finite());
    let is_skipped = |warning: &&Warning| matches!(warning, Warning::SkippedStep { .. });
    assert_eq!(report.warnings.iter().filter(is_skipped).count(), 4);
    assert!(
        moved
            .values()
            .all(|weight| weight.isfinite().all().int64_value(&[]) == 1)
    );
    // One more than is allowed.
    assert!(matches!(fit(3), Err(Error::NotFinite { .. })));
}

#[test]
fn steps_are_not_skipped_for_weights_that_are_not_finite() {
    let mut model = classifier();
    let bias = model.backbone().named_variables()["classifier.bias"].shallow_clone();
    let _ = bertfit::tch::no_grad(|| bias.shallow_clone().fill_(f64::INFINITY));
    let mut trainer = Trainer::new(config(OnNotFinite::SkipStep { at_most: 100 }));
    let trainer = trainer.as_mut().expect("a configuration");
    match trainer.run(&mut model, &eight(), None) {
        Err(Error::NotFinite {
            step: 1,
            parameter,
            largest,
            ..
        }) => assert_eq!(
            (&parameter[..], largest),
            ("classifier.bias", f64::INFINITY)
        ),
        other => panic!("{other:?}"),
    }
}
