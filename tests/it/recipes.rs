//! The recipes by their command lines, on small files with the tiny model: which files
//! they write, and what stands in them. `tests/it/examples.rs` has the rest of the
//! contract.

mod embeddings;
mod flags;
mod freezing;
mod hostile;
mod labels;
mod long_texts;
mod questions;
mod rows;
mod tags;

use std::path::Path;

use serde_json::{Value, json};

use crate::examples::{command, read_json, stdout};
use crate::fixture::tiny;

/// A temporary folder with files, in which a recipe runs.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).expect("a file");
        }
        Self(dir)
    }

    /// Runs a recipe; words that begin with `@` are files of the folder. Returns what it
    /// prints.
    fn run(&self, recipe: &str, words: &str) -> Value {
        let words = self.words(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = stdout(recipe, &words);
        let results = serde_json::from_str(output.lines().last().expect("a line"));
        results.expect("JSON")
    }

    /// The same where it must fail: its exit status, and what it says.
    fn fails(&self, recipe: &str, words: &str) -> (i32, String) {
        let words = self.words(words);
        let output = command(recipe, &words).output().expect("an example");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().expect("a status"), errors)
    }

    fn words(&self, words: &str) -> Vec<String> {
        let path = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.0.path().join(name).to_string_lossy().into_owned(),
            None => word.to_owned(),
        };
        words.split_whitespace().map(path).collect()
    }

    fn predictions(&self, out: &str) -> Vec<Value> {
        let path = self.0.path().join(out).join("predictions.jsonl");
        let text = std::fs::read_to_string(path).expect("predictions");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

#[track_caller]
fn has_numbers(results: &Value, keys: &[&str]) {
    for key in keys {
        assert!(results[key].is_number(), "no {key} in {results}");
    }
}

fn model() -> String {
    tiny().to_string_lossy().into_owned()
}

#[test]
fn words_are_tagged() {
    let tagged = "the O\nfilm B-WORK\nwas O\ngood O\n\nbad O\nsound B-WORK\n";
    let bench = Bench::new(&[
        ("train.conll", tagged),
        ("test.conll", "good\nfilm\n\nthe\n"),
    ]);
    let model = model();
    let results = bench.run(
        "token_classification",
        &format!(
            "--model {model} --train @train.conll --dev @train.conll --test @train.conll \
             --out @run --epochs 2 --quiet"
        ),
    );
    has_numbers(
        &results,
        &[
            "eval_precision",
            "eval_recall",
            "eval_f1",
            "eval_accuracy",
            "test_f1",
            "train_loss",
        ],
    );
    assert_eq!(results["test_samples"], 2);
    let rows = bench.predictions("run");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["words"], json!(["bad", "sound"]));
    assert_eq!(rows[1]["tags"].as_array().expect("tags").len(), 2);
    let state = read_json(Path::new(&bench.0.path().join("run/trainer_state.json")).to_owned());
    assert_eq!(state["global_step"], 2);

    let results = bench.run(
        "token_classification",
        "--model @run --test @test.conll --out @again --quiet",
    );
    assert_eq!(results, json!({}));
    let rows = bench.predictions("again");
    assert_eq!(rows[0]["words"], json!(["good", "film"]));
    assert_eq!(rows.len(), 2);
}

#[test]
fn texts_get_several_classes() {
    let rows = "text\tlabel\ngood film\tgood,film\nbad\tbad\nfilm\tfilm\nfood\t\n";
    let bench = Bench::new(&[("train.tsv", rows), ("test.tsv", "text\nfilm\n")]);
    let model = model();
    let results = bench.run(
        "text_classification",
        &format!(
            "--model {model} --train @train.tsv --dev @train.tsv --test @test.tsv --out @run \
             --problem-type multi_label_classification --epochs 2 --quiet"
        ),
    );
    has_numbers(
        &results,
        &[
            "eval_f1_micro",
            "eval_f1_macro",
            "eval_accuracy",
            "eval_f1_film",
        ],
    );
    let rows = bench.predictions("run");
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["labels"].is_array());
    assert_eq!(rows[0]["scores"].as_object().expect("scores").len(), 3);
    let config = read_json(bench.0.path().join("run/config.json"));
    assert_eq!(config["problem_type"], "multi_label_classification");
    assert_eq!(
        config["bertfit"]["thresholds"]
            .as_array()
            .expect("thresholds")
            .len(),
        3
    );

    // A list in JSON lines says by itself that there are several.
    let lines = "{\"text\": \"good film\", \"label\": [\"good\", \"film\"]}\n{\"text\": \"bad\", \"label\": [\"bad\"]}\n";
    std::fs::write(bench.0.path().join("train.jsonl"), lines).expect("a file");
    let flags = format!("--model {model} --train @train.jsonl --out @lines --epochs 1 --quiet");
    bench.run("text_classification", &flags);
    let config = read_json(bench.0.path().join("lines/config.json"));
    assert_eq!(config["problem_type"], "multi_label_classification");
}

