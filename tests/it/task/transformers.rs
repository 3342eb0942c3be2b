//! What we save, read by transformers itself. It runs where `BERTFIT_PYTHON` names a
//! Python that has it; `cargo xtask peers` makes one.

use std::process::Command;

use bertfit::{BertClassifier, Example, FineTuner, TrainConfig};
use serde_json::{Value, json};

use crate::fixture::{data, minilm, rows, tiny};

fn transformers_agrees(model: std::path::PathBuf) {
    let Ok(python) = std::env::var("BERTFIT_PYTHON") else {
        eprintln!("not run: BERTFIT_PYTHON is not set");
        return;
    };
    let mut classifier = BertClassifier::builder(model)
        .labels(["negative", "other", "positive"])
        .build()
        .expect("valid");
    let rows = rows();
    let train: Vec<Example> = rows
        .iter()
        .map(|row| Example {
            label: if row.label == "1" {
                "positive"
            } else {
                "negative"
            }
            .to_owned(),
            ..row.clone()
        })
        .collect();
    let config = TrainConfig {
        epochs: 1.0,
        learning_rate: 1e-3,
        ..TrainConfig::default()
    };
    classifier.fit(&train, &train, &config).expect("a run");

    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    classifier.save(&saved).expect("a saved model");
    let encoder = classifier.encoder().expect("an encoder");
    let logits = classifier
        .predict_logits(&rows, &encoder, 1000)
        .expect("logits");
    let labels = classifier.predict(&rows).expect("predictions");
    let expected: Vec<Value> = rows
        .iter()
        .zip(&logits)
        .zip(labels.labels())
        .map(|((row, logits), label)| {
            let logits = Vec::<f32>::try_from(logits).expect("three numbers");
            json!({"text": row.text, "pair": row.pair, "logits": logits, "label": label})
        })
        .collect();
    let path = dir.path().join("rows.json");
    std::fs::write(&path, Value::from(expected).to_string()).expect("a file");
    let output = Command::new(python)
        .arg(data("model/check_saved.py"))
        .args([&saved, &path])
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn transformers_loads_a_fitted_random_model_with_the_same_logits() {
    transformers_agrees(tiny());
}

#[test]
fn transformers_loads_a_fitted_real_model_with_the_same_logits() {
    transformers_agrees(minilm());
}
