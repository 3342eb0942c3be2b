//! Questions as people have them: in rows, with whole numbers as ids, with no answer written in
//! many ways, with answers out of place, and models of other libraries.

use serde_json::{Value, json};

use super::{Bench, has_numbers, model};
use crate::examples::read_json;
use crate::fixture::data;

const SHORT: &str = "--max-steps 2 --batch-size 4 --quiet";
const CONTEXT: &str = "the film was good";

fn row(id: Value, question: &str, answers: Value) -> Value {
    json!({"id": id, "context": CONTEXT, "question": question, "answers": answers})
}

/// A question with an answer, and one without.
fn rows() -> Vec<Value> {
    vec![
        row(
            json!(7),
            "what ?",
            json!({"text": ["film"], "answer_start": [4]}),
        ),
        row(
            json!("b"),
            "who ?",
            json!({"text": [""], "answer_start": [-1]}),
        ),
    ]
}

#[test]
fn every_form_gives_the_same_run() {
    let rows = rows();
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    let nested = json!({"version": "x", "data": [{"paragraphs": [{"context": CONTEXT, "qas": [
        {"id": 7, "question": "what ?", "answers": [{"text": "film", "answer_start": 4}]},
        {"id": "b", "question": "who ?", "is_impossible": true,
         "answers": [{"text": "", "answer_start": 0}]},
    ]}]}]});
    let files = [
        ("rows.json", json!({"data": rows}).to_string()),
        ("list.json", json!(rows).to_string()),
        ("lines.jsonl", lines.join("\n")),
        ("nested.json", nested.to_string()),
    ];
    let files = files
        .each_ref()
        .map(|(name, content)| (*name, content.as_str()));
    let bench = Bench::new(&files);
    let model = model();
    let mut losses = Vec::new();
    for (name, _) in files {
        let words = format!(
            "--model {model} --train @{name} --dev @{name} --test @{name} --out @{name}.out {SHORT}"
        );
        let results = bench.run("question_answering", &words);
        has_numbers(&results, &["eval_HasAns_f1", "eval_NoAns_f1"]);
        losses.push(results["train_loss"].clone());
        let rows = bench.predictions(&format!("{name}.out"));
        assert_eq!([&rows[0]["id"], &rows[1]["id"]], ["7", "b"]);
    }
    assert!(losses.iter().all(|loss| *loss == losses[0]), "{losses:?}");
}

#[test]
fn all_answers_and_their_odds_are_written() {
    let content = json!(rows()).to_string();
    let bench = Bench::new(&[("rows.json", content.as_str())]);
    let model = model();
    let words = format!(
        "--model {model} --train @rows.json --test @rows.json --out @run --n-best 9 \
         --max-answer-length 2 --null-threshold -100 {SHORT}"
    );
    bench.run("question_answering", &words);
    let file = |name: &str| read_json(bench.0.path().join("run").join(name));
    let (texts, n_best, odds) = (
        file("predictions.json"),
        file("nbest_predictions.json"),
        file("null_odds.json"),
    );
    for id in ["7", "b"] {
        // No answer leads by more than -100.
        assert_eq!(texts[id], "");
        let listed = n_best[id].as_array().expect("a list");
        assert!((2..=10).contains(&listed.len()));
        let number = |answer: &Value, key: &str| answer[key].as_f64().expect("a number");
        let sum: f64 = listed
            .iter()
            .map(|answer| number(answer, "probability"))
            .sum();
        assert!((sum - 1.0).abs() < 1e-5);
        let score = |answer: &Value| number(answer, "start_logit") + number(answer, "end_logit");
        let null = listed
            .iter()
            .find(|answer| answer["text"] == "")
            .expect("no answer");
        let best = listed
            .iter()
            .find(|answer| answer["text"] != "")
            .expect("an answer");
        let expected = score(null) - score(best);
        let found = odds[id].as_f64().expect("a number");
        assert!((found - expected).abs() < 1e-5);
        let words = |answer: &Value| answer["text"].as_str().expect("a text").split(' ').count();
        assert!(listed.iter().all(|answer| words(answer) <= 2));
    }
    // With the opposite, an answer is always given.
    let words = "--model @run --test @rows.json --out @all --null-threshold 100 --quiet";
    bench.run("question_answering", words);
    let texts = read_json(bench.0.path().join("all/predictions.json"));
    assert!(texts["b"] != "" && texts["7"] != "", "{texts}");
}