#[test]
fn texts_get_numbers() {
    let rows = "a\tb\tscore\nfilm\tfood\t0.5\nfilm\tfilm\t5\ngood\tgood\t4.5\nbad\tgood\t0\n";
    let bench = Bench::new(&[("train.tsv", rows)]);
    let model = model();
    let results = bench.run(
        "text_classification",
        &format!(
            "--model {model} --train @train.tsv --dev @train.tsv --test @train.tsv --out @run \
             --text-column a --pair-column b --label-column score --epochs 2 --quiet"
        ),
    );
    has_numbers(
        &results,
        &["eval_mse", "eval_pearson", "eval_spearmanr", "test_mse"],
    );
    let rows = bench.predictions("run");
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row["value"].is_number()));
}

#[test]
fn questions_are_answered() {
    let question = |id: &str, text: &str, start: Option<usize>| {
        let answers = start.map(|start| json!({"text": "good", "answer_start": start}));
        json!({"id": id, "question": text, "answers": Vec::from_iter(answers)})
    };
    let paragraphs = json!([
        {"context": "the film was good", "qas": [question("b", "how was it ?", Some(13)), question("a", "who ?", None)]},
        {"context": "good food", "qas": [question("c", "how was it ?", Some(0))]},
    ]);
    let content = json!({"version": "v2.0", "data": [{"paragraphs": paragraphs}]}).to_string();
    let bench = Bench::new(&[("squad.json", &content)]);
    let model = model();
    let results = bench.run(
        "question_answering",
        &format!(
            "--model {model} --train @squad.json --dev @squad.json --test @squad.json \
             --out @run --epochs 2 --max-length 32 --doc-stride 8 --quiet"
        ),
    );
    has_numbers(
        &results,
        &[
            "eval_exact_match",
            "eval_f1",
            "eval_HasAns_f1",
            "eval_NoAns_f1",
            "test_f1",
        ],
    );
    let rows = bench.predictions("run");
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["b", "a", "c"]);
    let by_id = read_json(bench.0.path().join("run/predictions.json"));
    for row in &rows {
        assert_eq!(by_id[row["id"].as_str().expect("an id")], row["text"]);
        assert!(row["start"].is_u64() && row["end"].is_u64() && row["score"].is_number());
    }
}

#[test]
fn endings_are_chosen() {
    let lines = "{\"question\": \"film\", \"endings\": [\"good\", \"food\"], \"label\": 0}\n\
                 {\"question\": \"food\", \"endings\": [\"film\", \"bad\", \"good\"], \"label\": 2}\n";
    let bench = Bench::new(&[("train.jsonl", lines)]);
    let model = model();
    let results = bench.run(
        "multiple_choice",
        &format!(
            "--model {model} --train @train.jsonl --dev @train.jsonl --test @train.jsonl \
             --out @run --epochs 2 --quiet"
        ),
    );
    has_numbers(&results, &["eval_accuracy", "test_accuracy", "eval_loss"]);
    let rows = bench.predictions("run");
    let lengths: Vec<_> = rows
        .iter()
        .map(|row| row["scores"].as_array().expect("scores").len())
        .collect();
    assert_eq!(lengths, [2, 3]);
    assert!(rows.iter().all(|row| row["label"].is_u64()));
}

#[test]
fn hidden_tokens_are_guessed() {
    let lines = "the film was good\n\nthe food was very bad\nis it good ?\n".repeat(8);
    let masks = "{\"text\": \"the [MASK] was [MASK]\"}\n{\"text\": \"no\"}\n";
    let bench = Bench::new(&[("train.txt", &lines), ("test.jsonl", masks)]);
    let model = model();
    for (out, more) in [("packed", ""), ("lines", "--line-by-line --whole-words")] {
        let results = bench.run(
            "masked_lm",
            &format!(
                "--model {model} --train @train.txt --dev @train.txt --test @test.jsonl \
                 --out @{out} --epochs 2 --max-length 16 --top-k 3 --quiet {more}"
            ),
        );
        let loss = results["eval_loss"].as_f64().expect("a loss");
        assert_eq!(results["perplexity"], json!(loss.exp()));
        let rows = bench.predictions(out);
        let fills = |row: &Value| row["fills"].as_array().expect("a list").len();
        assert_eq!(rows.iter().map(fills).collect::<Vec<_>>(), [2, 0]);
        let first = &rows[0]["fills"][0];
        assert_eq!(first.as_array().expect("three guesses").len(), 3);
        assert!(first[0]["token"].is_string() && first[0]["score"].is_number());
    }
    // Texts without masks are evaluated.
    let words = "--model @packed --test @train.txt --out @scored --max-length 16 --quiet";
    let results = bench.run("masked_lm", words);
    let loss = results["test_loss"].as_f64().expect("a loss");
    assert_eq!(results["test_perplexity"], json!(loss.exp()));
    // A mask that is cut off is found before training, with its row in the file.
    let cut = format!("no\n{} [MASK]\n", "film ".repeat(20));
    std::fs::write(bench.0.path().join("cut.txt"), cut).expect("a file");
    let words = format!(
        "--model {model} --train @train.txt --test @cut.txt --out @wrong --max-length 16 --quiet"
    );
    let (status, errors) = bench.fails("masked_lm", &words);
    assert_eq!(status, 1, "{errors}");
    let problem = "cut.txt: row 1: field `text`: no [MASK] in its first 16 tokens";
    assert!(errors.contains(problem), "{errors}");
    assert!(!bench.0.path().join("wrong").exists());
    // What was learnt is where another recipe starts.
    let labelled = "text\tlabel\na film\t1\nno film\t0\n";
    std::fs::write(bench.0.path().join("labelled.tsv"), labelled).expect("a file");
    let results = bench.run(
        "text_classification",
        "--model @packed --train @labelled.tsv --out @classifier --epochs 1 --quiet",
    );
    has_numbers(&results, &["train_loss"]);
}

