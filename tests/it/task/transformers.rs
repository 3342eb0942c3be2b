//! What we save, read by transformers itself. It runs where `BERTFIT_PYTHON` names a
//! Python that has it; `cargo xtask peers` makes one.

use std::process::Command;

use bertfit::{BertClassifier, Example, FineTuner, TrainConfig};
use serde_json::{Value, json};

use crate::encode::tokenizer_folders;
use crate::fixture::{data, minilm, rows, tiny, with_config};

fn transformers_agrees(model: std::path::PathBuf) {
    let Ok(python) = std::env::var("BERTFIT_PYTHON") else {
        eprintln!("not run: BERTFIT_PYTHON is not set");
        return;
    };
    let mut classifier = BertClassifier::builder(model)
        .labels(["negative", "other", "positive"])
        .fresh_head()
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
    let encodings = encoder.encode(&rows).expect("encodings");
    let expected: Vec<Value> = rows
        .iter()
        .zip(&logits)
        .zip(labels.labels())
        .zip(&encodings)
        .map(|(((row, logits), label), encoding)| {
            let logits = Vec::<f32>::try_from(logits).expect("three numbers");
            let ids = &encoding.input_ids;
            json!({"text": row.text, "pair": row.pair, "input_ids": ids, "logits": logits,
                   "label": label})
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

#[test]
fn transformers_loads_a_fitted_model_that_the_other_release_has_saved() {
    transformers_agrees(data("model/saved_by_5"));
}

#[test]
fn transformers_loads_a_fitted_model_whatever_its_tokenizer_was_saved_as() {
    for name in [
        "accents_4",
        "tokens_4",
        "tokens_5",
        "generic_4",
        "generic_5",
    ] {
        let dir = with_config(&tiny(), &[]);
        for file in [
            "vocab.txt",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ] {
            std::fs::remove_file(dir.path().join(file)).expect("a removed file");
        }
        let mut files = tokenizer_folders::files_of(name);
        // That of the model stays.
        files.shift_remove("config.json");
        tokenizer_folders::write(&files, dir.path());
        transformers_agrees(dir.path().to_owned());
    }
}
