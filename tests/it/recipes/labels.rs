//! Classes by the command line: those of --train, --dev, --labels and of fitted models, and files
//! to predict that have none.

use serde_json::{Value, json};

use super::{Bench, model};
use crate::examples::{command, read_json};

const TRAIN: &str = "text,label\ngood film,1\nbad film,0\nfine,1\nsad,0\n";

/// Runs `text_classification` for one step; what it says and prints.
#[track_caller]
fn run(bench: &Bench, words: &str) -> (String, Value) {
    let words = bench.words(&format!("{words} --max-steps 1 --quiet --device cpu"));
    let output = command("text_classification", &words)
        .output()
        .expect("the recipe");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {errors}");
    let last = String::from_utf8_lossy(&output.stdout).into_owned();
    let results = serde_json::from_str(last.lines().last().expect("a line"));
    (errors, results.expect("JSON"))
}

fn names(bench: &Bench, out: &str) -> Value {
    read_json(bench.0.path().join(out).join("config.json"))["id2label"].clone()
}

#[test]
fn placeholders_are_predicted_and_not_evaluated() {
    let bench = Bench::new(&[
        ("train.csv", TRAIN),
        ("empty.csv", "text,label\nfine,\nsad,\n"),
        ("minus.jsonl", "{\"text\": \"fine\", \"label\": -1}\n"),
        ("some.csv", "text,label\nfine,1\nsad,-1\n"),
    ]);
    let flags = format!("--model {} --train @train.csv", model());
    for test in ["empty.csv", "minus.jsonl"] {
        let (errors, results) = run(&bench, &format!("{flags} --test @{test} --out @{test}.out"));
        assert!(
            errors.contains("no row has a label that can be used"),
            "{errors}"
        );
        assert_eq!(results["test_accuracy"], Value::Null);
        assert!(!bench.predictions(&format!("{test}.out")).is_empty());
    }
    let (status, errors) = bench.fails(
        "text_classification",
        &format!("{flags} --test @some.csv --out @none --quiet"),
    );
    assert_eq!(status, 1, "{errors}");
    assert!(
        errors.contains("some.csv:3: label `-1` is not one of 0, 1"),
        "{errors}"
    );
    assert!(errors.contains("--no-test-labels"), "{errors}");
    let words = format!("{flags} --test @some.csv --no-test-labels --out @unseen");
    let (errors, results) = run(&bench, &words);
    assert!(!errors.contains("label"), "{errors}");
    assert_eq!(results["test_loss"], Value::Null);
    assert_eq!(bench.predictions("unseen").len(), 2);
    // Without the row's label it is predicted all the same.
    let words = format!("{flags} --test @some.csv --on-bad-row skip --out @skip");
    let (errors, results) = run(&bench, &words);
    assert!(
        errors.contains("some.csv: 1 rows cannot be used"),
        "{errors}"
    );
    assert_eq!(results["test_samples"], 1);
    assert_eq!(bench.predictions("skip").len(), 2);
}

#[test]
fn rows_that_are_left_out_are_listed() {
    let bench = Bench::new(&[("train.csv", "text,label\ngood,1\nbad\nsad,0\n")]);
    let flags = format!("--model {} --train @train.csv --out @run", model());
    let (status, errors) = bench.fails("text_classification", &format!("{flags} --quiet"));
    assert_eq!(status, 1);
    assert!(
        errors.contains("train.csv:3: expected 2 columns, found 1 (--on-bad-row skip"),
        "{errors}"
    );
    let (errors, results) = run(&bench, &format!("{flags} --on-bad-row skip"));
    assert_eq!(results["train_samples"], 2);
    assert!(
        errors.contains("train.csv: 1 rows cannot be used and are left out"),
        "{errors}"
    );
    let listed = std::fs::read_to_string(bench.0.path().join("run/skipped_rows.jsonl"));
    let listed: Value = serde_json::from_str(&listed.expect("a list")).expect("one line");
    assert_eq!(
        (&listed["line"], &listed["problem"]),
        (&json!(3), &json!("expected 2 columns, found 1"))
    );
}