#[test]
fn texts_are_written() {
    let rows = [
        ("the film was great", "great film"),
        ("the food , was bad", "bad food"),
        ("it was fine", "fine"),
        ("sad \"film\" !", "sad"),
    ];
    let tsv: String = rows
        .iter()
        .map(|(text, label)| format!("{text}\t{label}\n"))
        .collect();
    let csv: String = rows
        .iter()
        .map(|(text, label)| format!("\"{}\",{label}\n", text.replace('"', "\"\"")))
        .collect();
    let lines: String = rows
        .iter()
        .map(|(text, label)| format!("{}\n", json!({"document": text, "summary": label})))
        .collect();
    let bench = Bench::new(&[
        ("train.tsv", &format!("document\tsummary\n{tsv}")),
        ("dev.csv", &format!("document,summary\n{csv}")),
        ("test.jsonl", &lines),
        ("texts.tsv", "document\nthe film\n\"\"\nfood\n"),
    ]);
    let model = model();
    let columns = "--text-column document --label-column summary";
    for (out, more) in [
        (
            "once",
            "--num-beams 2 --length-penalty -0.5 --no-repeat-ngram-size 2",
        ),
        (
            "best",
            "--metric bleu --tie-encoder-decoder --label-smoothing 0.1",
        ),
        (
            "drawn",
            "--do-sample --top-k 5 --top-p 0.9 --temperature 0.7",
        ),
    ] {
        let results = bench.run(
            "text_generation",
            &format!(
                "--model {model} --train @train.tsv --dev @dev.csv --test @test.jsonl --out @{out} \
                 --max-target-length 8 --lr 1e-3 --epochs 2 --quiet {columns} {more}"
            ),
        );
        has_numbers(
            &results,
            &[
                "eval_loss",
                "eval_bleu",
                "eval_rougeL",
                "test_loss",
                "test_bleu",
                "test_rougeL",
                "test_sari",
                "train_loss",
            ],
        );
        // What is written to the file is what was judged.
        let written = bench.predictions(out);
        assert_eq!(written.len(), rows.len());
        let (mut bleu, mut rouge) = (bertfit::Bleu::new(), bertfit::RougeL::new());
        let (mut sari, mut copy_bleu) = (bertfit::Sari::new(), bertfit::Bleu::new());
        let mut copy_sari = bertfit::Sari::new();
        for (object, (source, label)) in written.iter().zip(rows) {
            let text = object["text"].as_str().expect("a text");
            assert_eq!(object.as_object().expect("an object").len(), 1);
            bleu.update(text, &[label]);
            rouge.update(text, &[label]);
            sari.update(source, text, &[label]);
            copy_bleu.update(source, &[label]);
            copy_sari.update(source, source, &[label]);
        }
        for (name, score) in [
            ("test_bleu", bleu.score()),
            ("test_rougeL", rouge.score()),
            ("test_sari", sari.score()),
            ("test_copy_bleu", copy_bleu.score()),
            ("test_copy_sari", copy_sari.score()),
        ] {
            assert_eq!(results[name], json!(score), "{name}");
        }
        // The best epoch is picked by texts if that is wanted, and only then.
        let state = read_json(bench.0.path().join(out).join("trainer_state.json"));
        let in_epochs = state["log_history"].to_string().contains("eval_bleu");
        assert_eq!(in_epochs, out == "best");
    }
    // A file to write about needs no column of texts that are written already.
    let results = bench.run(
        "text_generation",
        &format!("--model @once --test @texts.tsv --out @again --quiet {columns}"),
    );
    assert_eq!(results, json!({}));
    assert_eq!(bench.predictions("again").len(), 3);
}
