//! The result files of a recipe.

use std::collections::BTreeMap;

use bertfit::RunFolder;
use serde_json::Value;

#[test]
fn a_folder_with_files_is_refused_unless_it_may_be_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("run");
    let folder = RunFolder::create(&path, false).expect("a new folder");
    folder.write_predictions([1, 2]).expect("a file");
    folder.write_answers(&["yes"]).expect("a file");
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
    let folder = RunFolder::create(folder.path(), true).expect("the same folder");
    folder.write_skipped_rows(&[]).expect("nothing");
    assert!(!path.exists());
}
