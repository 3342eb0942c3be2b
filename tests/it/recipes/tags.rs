//! Tags as people have them: without types, as ids, with comments, with placeholders, and other
//! ones than those of a fitted model.

use serde_json::{Value, json};

use super::{Bench, has_numbers, model};
use crate::examples::read_json;
use crate::fixture::data;

const SHORT: &str = "--max-steps 2 --batch-size 4 --quiet";

impl Bench {
    fn names(&self, out: &str) -> Value {
        let config = read_json(self.0.path().join(out).join("config.json"));
        let names = config["id2label"].as_object().expect("names").values();
        names.cloned().collect()
    }

    /// Standard error of a recipe that ends well.
    fn says(&self, recipe: &str, words: &str) -> String {
        let (code, errors) = self.fails(recipe, words);
        assert_eq!(code, 0, "{errors}");
        errors
    }
}

/// Precision, recall and F1 of entities without types, where each `B`, and each `I` or other
/// letter that no entity goes before, begins one.
fn entities(rows: &[Vec<String>]) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    for (number, tags) in rows.iter().enumerate() {
        let mut start = None;
        for (place, tag) in tags.iter().map(String::as_str).chain(["O"]).enumerate() {
            if let Some(first) = start.filter(|_| tag != "I") {
                found.push((number, first, place));
                start = None;
            }
            if tag != "O" && start.is_none() {
                start = Some(place);
            }
        }
    }
    found
}

#[test]
fn entities_without_types_are_counted_as_entities() {
    let files = [
        (
            "bio.tsv",
            "the\tO\nfilm\tB\nphone\tI\n\ngood\tO\nmovie\tB\n",
        ),
        (
            "io.tsv",
            "the\tI\nfilm\tO\nis\tO\ngreat\tI\n\nand\tO\ngood\tO\nphone\tI\nbad\tO\n",
        ),
        (
            "bo.tsv",
            "the\tB\nfilm\tO\nis\tO\ngreat\tB\n\nand\tO\ngood\tO\nphone\tB\nbad\tB\n",
        ),
    ];
    let bench = Bench::new(&files);
    let model = model();
    for (name, content) in files {
        let results = bench.run(
            "token_classification",
            &format!(
                "--model {model} --train @{name} --dev @{name} --test @{name} --out @{name}.out \
                 --metric f1 --lr 3e-3 --epochs 3 --quiet"
            ),
        );
        let tags = |rows: Vec<Vec<&str>>| -> Vec<Vec<String>> {
            let owned = |row: Vec<&str>| row.into_iter().map(str::to_owned).collect();
            rows.into_iter().map(owned).collect()
        };
        let right = content.trim().split("\n\n").map(|sentence| {
            let lines = sentence.lines();
            lines
                .map(|line| line.split('\t').nth(1).expect("a tag"))
                .collect()
        });
        let right = entities(&tags(right.collect()));
        let predictions = bench.predictions(&format!("{name}.out"));
        let row = |row: &'_ Value| -> Vec<String> {
            let tags = row["tags"].as_array().expect("tags").iter();
            tags.map(|tag| tag.as_str().expect("a tag").to_owned())
                .collect()
        };
        let predicted = entities(&predictions.iter().map(row).collect::<Vec<_>>());
        let both = predicted.iter().filter(|span| right.contains(span)).count() as f64;
        let f1 = 2.0 * both / (predicted.len() + right.len()) as f64;
        for prefix in ["eval", "test"] {
            let of = |key: &str| {
                results[format!("{prefix}_{key}")]
                    .as_f64()
                    .expect("a number")
            };
            assert!((of("f1") - f1).abs() < 1e-9, "{name}: {results}, not {f1}");
            assert!((of("recall") - both / right.len() as f64).abs() < 1e-9);
            assert_eq!(of("f1"), of("f1__"));
        }
    }
}

#[test]
fn words_that_are_no_entities_have_numbers_of_their_own_names() {
    let bench = Bench::new(&[("pos.tsv", "the\tDET\nfilm\tNOUN\n\ngood\tDET\n")]);
    let model = model();
    let flags = format!("--model {model} --train @pos.tsv --dev @pos.tsv {SHORT}");
    let results = bench.run("token_classification", &format!("{flags} --out @run"));
    has_numbers(
        &results,
        &["eval_accuracy", "eval_f1_macro", "eval_f1_micro"],
    );
    for key in ["eval_f1", "eval_precision", "eval_recall"] {
        assert!(results[key].is_null(), "{key} in {results}");
    }
    let (code, errors) = bench.fails(
        "token_classification",
        &format!("{flags} --out @other --metric f1"),
    );
    assert_eq!(code, 2);
    assert!(errors.contains("accuracy, f1_macro, f1_micro"), "{errors}");
}

