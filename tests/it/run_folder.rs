//! The result files of a recipe.

use std::collections::BTreeMap;

use bertfit::{Callback, Checkpoints, Control, Error, RunFolder, StepRecord, TrainConfig, Trainer};
use serde_json::Value;

use crate::fixture::eight;

#[test]
fn a_folder_with_files_is_refused_unless_it_may_be_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("run");
    let folder = RunFolder::create(&path, false).expect("a new folder");
    folder.write_predictions([1, 2]).expect("a file");
    folder.write_answers(&["yes"]).expect("a file");
    drop(folder);
    let error = RunFolder::create(&path, false)
        .expect_err("not empty")
        .to_string();
    assert_eq!(error, format!("{} is not empty", path.display()));
    RunFolder::create(&path, true).expect("the same folder");
    for name in ["predictions.jsonl", "predictions.json"] {
        assert!(!path.join(name).exists(), "an earlier run's {name} is left");
    }
}

#[test]
fn a_folder_has_one_run_at_a_time() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("run");
    let first = RunFolder::create(&path, false).expect("a new folder");
    let again = || {
        let made = [false, true].map(|overwrite| RunFolder::create(&path, overwrite));
        made.into_iter().chain([RunFolder::resume(&path)])
    };
    for second in again() {
        let error = second.expect_err("a second run");
        assert!(matches!(&error, Error::InUse { path: named } if *named == path));
        let expected = format!(
            "another run is writing into {}: wait until it ends, stop it, or choose another \
             folder (--out)",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
    }
    // As long as anybody has it; what is there can be read.
    let clone = first.clone();
    drop(first);
    assert!(again().all(|second| second.is_err()));
    clone.write_results(&BTreeMap::new()).expect("a file");
    drop(clone);
    let resumed = RunFolder::resume(&path).expect("a free folder");
    assert_eq!(resumed.results().expect("results"), Some("{}".to_owned()));
    drop(resumed);
    RunFolder::create(&path, true).expect("a free folder");
    assert_eq!(std::fs::read_dir(&path).expect("a folder").count(), 0);
}

#[test]
fn a_lock_that_a_killed_run_has_left_is_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in [".run.lock", ".checkpoints.lock"] {
        std::fs::write(dir.path().join(name), "").expect("a file");
    }
    RunFolder::create(dir.path(), false).expect("an empty folder");
}

#[test]
fn checkpoints_are_not_removed_from_under_a_run_that_writes_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("run");
    /// Tries to take the folder while the run is on.
    struct Second(std::path::PathBuf);
    impl Callback for Second {
        fn on_step(&mut self, _: &StepRecord) -> Control {
            let taken = RunFolder::create(&self.0, true);
            assert!(matches!(taken, Err(Error::InUse { .. })), "{taken:?}");
            Control::Continue
        }
    }
    let mut model = crate::train::classifier();
    Trainer::new(TrainConfig::default())
        .expect("a trainer")
        .checkpoints(Checkpoints::new(&path))
        .callback(Second(path.clone()))
        .run(&mut model, &eight(), None)
        .expect("a run");
    assert!(path.join("checkpoint-3").exists());
    RunFolder::create(&path, true).expect("a free folder");
    assert!(!path.join("checkpoint-3").exists());
}

#[test]
fn results_are_one_flat_object_with_whole_counts() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = RunFolder::create(dir.path().join("run"), false).expect("a new folder");
    let results = [
        ("eval_accuracy", 0.5),
        ("eval_samples", 300.0),
        ("epoch", 3.0),
    ];
    let results: BTreeMap<_, _> = results.map(|(name, x)| (name.to_owned(), x)).into();
    let line = folder.write_results(&results).expect("a file");
    assert_eq!(
        line,
        r#"{"epoch":3.0,"eval_accuracy":0.5,"eval_samples":300}"#
    );
    let file = std::fs::read_to_string(folder.path().join("all_results.json")).expect("a file");
    let parsed: Value = serde_json::from_str(&file).expect("JSON");
    assert_eq!(parsed.to_string(), line);
}

/// They have names like the crate's own.
#[test]
fn checkpoints_of_another_program_are_not_removed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let theirs = dir.path().join("checkpoint-500");
    std::fs::create_dir(&theirs).expect("a folder");
    std::fs::write(theirs.join("optimizer.pt"), "").expect("a file");
    let error = RunFolder::create(dir.path(), true).expect_err("not ours");
    assert!(
        error.to_string().contains("\"checkpoint-500\": move it"),
        "{error}"
    );
    assert!(theirs.join("optimizer.pt").exists());
    std::fs::rename(&theirs, dir.path().join("theirs")).expect("moved");
    RunFolder::create(dir.path(), true).expect("the same folder");
}

#[test]
fn rows_that_were_left_out_are_listed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let table = dir.path().join("a.csv");
    std::fs::write(&table, "text,label\na,x\nb\n").expect("a file");
    let skipped = bertfit::SkippedRows::new();
    let rows = bertfit::Table::open(&table).skip_bad_rows(&skipped).read();
    assert_eq!(rows.expect("a row").len(), 1);
    let folder = RunFolder::create(dir.path().join("run"), false).expect("a new folder");
    folder.write_skipped_rows(&skipped.rows()).expect("a file");
    let path = folder.path().join("skipped_rows.jsonl");
    let line: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).expect("a file")).expect("JSON");
    let expected = serde_json::json!({
        "file": table, "line": 3, "problem": "expected 2 columns, found 1",
    });
    assert_eq!(line, expected);
    drop(folder);
    let folder = RunFolder::create(dir.path().join("run"), true).expect("the same folder");
    folder.write_skipped_rows(&[]).expect("nothing");
    assert!(!path.exists());
}
