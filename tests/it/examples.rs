//! Each example runs, and reaches what its first lines promise. `cargo test` has
//! built them beside this binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::fixture::{minilm, tiny};

fn run(name: &str, arguments: &[&str]) -> Output {
    let mut command = command(name, arguments);
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn command(name: &str, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Command {
    let tests = std::env::current_exe().expect("the path of this binary");
    let target = tests.parent().and_then(Path::parent).expect("target/debug");
    let program = target
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env(
            "BERTFIT_MODELS",
            minilm().parent().expect("the folder of models"),
        );
    command
}

#[track_caller]
pub fn stdout(name: &str, arguments: &[&str]) -> String {
    let output = run(name, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} failed: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The number after `words` in the output.
#[track_caller]
fn number(output: &str, words: &str) -> f64 {
    let rest = output
        .split_once(words)
        .unwrap_or_else(|| panic!("no `{words}` in {output}"))
        .1;
    rest.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number")
}

#[test]
fn async_code_waits_for_a_model_on_its_own_thread() {
    let output = stdout("async_predictions", &[]);
    assert_eq!(output, "3 answers, each as predicted alone\n");
}

#[test]
fn the_course_fits_saves_and_predicts() {
    let output = stdout("01_classify", &[]);
    let accuracy = number(&output, "test accuracy");
    // The mean over seeds is above 0.9; a single seed may be a little below.
    assert!(accuracy >= 0.88, "{output}");
    assert!(
        output.contains("positive") && output.contains("negative"),
        "{output}"
    );

    let output = stdout("02_predict", &[]);
    let labels: Vec<_> = output.lines().map(|line| line.split(' ').next()).collect();
    assert_eq!(
        labels[..2],
        [Some("positive"), Some("negative")],
        "{output}"
    );
}

#[test]
fn the_course_compares_pairs() {
    let output = stdout("03_sentence_pairs", &[]);
    assert!(number(&output, "dev accuracy") > 0.8, "{output}");
    let labels: Vec<_> = output
        .lines()
        .skip(1)
        .map(|line| line.split(' ').next())
        .collect();
    assert_eq!(labels, [Some("first"), Some("second")], "{output}");
}

#[test]
fn the_course_shows_a_head_of_ones_own() {
    let output = stdout("04_custom_head", &[]);
    assert!(number(&output, "dev loss") < 0.15, "{output}");
}

#[test]
fn the_course_shows_a_loop_of_ones_own() {
    let output = stdout("05_own_loop", &[]);
    assert!(number(&output, "pass 2: dev accuracy") > 0.86, "{output}");
}

#[test]
fn the_doctor_finds_libtorch_and_the_model() {
    let output = stdout("doctor", &[]);
    assert!(output.contains("libtorch_cpu"), "{output}");
    assert!(output.contains("6 layers, 384 wide"), "{output}");
    let huge_pages = "/sys/kernel/mm/transparent_hugepage/enabled";
    if cfg!(target_env = "gnu") && Path::new(huge_pages).exists() {
        let kept = "kept between steps, in huge pages";
        assert!(output.contains(kept), "{output}");
    }
}

#[test]
fn examples_of_the_course_are_short() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(examples).expect("the examples") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            let lines = std::fs::read_to_string(&path)
                .expect("an example")
                .lines()
                .count();
            assert!(lines < 60, "{name} has {lines} lines");
        }
    }
}

/// The recipe on a small part of the reviews with the tiny model.
pub fn recipe(out: &Path, more: &[&str]) -> Output {
    let arguments = recipe_arguments(out, more);
    let mut command = command("text_classification", &arguments);
    command.output().expect("the recipe")
}

pub fn recipe_arguments(out: &Path, more: &[&str]) -> Vec<String> {
    let (model, out) = (tiny(), out.to_string_lossy().into_owned());
    let model = model.to_string_lossy();
    let fixed = [
        "--model",
        &model,
        "--out",
        &out,
        "--text-column",
        "sentence",
        "--quiet",
    ];
    fixed
        .iter()
        .chain(more)
        .map(|&word| word.to_owned())
        .collect()
}

pub fn table(part: &str) -> String {
    format!("examples/data/{part}.tsv")
}

