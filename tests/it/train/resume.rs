//! A run that was stopped and resumed ends as one that never stopped, bit for bit;
//! a checkpoint that is damaged or of another run is never used.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bertfit::checkpoint::verify;
use bertfit::tch::Tensor;
use bertfit::{
    BertClassifier, BertClassifierBuilder, Callback, CheckpointEvery, Checkpoints, ClassLoss,
    Control, EarlyStopping, Error, EvalEvery, Example, Result, StepRecord, Stopped, TrainConfig,
    TrainReport, Trainer,
};
use serde_json::Value;

use super::hostile_state::write_state;
use super::trainer::{classifier, fast, weights};
use crate::fixture::eight;

/// Three groups of up to two batches in each of four epochs, with dropout, an
/// evaluation in the middle of epochs, and an end by early stopping before the last.
pub fn config() -> TrainConfig {
    TrainConfig {
        batch_size: 2,
        accumulate: 2,
        epochs: 6.0,
        seed: 3,
        log_every: 3,
        eval_every: EvalEvery::Steps(3),
        metric: Some("loss".to_owned()),
        early_stopping: Some(EarlyStopping {
            patience: 2,
            // More than there is to gain.
            threshold: 0.5,
        }),
        ..fast()
    }
}

/// Ten rows: five batches of two, so that the last group of an epoch is small.
pub fn rows() -> Vec<Example> {
    let mut rows = eight();
    rows.extend([
        Example::new("the food was fine", "good"),
        Example::new("this film is very , very dull", "bad"),
    ]);
    rows
}

/// Stops after a step, as an interrupt does.
pub struct StopAt(pub usize);

impl Callback for StopAt {
    fn on_step(&mut self, record: &StepRecord) -> Control {
        match record.step == self.0 {
            true => Control::Stop,
            false => Control::Continue,
        }
    }
}

pub fn checkpoints(dir: &Path) -> Checkpoints {
    Checkpoints::new(dir)
        .every(CheckpointEvery::Steps(1))
        .keep(100)
}

pub type Outcome = (TrainReport, BTreeMap<String, Tensor>);

pub fn run_with(
    config: TrainConfig,
    checkpoints: Checkpoints,
    train: Vec<Example>,
    stop: usize,
) -> Result<Outcome> {
    let mut model = classifier();
    let mut trainer = Trainer::new(config)?
        .checkpoints(checkpoints)
        .callback(StopAt(stop));
    let report = trainer.run(&mut model, &train, Some(&eight()))?;
    Ok((report, weights(&model)))
}

pub fn run(checkpoints: Checkpoints, stop: usize) -> Result<Outcome> {
    run_with(config(), checkpoints, rows(), stop)
}

#[track_caller]
pub fn assert_same((report, weights): &Outcome, (other, others): &Outcome) {
    for (name, tensor) in weights {
        assert!(tensor == &others[name], "{name} differs");
    }
    let untimed = |report: &TrainReport| {
        let mut value = serde_json::to_value(report).expect("plain data");
        remove_times(&mut value);
        value["plan"]["resumed_step"] = Value::Null;
        value
    };
    assert_eq!(untimed(report), untimed(other));
}

fn remove_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !key.ends_with("runtime") && !key.ends_with("per_second"));
            map.values_mut().for_each(remove_times);
        }
        Value::Array(list) => list.iter_mut().for_each(remove_times),
        _ => {}
    }
}

pub fn folder(dir: &Path, step: usize) -> PathBuf {
    dir.join(format!("checkpoint-{step}"))
}

