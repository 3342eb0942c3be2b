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
