//! Against sacrebleu, rouge_score and Hugging Face's SARI:
//! `tests/data/metrics/make_generation.py`.

use bertfit::{Bleu, RougeL, Sari};
use serde::Deserialize;

use crate::fixture::{data, read_gz};

#[derive(Debug, Deserialize)]
struct Case {
    rows: Vec<Row>,
    bleu: f64,
    bleu_lowercase: f64,
    sari: f64,
}

#[derive(Debug, Deserialize)]
struct Row {
    source: String,
    text: String,
    references: Vec<String>,
    #[serde(rename = "rougeL")]
    rouge: f64,
}

#[track_caller]
fn close(name: &str, ours: f64, theirs: f64, case: &Case) {
    assert!(
        (ours - theirs).abs() < 1e-9,
        "{name}: {ours} {theirs}: {case:?}"
    );
}

#[test]
fn every_number_is_that_of_sacrebleu_rouge_score_and_evaluate() {
    let text = read_gz(&data("metrics/generation.json.gz"));
    let mut texts = 0;
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        let (mut bleu, mut lower) = (Bleu::new(), Bleu::new().lowercase());
        let (mut all, mut sari) = (RougeL::new(), Sari::new());
        for row in &case.rows {
            bleu.update(&row.text, &row.references);
            lower.update(&row.text, &row.references);
            sari.update(&row.source, &row.text, &row.references);
            all.update(&row.text, &row.references);
            let mut rouge = RougeL::new();
            rouge.update(&row.text, &row.references);
            close("rougeL", rouge.score(), 100.0 * row.rouge, &case);
        }
        let sum: f64 = case.rows.iter().map(|row| row.rouge).sum();
        let mean = 100.0 * sum / case.rows.len() as f64;
        close("mean rougeL", all.score(), mean, &case);
        close("bleu", bleu.score(), case.bleu, &case);
        close(
            "bleu in lower case",
            lower.score(),
            case.bleu_lowercase,
            &case,
        );
        close("sari", sari.score(), case.sari, &case);
        texts += case.rows.len();
    }
    assert_eq!(texts, 3749);
}

#[test]
fn of_no_texts_and_of_no_references_every_number_is_zero_or_finite() {
    assert_eq!(Bleu::new().score(), 0.0);
    assert_eq!(RougeL::new().score(), 0.0);
    assert_eq!(Sari::new().score(), 0.0);
    let none: [&str; 0] = [];
    let (mut bleu, mut rouge, mut sari) = (Bleu::new(), RougeL::new(), Sari::new());
    bleu.update("a text", &none);
    rouge.update("a text", &none);
    sari.update("a text", "a text", &none);
    assert_eq!([bleu.score(), rouge.score()], [0.0, 0.0]);
    assert!(sari.score().is_finite());
}