/// What is in a folder, in alphabetical order.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A folder with the checkpoints up to a step of the folder `from`.
pub fn copy_up_to(from: &Path, step: usize) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for step in 1..=step {
        let target = folder(copy.path(), step);
        fs::create_dir(&target).expect("a folder");
        for entry in fs::read_dir(folder(from, step)).expect("a checkpoint") {
            let path = entry.expect("a file").path();
            fs::copy(&path, target.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    copy
}

#[test]
fn a_run_that_dies_after_any_step_ends_as_one_that_does_not() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = run(checkpoints(dir.path()), 0).expect("a run");
    let steps = whole.0.global_step;
    assert_eq!(whole.0.stopped, Stopped::EarlyStopping);
    assert!(
        steps > 6 && steps < whole.0.plan.total_steps,
        "{steps} steps"
    );
    assert!(whole.0.best_step < Some(steps));
    // Checkpoints do not change the run.
    let mut plain = classifier();
    let report = Trainer::new(config())
        .and_then(|mut trainer| trainer.run(&mut plain, &rows(), Some(&eight())))
        .expect("a run");
    assert_same(&(report, weights(&plain)), &whole);

    for step in 1..=steps {
        let copy = copy_up_to(dir.path(), step);
        let resumed = run(checkpoints(copy.path()).resume(true), 0).expect("a resumed run");
        assert_eq!(resumed.0.plan.resumed_step, step);
        assert_same(&resumed, &whole);
    }
}

#[test]
fn a_run_that_is_stopped_after_any_step_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = run(checkpoints(&dir.path().join("whole")), 0).expect("a run");
    for stop in 1..=whole.0.global_step {
        // Only the checkpoint that the stop asks for, and those of best evaluations.
        let each = Checkpoints::new(dir.path().join(stop.to_string()));
        let each = each.every(CheckpointEvery::Minutes(1e6)).resume(true);
        let stopped = run(each.clone(), stop).expect("a run");
        assert_eq!(stopped.0.global_step, stop);
        assert_eq!(stopped.0.stopped, Stopped::Callback);
        assert_same(&run(each, 0).expect("a resumed run"), &whole);
    }
}

#[test]
fn a_finished_run_is_not_trained_again() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = run(checkpoints(dir.path()), 0).expect("a run");
    let again = run(checkpoints(dir.path()).resume(true), 0).expect("the same run");
    assert_same(&again, &whole);
    assert_eq!(again.0.plan.resumed_step, whole.0.global_step);
    assert_eq!(again.0.train_runtime > 0.0, whole.0.train_runtime > 0.0);
}

#[test]
fn a_changed_generator_changes_the_run() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = run(checkpoints(dir.path()), 0).expect("a run");
    let copy = copy_up_to(dir.path(), 1);
    let path = folder(copy.path(), 1).join("trainer_state.json");
    let text = fs::read_to_string(&path).expect("a state");
    let mut state: Value = serde_json::from_str(&text).expect("JSON");
    // libtorch's layout: seed, left, seeded, next, then 624 numbers in 8 bytes each; a GPU's
    // is its seed and how many were drawn. The lowest byte of a number that is soon drawn, or
    // of the seed:
    let digits = state["generator"].as_str().expect("digits").to_owned();
    let byte = |at: usize| usize::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("a byte");
    let place = match digits.len() {
        32 => 0,
        _ => 2 * (24 + 8 * (byte(16) + 256 * byte(17) + 8)),
    };
    let other = if &digits[place..=place] == "0" {
        "1"
    } else {
        "0"
    };
    let changed = [&digits[..place], other, &digits[place + 1..]].concat();
    state["generator"] = changed.into();
    write_state(&folder(copy.path(), 1), &state);

    let resumed = run(checkpoints(copy.path()).resume(true), 0).expect("a resumed run");
    assert!(
        resumed
            .1
            .iter()
            .any(|(name, tensor)| tensor != &whole.1[name])
    );
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = run(checkpoints(dir.path()), 0).expect("a run");
    let newest = folder(dir.path(), 2);
    verify(&newest).expect("a whole checkpoint");
    let names = names(&newest);
    assert!(names.len() >= 7, "{names:?}");
    for name in &names {
        let copy = copy_up_to(dir.path(), 2);
        let path = folder(copy.path(), 2).join(name);
        let mut bytes = fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        fs::write(&path, bytes).expect("a file");
        let error = verify(folder(copy.path(), 2)).expect_err("a damaged checkpoint");
        assert!(error.to_string().contains("checkpoint-2"), "{error}");
        let resumed = run(checkpoints(copy.path()).resume(true), 0).expect("a resumed run");
        assert_eq!(resumed.0.plan.resumed_step, 1, "{name:?}");
        assert_same(&resumed, &whole);
    }
    for sixteenth in 0..16 {
        let copy = copy_up_to(dir.path(), 2);
        for name in [
            "model.safetensors",
            "optimizer.safetensors",
            "manifest.json",
        ] {
            let path = folder(copy.path(), 2).join(name);
            let whole = fs::read(newest.join(name)).expect("a file");
            fs::write(&path, &whole[..whole.len() * sixteenth / 16]).expect("a file");
            verify(folder(copy.path(), 2)).expect_err("a truncated file");
            fs::write(&path, whole).expect("a file");
        }
        verify(folder(copy.path(), 2)).expect("whole again");
    }
}