#[test]
fn classes_of_dev_alone_and_named_ones_are_the_models_too() {
    let bench = Bench::new(&[
        ("train.csv", TRAIN),
        ("dev.csv", "text,label\nfine,2\nsad,0\n"),
        ("names.txt", "no\nyes\n\nmaybe\n"),
        ("named.csv", "text,label\nfine,yes\nsad,maybe\n"),
        ("rest.csv", "text,label\nfine,3\nsad,0\n"),
    ]);
    let flags = format!("--model {} --train @train.csv", model());
    let (errors, _) = run(&bench, &format!("{flags} --dev @dev.csv --out @dev"));
    assert!(
        errors.contains("no row of --train has the classes 2 of --dev"),
        "{errors}"
    );
    assert_eq!(names(&bench, "dev"), json!({"0": "0", "1": "1", "2": "2"}));
    // Names for the ids of the files, between commas or on lines.
    for labels in ["no,yes,maybe", "@names.txt"] {
        let words = format!("{flags} --dev @named.csv --labels {labels} --out @named --overwrite");
        let (errors, results) = run(&bench, &words);
        assert!(!errors.contains("no row of --train"), "{errors}");
        assert_eq!(
            names(&bench, "named"),
            json!({"0": "no", "1": "yes", "2": "maybe"})
        );
        assert_eq!(results["eval_samples"], 2);
    }
    let (status, errors) = bench.fails(
        "text_classification",
        &format!("{flags} --test @rest.csv --out @none --quiet"),
    );
    assert_eq!(status, 1);
    assert!(
        errors.contains("rest.csv:2: label `3` is not one of 0, 1 (--labels"),
        "{errors}"
    );
}

/// SNLI's rows without a gold label.
#[test]
fn minus_one_beside_ids_is_no_class() {
    let rows = "text,label\na,0\nb,1\nc,-1\nd,2\n";
    let bench = Bench::new(&[
        ("train.csv", rows),
        ("two.csv", "text,label\na,0\nb,1\nc,-1\n"),
    ]);
    let flags = format!("--model {} --train @train.csv", model());
    let (status, errors) = bench.fails(
        "text_classification",
        &format!("{flags} --out @none --quiet"),
    );
    assert_eq!(status, 1);
    assert!(
        errors.contains(
            "train.csv:4: label `-1` is not one of 0, 1, 2 (-1 is how a row without a gold label"
        ),
        "{errors}"
    );
    let (_, results) = run(&bench, &format!("{flags} --on-bad-row skip --out @skip"));
    assert_eq!(results["train_samples"], 3);
    assert_eq!(names(&bench, "skip"), json!({"0": "0", "1": "1", "2": "2"}));
    run(&bench, &format!("{flags} --labels=-1,0,1,2 --out @class"));
    assert_eq!(names(&bench, "class")["0"], "-1");
    // Of two ids it may be a third class.
    let words = format!("--model {} --train @two.csv --out @two", model());
    let (errors, _) = run(&bench, &words);
    assert!(errors.contains("-1 is a class of --train"), "{errors}");
    assert_eq!(names(&bench, "two")["0"], "-1");
}

#[test]
fn a_fitted_model_gets_a_new_head() {
    let bench = Bench::new(&[
        ("train.csv", TRAIN),
        ("other.csv", "text,label\na,x\nb,y\nc,z\n"),
        ("numbers.csv", "text,label\na,0.5\nb,1\n"),
    ]);
    run(
        &bench,
        &format!("--model {} --train @train.csv --out @fitted", model()),
    );
    let again = "--model @fitted --train @other.csv --out @again";
    let (status, errors) = bench.fails("text_classification", &format!("{again} --quiet"));
    assert_eq!(status, 1);
    assert!(errors.contains("--fresh-head"), "{errors}");
    run(&bench, &format!("{again} --fresh-head"));
    assert_eq!(
        names(&bench, "again"),
        json!({"0": "x", "1": "y", "2": "z"})
    );
    let (status, errors) = bench.fails(
        "text_classification",
        "--model @fitted --train @other.csv --labels x,y,z --out @none --quiet",
    );
    assert_eq!(status, 1);
    assert!(
        errors.contains("--fresh-head gives the model a new one"),
        "{errors}"
    );
    // Another kind of task too.
    run(
        &bench,
        "--model @fitted --train @numbers.csv --fresh-head --out @numbers",
    );
    let config = read_json(bench.0.path().join("numbers/config.json"));
    assert_eq!(config["problem_type"], "regression");
}

