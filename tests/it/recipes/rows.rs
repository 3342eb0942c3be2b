//! Flags that choose rows, say how tables are written, and pass settings on.

use serde_json::{Value, json};

use super::{Bench, model};
use crate::examples::read_json;

fn table(rows: usize) -> String {
    let row = |row| format!("the film was {row},{}\n", ["good", "bad", "fine"][row % 3]);
    "text,label\n".to_owned() + &(0..rows).map(row).collect::<String>()
}

#[test]
fn so_many_rows_are_used_as_are_asked_for() {
    // Long enough that some of the tokens of a few rows are hidden.
    let lines = ("the film was good ".repeat(6) + "\n").repeat(40);
    let pairs = "a\tb\tscore\n".to_owned() + &"film\tfood\t0.5\ngood\tbad\t0.1\n".repeat(10);
    let choice = "{\"question\": \"a\", \"endings\": [\"b\", \"c\"], \"label\": 0}\n".repeat(20);
    let bench = Bench::new(&[
        ("rows.csv", &table(30)),
        ("rows.txt", &lines),
        ("pairs.tsv", &pairs),
        ("rows.jsonl", &choice),
    ]);
    let model = model();
    let most =
        "--max-train-samples 9 --max-eval-samples 4 --max-predict-samples 5 --epochs 1 --quiet";
    for (recipe, file, more) in [
        ("text_classification", "rows.csv", ""),
        (
            "text_generation",
            "rows.csv",
            "--max-length 16 --max-target-length 4",
        ),
        (
            "sentence_embeddings",
            "pairs.tsv",
            "--text-column a --pair-column b --label-column score",
        ),
        ("multiple_choice", "rows.jsonl", ""),
        ("masked_lm", "rows.txt", "--line-by-line"),
    ] {
        let flags = format!("--model {model} --train @{file} --test @{file} {most} {more}");
        let results = bench.run(recipe, &format!("{flags} --dev @{file} --out @{recipe}"));
        assert_eq!(results["train_samples"], 9, "{recipe}");
        assert_eq!(results["eval_samples"], 4, "{recipe}");
        assert_eq!(bench.predictions(recipe).len(), 5, "{recipe}");
        // The same of a part of the training file.
        let flags = flags.replace("--max-eval-samples 4", "--max-eval-samples 3");
        let results = bench.run(
            recipe,
            &format!("{flags} --dev-share 0.4 --out @{recipe}-share"),
        );
        assert_eq!(results["train_samples"], 9, "{recipe}");
        assert_eq!(results["eval_samples"], 3, "{recipe}");
    }
}

#[test]
fn a_share_of_the_training_rows_is_drawn_by_the_seed_with_each_class() {
    let bench = Bench::new(&[("rows.csv", &table(30))]);
    let flags = format!(
        "--model {} --train @rows.csv --dev-share 0.2 --epochs 1 --quiet",
        model()
    );
    let run = |out: &str, more: &str| {
        bench.run(
            "text_classification",
            &format!("{flags} --out @{out} {more}"),
        )
    };
    let first = run("first", "");
    assert_eq!(
        (&first["train_samples"], &first["eval_samples"]),
        (&json!(24), &json!(6))
    );
    assert_eq!(run("again", "")["eval_loss"], first["eval_loss"]);
    assert_ne!(run("other", "--seed 7")["eval_loss"], first["eval_loss"]);
}