#[test]
fn where_no_checkpoint_is_whole_the_run_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run(checkpoints(dir.path()), 0).expect("a run");
    let copy = copy_up_to(dir.path(), 1);
    fs::remove_file(folder(copy.path(), 1).join("optimizer.safetensors")).expect("a file");
    let error = run(checkpoints(copy.path()).resume(true), 0).expect_err("no whole checkpoint");
    let expected = format!(
        "{}: no checkpoint can be used; the newest: {}: in the checkpoint's manifest, but not there",
        copy.path().display(),
        folder(copy.path(), 1)
            .join("optimizer.safetensors")
            .display(),
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn another_run_is_refused_with_what_differs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run(checkpoints(dir.path()), 1).expect("a run");
    let resume = || checkpoints(dir.path()).resume(true);
    let differences = |outcome: Result<Outcome>| match outcome {
        Err(Error::OtherRun { differences, .. }) => differences,
        other => panic!("{:?}", other.map(|outcome| outcome.0)),
    };
    let other_config = TrainConfig {
        learning_rate: 1e-3,
        batch_size: 4,
        ..config()
    };
    assert_eq!(
        differences(run_with(other_config, resume(), rows(), 0)),
        [
            "train_config.batch_size: 2, now 4",
            "train_config.learning_rate: 0.003, now 0.001"
        ]
    );
    let mut other_rows = rows();
    other_rows[3].label = "bad".to_owned();
    let other_data = differences(run_with(config(), resume(), other_rows, 0));
    assert_eq!(other_data.len(), 1);
    assert!(
        other_data[0].starts_with("train.sha256: "),
        "{other_data:?}"
    );

    let of_model = |set: &dyn Fn(BertClassifierBuilder) -> BertClassifierBuilder| {
        let builder = BertClassifier::builder(crate::fixture::tiny()).labels(["good", "bad"]);
        let mut model = set(builder).build().expect("a classifier");
        let outcome = Trainer::new(config())
            .map(|trainer| trainer.checkpoints(resume()))
            .and_then(|mut trainer| trainer.run(&mut model, &rows(), Some(&eight())));
        differences(outcome.map(|report| (report, BTreeMap::new())))
    };
    let other_model = of_model(&|builder| builder.max_length(16).seed(1));
    assert_eq!(
        other_model[0],
        "model.files.config.json.bertfit.max_length: 64, now 16"
    );
    assert!(
        other_model[1].starts_with("model.weights: "),
        "{other_model:?}"
    );

    // The loss is in no file of the model.
    let smoothed = ClassLoss {
        label_smoothing: 0.1,
        ..ClassLoss::default()
    };
    let other_loss = of_model(&|builder| builder.loss(smoothed.clone()));
    assert_eq!(other_loss, ["task.loss.label_smoothing: 0.0, now 0.1"]);

    let error = run(checkpoints(dir.path()), 0).expect_err("checkpoints of an earlier run");
    let expected = "a checkpoint of an earlier run; resume it, or remove it";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn the_newest_are_kept_and_the_best() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let few = Checkpoints::new(dir.path())
        .every(CheckpointEvery::Steps(1))
        .keep(2);
    let (report, _) = run(few, 0).expect("a run");
    let names = names(dir.path());
    let last = report.global_step;
    let mut expected = vec![
        format!("checkpoint-{}", report.best_step.expect("a best step")),
        format!("checkpoint-{}", last - 1),
        format!("checkpoint-{last}"),
    ];
    expected.sort();
    assert_eq!(names, expected);
    BertClassifier::load(folder(dir.path(), last)).expect("a checkpoint is a model folder");
}

#[test]
fn leftovers_of_a_killed_run_are_removed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in [".checkpoint-3.77.tmp", ".checkpoint-1.old"] {
        fs::create_dir(dir.path().join(name)).expect("a folder");
        fs::write(dir.path().join(name).join("model.safetensors"), "half").expect("a file");
    }
    run(checkpoints(dir.path()).resume(true), 1).expect("a run");
    assert_eq!(names(dir.path()), ["checkpoint-1"]);
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_the_run() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a-file");
    fs::write(&path, "").expect("a file");
    let error = run(checkpoints(&path.join("run")), 0).expect_err("no folder");
    assert!(matches!(error, Error::Write { .. }), "{error}");
}