/// transformers writes no names for two classes, and these for more; one output is a number.
#[test]
fn models_without_names_take_ids() {
    let bench = Bench::new(&[
        ("train.csv", TRAIN),
        ("scores.csv", "text,label\na,1\nb,3\n"),
    ]);
    run(
        &bench,
        &format!("--model {} --train @train.csv --out @fitted", model()),
    );
    let config = bench.0.path().join("fitted/config.json");
    let fitted = read_json(config.clone());
    for id2label in [json!({"0": "LABEL_0", "1": "LABEL_1"}), Value::Null] {
        let mut unnamed = fitted.clone();
        let fields = unnamed.as_object_mut().expect("an object");
        fields.retain(|key, _| !matches!(key.as_str(), "label2id" | "problem_type" | "bertfit"));
        match id2label {
            Value::Null => fields.remove("id2label"),
            names => fields.insert("id2label".to_owned(), names),
        };
        std::fs::write(&config, unnamed.to_string()).expect("a file");
        let (_, results) = run(
            &bench,
            "--model @fitted --dev @train.csv --out @dev --overwrite",
        );
        assert!(results["eval_accuracy"].is_number(), "{results}");
        run(
            &bench,
            "--model @fitted --train @train.csv --out @again --overwrite",
        );
        assert_eq!(
            names(&bench, "again"),
            json!({"0": "LABEL_0", "1": "LABEL_1"})
        );
        let named = "--model @fitted --dev @train.csv --labels no,yes --test @train.csv --out @named --overwrite";
        let (_, again) = run(&bench, named);
        assert_eq!(again["eval_accuracy"], results["eval_accuracy"]);
        assert!(bench.predictions("named")[0]["scores"]["yes"].is_number());
    }
    run(
        &bench,
        &format!(
            "--model {} --train @scores.csv --problem-type regression --out @scores",
            model()
        ),
    );
    let config = bench.0.path().join("scores/config.json");
    let mut scorer = read_json(config.clone());
    scorer
        .as_object_mut()
        .expect("an object")
        .retain(|key, _| key != "problem_type");
    std::fs::write(&config, scorer.to_string()).expect("a file");
    let (_, results) = run(&bench, "--model @scores --test @scores.csv --out @scored");
    assert!(results["test_mse"].is_number(), "{results}");
    run(&bench, "--model @scores --train @scores.csv --out @more");
}

/// A folder that does not say what it is has the names of its own head all the same.
#[test]
fn the_head_of_a_model_without_architectures_keeps_its_names() {
    let bench = Bench::new(&[("train.csv", TRAIN)]);
    let start = format!("--model {} --train @train.csv", model());
    run(&bench, &format!("{start} --labels 1,0 --out @fitted"));
    let config = bench.0.path().join("fitted/config.json");
    let mut fields = read_json(config.clone());
    fields
        .as_object_mut()
        .expect("an object")
        .remove("architectures");
    std::fs::write(&config, fields.to_string()).expect("a file");
    let again = "--model @fitted --train @train.csv --out @again --overwrite";
    let (status, errors) = bench.fails("text_classification", &format!("{again} --quiet"));
    assert_eq!(status, 1);
    assert!(errors.contains("--fresh-head"), "{errors}");
    run(&bench, &format!("{again} --labels 1,0"));
    assert_eq!(names(&bench, "again"), json!({"0": "1", "1": "0"}));
    run(&bench, &format!("{again} --fresh-head"));
    assert_eq!(names(&bench, "again"), json!({"0": "0", "1": "1"}));
}

/// A question of which only the label cannot be used is predicted all the same.
#[test]
fn every_question_of_a_test_file_gets_a_prediction() {
    let row = |label: &str| {
        format!("{{\"question\": \"a\", \"endings\": [\"b\", \"c\"], \"label\": {label}}}\n")
    };
    let (train, test) = (row("0") + &row("1"), row("0") + &row("null") + &row("1"));
    let bench = Bench::new(&[("train.jsonl", &train), ("test.jsonl", &test)]);
    let words = format!(
        "--model {} --train @train.jsonl --test @test.jsonl --on-bad-row skip --out @out \
         --max-steps 1 --quiet",
        model()
    );
    let results = bench.run("multiple_choice", &words);
    assert!(results["test_accuracy"].is_number());
    assert_eq!(bench.predictions("out").len(), 3);
}