#[test]
fn tables_are_read_as_the_flags_say() {
    let rows = "sentence;class\n\"good; film\";x\n\"bad\";y\n";
    let bench = Bench::new(&[
        ("rows.csv", rows),
        (
            "quoted.tsv",
            "text\tlabel\n\"a \"\"b\"\"\"\t\"x\"\nc\t\"y\"\n",
        ),
        (
            "several.csv",
            "text,label\na,\"Arts, Crafts|Books\"\nb,Books\n",
        ),
        ("index.csv", "id,sentence,class\n1,a,x\n2,b,y\n"),
        (
            "rows.json",
            "[{\"text\": \"a\", \"label\": \"x\"},\n {\"text\": \"b\", \"label\": \"y\"}]",
        ),
    ]);
    let model = model();
    let names = |out: &str| {
        let config = read_json(bench.0.path().join(out).join("config.json"));
        let names = config["id2label"].as_object().expect("names").clone();
        names.into_iter().map(|(_, name)| name).collect::<Value>()
    };
    for (out, flags, expected) in [
        (
            "delimiter",
            "--train @rows.csv --delimiter ; --text-column sentence --label-column class",
            json!(["x", "y"]),
        ),
        (
            "quoting",
            "--train @quoted.tsv --quoting minimal",
            json!(["x", "y"]),
        ),
        ("none", "--train @quoted.tsv", json!(["\"x\"", "\"y\""])),
        (
            "several",
            "--train @several.csv --label-delimiter |",
            json!(["Arts, Crafts", "Books"]),
        ),
        (
            "index",
            "--train @index.csv --text-column 1 --label-column 2",
            json!(["x", "y"]),
        ),
        ("json", "--train @rows.json", json!(["x", "y"])),
    ] {
        let words = format!("--model {model} --out @{out} --max-steps 1 --quiet {flags}");
        bench.run("text_classification", &words);
        assert_eq!(names(out), expected, "{flags}");
    }
    let words = bench.words(&format!(
        "--model {model} --out @warned --max-steps 1 --quiet --train @quoted.tsv"
    ));
    let output = crate::examples::command("text_classification", &words)
        .output()
        .expect("the recipe");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("ask for `quoting` minimal (--quoting minimal)"),
        "{errors}"
    );
}

#[test]
fn settings_of_the_library_are_passed_on() {
    let bench = Bench::new(&[
        ("rows.csv", &table(31)),
        ("weights.json", "{\"good\": 2, \"bad\": 1, \"fine\": 0.5}"),
        ("wrong.json", "{\"good\": 2, \"bad\": 1}"),
    ]);
    let flags = format!(
        "--model {} --train @rows.csv --dev @rows.csv --epochs 1 --lr 1e-3 --quiet",
        model()
    );
    let run = |out: &str, more: &str| {
        bench.run(
            "text_classification",
            &format!("{flags} --out @{out} {more}"),
        )
    };
    let plain = run("plain", "");
    for (out, more) in [
        ("smoothing", "--label-smoothing 0.2"),
        ("gamma", "--focal-gamma 2"),
        ("balanced", "--class-weights balanced"),
        ("weights", "--class-weights @weights.json"),
        ("dropout", "--dropout 0.5"),
        ("encoder", "--encoder-dropout 0.4"),
    ] {
        assert_ne!(run(out, more)["train_loss"], plain["train_loss"], "{more}");
    }
    let saved = |out: &str| read_json(bench.0.path().join(out).join("config.json"));
    assert_eq!(saved("dropout")["classifier_dropout"], 0.5);
    assert_eq!(saved("encoder")["hidden_dropout_prob"], 0.4);
    // The same numbers for less memory, but for rounding.
    let loss = |results: &Value| results["train_loss"].as_f64().expect("a loss");
    let taped = run("tape", "--gradient-checkpointing");
    assert!(
        (loss(&taped) - loss(&plain)).abs() < 1e-3,
        "{taped} {plain}"
    );
    let (status, errors) = bench.fails(
        "text_classification",
        &format!("{flags} --out @none --class-weights @wrong.json"),
    );
    assert_eq!(status, 1);
    assert!(
        errors.contains("wrong.json: there is no weight of the class \"fine\""),
        "{errors}"
    );
}

#[test]
fn the_last_weights_are_kept_if_that_is_asked_for() {
    let bench = Bench::new(&[("rows.csv", &table(12)), ("dev.csv", &table(5))]);
    let flags = format!(
        "--model {} --train @rows.csv --dev @dev.csv --epochs 3 --lr 5e-3 --metric loss --quiet",
        model()
    );
    let last = bench.run(
        "text_classification",
        &format!("{flags} --keep-last --out @last"),
    );
    let best = bench.run("text_classification", &format!("{flags} --out @best"));
    let state = read_json(bench.0.path().join("best/trainer_state.json"));
    let losses: Vec<f64> = state["log_history"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|record| record["eval_loss"].as_f64())
        .collect();
    let near = |results: &Value, loss: f64| {
        (results["eval_loss"].as_f64().expect("a number") - loss).abs() < 1e-5
    };
    assert!(
        near(&last, *losses.last().expect("evaluations")),
        "{losses:?} {last}"
    );
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(near(&best, least), "{losses:?} {best}");
}