pub fn read_json(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

#[test]
fn the_recipe_writes_what_its_contract_says() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("run");
    let (train, dev, test) = (table("dev"), table("test"), table("test"));
    let files = [
        "--train", &train, "--dev", &dev, "--test", &test, "--epochs", "1", "--lr", "1e-3",
    ];
    let output = recipe(&out, &files);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let results = read_json(out.join("all_results.json"));
    let last_line = String::from_utf8_lossy(&output.stdout)
        .lines()
        .last()
        .map(str::to_owned);
    assert_eq!(last_line.as_deref(), Some(&*results.to_string()));
    for key in [
        "epoch",
        "train_loss",
        "train_runtime",
        "train_samples",
        "train_samples_per_second",
        "train_tokens_per_second",
        "eval_loss",
        "eval_samples",
        "eval_runtime",
        "eval_samples_per_second",
        "eval_accuracy",
        "eval_f1",
        "eval_f1_macro",
        "eval_f1_micro",
        "eval_matthews_correlation",
        "test_accuracy",
    ] {
        assert!(results[key].is_number(), "no {key} in {results}");
    }
    assert_eq!(results["train_samples"], 300);
    assert_eq!(results["eval_samples"], 297);

    let state = read_json(out.join("trainer_state.json"));
    assert_eq!(state["global_step"], 10);
    let history = state["log_history"].as_array().expect("a list");
    for key in ["step", "epoch", "loss", "grad_norm", "learning_rate"] {
        assert!(history[0][key].is_number(), "no {key} in {}", history[0]);
    }
    assert!(
        history
            .iter()
            .any(|record| record["eval_accuracy"].is_number())
    );

    let predictions = std::fs::read_to_string(out.join("predictions.jsonl")).expect("a file");
    assert_eq!(predictions.lines().count(), 297);
    for line in predictions.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let scores = row["scores"].as_object().expect("scores");
        let sum: f64 = scores
            .values()
            .map(|score| score.as_f64().expect("a number"))
            .sum();
        assert!((sum - 1.0).abs() < 1e-5);
        let best = scores[row["label"].as_str().expect("a label")].as_f64();
        assert!(scores.values().all(|score| score.as_f64() <= best));
    }

    // What it has written it can load: prediction alone, into another folder.
    let (model, again) = (out.to_string_lossy().into_owned(), dir.path().join("again"));
    let again_name = again.to_string_lossy().into_owned();
    let arguments = [
        "--model",
        &model,
        "--out",
        &again_name,
        "--text-column",
        "sentence",
        "--test",
        &test,
    ];
    stdout("text_classification", &arguments);
    let repeated = std::fs::read_to_string(again.join("predictions.jsonl")).expect("a file");
    assert_eq!(repeated, predictions);
}

#[test]
fn the_recipe_refuses_in_one_line_with_the_right_status() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("run");
    let status = |output: &Output| output.status.code();

    let output = recipe(&out, &["--no-such-flag"]);
    assert_eq!(status(&output), Some(2));
    let output = recipe(&out, &[]);
    assert_eq!(status(&output), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: nothing to do: give --train, --dev or --test\n"
    );

    let output = recipe(&out, &["--train", "no/such.tsv"]);
    assert_eq!(status(&output), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(
        errors.starts_with("error: cannot read no/such.tsv: "),
        "{errors}"
    );
    assert!(
        !out.exists(),
        "an output folder was made before the input was read"
    );

    std::fs::create_dir(&out).expect("a folder");
    std::fs::write(out.join("mine"), "").expect("a file");
    let output = recipe(&out, &["--train", &table("dev")]);
    assert_eq!(status(&output), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors, format!("error: {} is not empty\n", out.display()));
}

/// The temporary folder is where a compressed file is unpacked.
#[cfg(unix)]
#[test]
fn the_recipe_says_where_it_cannot_unpack() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (train, gone) = (dir.path().join("train.tsv.gz"), dir.path().join("gone"));
    std::fs::write(&train, "").expect("a file");
    let name = train.to_string_lossy().into_owned();
    // Nothing is then read beforehand.
    let kind = ["--problem-type", "single_label_classification"];
    let more = [&["--train", &name], &kind[..]].concat();
    let arguments = recipe_arguments(&dir.path().join("run"), &more);
    let mut command = command("text_classification", &arguments);
    let output = command.env("TMPDIR", &gone).output().expect("the recipe");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    let start = format!(
        "error: cannot read {name}: no copy of it in {} (",
        gone.display()
    );
    assert!(errors.starts_with(&start), "{errors}");
}