#[test]
fn ids_get_their_names_from_the_flag_or_the_file() {
    let rows = "{\"tokens\": [\"film\", \"the\"], \"ner_tags\": [1, 0]}\n\
                {\"tokens\": [\"good\"], \"ner_tags\": [0]}\n";
    let bench = Bench::new(&[("ids.jsonl", rows), ("names.txt", "O\nB-X\nI-X\n")]);
    let parquet = std::fs::read(data("parquet/tagged.parquet")).expect("a file");
    std::fs::write(bench.0.path().join("ids.parquet"), parquet).expect("a file");
    let model = model();
    let flags = |name: &str| format!("--model {model} --train @{name} --dev @{name} {SHORT}");
    for (labels, out) in [("O,B-X,I-X", "a"), ("@names.txt", "b")] {
        let words = format!("{} --labels {labels} --out @{out}", flags("ids.jsonl"));
        let results = bench.run("token_classification", &words);
        has_numbers(&results, &["eval_f1", "eval_precision", "eval_recall"]);
        assert_eq!(bench.names(out), json!(["O", "B-X", "I-X"]));
    }
    // The fitted model understands ids by the same flag.
    let words = format!("--model @a --dev @ids.jsonl --labels O,B-X,I-X --out @again {SHORT}");
    let results = bench.run("token_classification", &words);
    has_numbers(&results, &["eval_f1"]);
    let words = format!("--model @a --dev @ids.jsonl --out @no {SHORT}");
    let (code, errors) = bench.fails("token_classification", &words);
    assert_eq!(code, 1);
    let expected = "ids.jsonl:1: label `1` is not one of O, B-X, I-X (--labels";
    assert!(errors.contains(expected), "{errors}");

    let words = format!("{} --out @c", flags("ids.parquet"));
    let results = bench.run("token_classification", &words);
    has_numbers(&results, &["eval_f1", "eval_f1_PER"]);
    assert_eq!(bench.names("c"), json!(["O", "B-PER", "I-PER", "B-ORG"]));

    let words = format!("{} --out @d", flags("ids.jsonl"));
    let errors = bench.says("token_classification", &words);
    assert!(errors.contains("the tags are numbers"), "{errors}");
    assert!(errors.contains("--labels"), "{errors}");
    assert_eq!(bench.names("d"), json!(["0", "1"]));
}

#[test]
fn placeholders_in_a_file_to_predict_are_passed_over() {
    let bench = Bench::new(&[
        ("train.conll", "the O\nfilm B-X\n\ngood O\n"),
        ("empty.tsv", "the\t\nfilm\t\n"),
        ("line.tsv", "the\t_\nfilm\t_\n"),
        (
            "ids.jsonl",
            "{\"words\": [\"the\", \"film\"], \"tags\": [-1, -1]}\n",
        ),
        (
            "null.jsonl",
            "{\"words\": [\"the\", \"film\"], \"tags\": null}\n",
        ),
        ("some.tsv", "the\tO\nfilm\t_\n"),
        ("right.tsv", "the\tO\nfilm\tO\n"),
    ]);
    let model = model();
    let words = format!("--model {model} --train @train.conll --out @run {SHORT}");
    bench.run("token_classification", &words);
    for name in ["empty.tsv", "line.tsv", "ids.jsonl", "null.jsonl"] {
        let words = format!("--model @run --test @{name} --out @{name}.out --quiet");
        let errors = bench.says("token_classification", &words);
        assert!(
            errors.contains("they are only predicted"),
            "{name}: {errors}"
        );
        let rows = bench.predictions(&format!("{name}.out"));
        assert_eq!(rows[0]["words"], json!(["the", "film"]));
    }
    let words = "--model @run --test @some.tsv --out @some --quiet";
    let (code, errors) = bench.fails("token_classification", words);
    assert_eq!(code, 1);
    assert!(
        errors.contains("some.tsv:2: label `_` is not one of B-X, O"),
        "{errors}"
    );
    for name in ["some.tsv", "right.tsv"] {
        let words = format!("--model @run --test @{name} --out @un --overwrite --no-test-labels");
        assert_eq!(bench.run("token_classification", &words), json!({}));
        assert_eq!(bench.predictions("un").len(), 1);
    }
}

#[test]
fn a_fitted_model_gets_a_fresh_head_or_says_so() {
    let bench = Bench::new(&[
        ("a.conll", "the O\nfilm B-X\n\ngood O\n"),
        ("b.conll", "the O\nfilm B-Y\n\ngood B-Z\n"),
        ("c.conll", "the O\nfilm B-Y\n\ngood B-W\n"),
    ]);
    let model = model();
    let words = format!("--model {model} --train @a.conll --out @run {SHORT}");
    bench.run("token_classification", &words);
    let words = format!("--model @run --train @b.conll --out @other {SHORT}");
    let (code, errors) = bench.fails("token_classification", &words);
    assert_eq!(code, 1);
    assert!(
        errors.contains("b.conll:2: label `B-Y` is not one of B-X, O"),
        "{errors}"
    );
    assert!(errors.contains("--fresh-head"), "{errors}");
    bench.run(
        "token_classification",
        &format!("{words} --fresh-head --overwrite"),
    );
    assert_eq!(bench.names("other"), json!(["B-Y", "B-Z", "O"]));
    // A tag of --dev alone is a class that cannot be learnt.
    let words = format!("--model {model} --train @b.conll --dev @c.conll --out @dev {SHORT}");
    let errors = bench.says("token_classification", &words);
    assert!(
        errors.contains("no row of --train has the classes B-W of --dev"),
        "{errors}"
    );
    assert_eq!(bench.names("dev"), json!(["B-W", "B-Y", "B-Z", "O"]));
}

#[test]
fn rows_are_chosen_and_bad_ones_left_out() {
    let sentence = "the O\nfilm B-X\n\n";
    let train = format!("{}bad\n\n", sentence.repeat(10));
    let bench = Bench::new(&[("train.conll", &train), ("test.conll", &sentence.repeat(3))]);
    let model = model();
    let words = format!(
        "--model {model} --train @train.conll --test @test.conll --out @run --on-bad-row skip \
         --dev-share 0.3 --max-train-samples 5 --max-eval-samples 2 --max-predict-samples 1 {SHORT}"
    );
    let results = bench.run("token_classification", &words);
    assert_eq!(results["train_samples"], 5);
    assert_eq!(results["eval_samples"], 2);
    assert_eq!(results["test_samples"], 1);
    let skipped = std::fs::read_to_string(bench.0.path().join("run/skipped_rows.jsonl"));
    let skipped: Value = serde_json::from_str(&skipped.expect("a list")).expect("JSON");
    assert_eq!(skipped["line"], 31);
    assert_eq!(skipped["problem"], "expected 2 columns, found 1");
}