#[test]
fn a_model_of_another_library_may_give_no_answer_where_the_data_has_none() {
    let content = json!(rows()).to_string();
    let answered = json!([rows()[0]]).to_string();
    let bench = Bench::new(&[
        ("rows.json", content.as_str()),
        ("all.json", answered.as_str()),
    ]);
    let model = data("task/question_answering");
    let model = model.display();
    let odds = |out: &str| bench.0.path().join(out).join("null_odds.json").exists();
    for (out, words, nullable) in [
        ("dev", "--dev @rows.json --test @all.json", true),
        ("test", "--test @rows.json", true),
        ("all", "--dev @all.json --test @all.json", false),
        ("asked", "--test @all.json --unanswerable", true),
        ("threshold", "--test @all.json --null-threshold 1", true),
        ("without", "--test @rows.json --no-test-labels", false),
    ] {
        let words = format!("--model {model} {words} --out @{out} --quiet");
        bench.run("question_answering", &words);
        assert_eq!(odds(out), nullable, "{words}");
    }
    // A model that has learnt to answer always is taken at its word.
    let words = format!("--model {model} --train @all.json --dev @rows.json --out @fit {SHORT}");
    let (code, errors) = bench.fails("question_answering", &words);
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("--unanswerable lets it give none"),
        "{errors}"
    );
    let config = read_json(bench.0.path().join("fit/config.json"));
    assert_eq!(config["bertfit"]["unanswerable"], false);
}

#[test]
fn answers_out_of_place_matter_in_training_alone() {
    let at = |id: &str, text: &str, start: i64| {
        row(
            json!(id),
            "what ?",
            json!({"text": [text], "answer_start": [start]}),
        )
    };
    let good = json!([at("a", "film", 4), at("b", "good", 13)]).to_string();
    let bad = json!([at("a", "film", 5), at("b", "good", 13), at("c", "Film", 4)]).to_string();
    let bench = Bench::new(&[("good.json", good.as_str()), ("bad.json", bad.as_str())]);
    let model = model();
    let words = format!(
        "--model {model} --train @good.json --dev @bad.json --test @bad.json --out @run {SHORT}"
    );
    let (code, errors) = bench.fails("question_answering", &words);
    assert_eq!(code, 0, "{errors}");
    let expected = "bad.json: 2 of 3 questions have an answer that does not stand where the file \
                    says; its text is compared all the same; the first is [0] (`a`): the answer \
                    `film` does not stand at character 5, but at 4";
    assert!(errors.contains(expected), "{errors}");
    let results = read_json(bench.0.path().join("run/all_results.json"));
    assert_eq!(results["eval_samples"], 3);

    let words = format!("--model {model} --train @bad.json --out @bad {SHORT}");
    let (code, errors) = bench.fails("question_answering", &words);
    assert_eq!(code, 1);
    assert!(
        errors.contains("bad.json: [0] (`a`)") && errors.contains("but at 4"),
        "{errors}"
    );
    assert!(errors.contains("--on-bad-row skip"), "{errors}");

    let words = format!("{words} --overwrite --on-bad-row skip");
    let results = bench.run("question_answering", &words);
    assert_eq!(results["train_samples"], 1);
    let skipped = std::fs::read_to_string(bench.0.path().join("bad/skipped_rows.jsonl"));
    let skipped = skipped.expect("a list");
    assert_eq!(skipped.lines().count(), 2);
    assert!(skipped.contains("[2] (`c`)"), "{skipped}");
}

#[test]
fn rows_are_chosen() {
    let rows: Vec<Value> = (0..10)
        .map(|id| {
            row(
                json!(id),
                "what ?",
                json!({"text": ["film"], "answer_start": [4]}),
            )
        })
        .collect();
    let content = json!(rows).to_string();
    let bench = Bench::new(&[("rows.json", content.as_str())]);
    let model = model();
    let words = format!(
        "--model {model} --train @rows.json --test @rows.json --out @run --dev-share 0.3 \
         --max-train-samples 5 --max-eval-samples 2 --max-predict-samples 4 {SHORT}"
    );
    let results = bench.run("question_answering", &words);
    assert_eq!(results["train_samples"], 5);
    assert_eq!(results["eval_samples"], 2);
    assert_eq!(results["test_samples"], 4);
    // A head for other questions than those that it was fitted to.
    let words = format!("--model @run --train @rows.json --out @fresh --fresh-head {SHORT}");
    bench.run("question_answering", &words);
}
