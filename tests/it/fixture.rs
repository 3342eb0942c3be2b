//! What the tests share: model folders, reference numbers, and comparing them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{Batch, Collator, Example, FineTuner, ItemOf, TargetOf};
use flate2::read::GzDecoder;
use serde_json::Value;

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The random two-layer BERT that transformers has saved.
pub fn tiny() -> PathBuf {
    data("model/tiny")
}

/// The real six-layer BERT that `cargo xtask setup` has put there.
pub fn minilm() -> PathBuf {
    let models = std::env::var("BERTFIT_MODELS").expect("BERTFIT_MODELS is set by cargo's config");
    let dir = Path::new(&models).join("all-MiniLM-L6-v2");
    assert!(
        dir.exists(),
        "{} is missing: run `cargo xtask setup`",
        dir.display()
    );
    dir
}

/// A copy of a model folder, with some fields of `config.json` set to other values;
/// `null` removes a field.
pub fn with_config(source: &Path, changes: &[(&str, Value)]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for entry in std::fs::read_dir(source).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, copy.path().join(path.file_name().expect("a name")))
                .expect("a copy");
        }
    }
    let path = copy.path().join("config.json");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    let fields = config.as_object_mut().expect("an object");
    for (name, value) in changes {
        match value {
            Value::Null => fields.remove(*name),
            _ => fields.insert((*name).to_owned(), value.clone()),
        };
    }
    std::fs::write(&path, config.to_string()).expect("a written file");
    copy
}

/// The same folder without any dropout.
pub fn without_dropout(source: &Path) -> tempfile::TempDir {
    let zero = || Value::from(0.0);
    let changes = [
        ("hidden_dropout_prob", zero()),
        ("attention_probs_dropout_prob", zero()),
    ];
    with_config(source, &changes)
}

/// The text in a compressed file.
pub fn read_gz(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("gzip of UTF-8");
    text
}

pub fn tensors(path: impl AsRef<Path>) -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(path)
        .expect("a safetensors file")
        .into_iter()
        .collect()
}

/// The texts and pairs that the reference numbers of the models belong to.
pub fn rows() -> Vec<Example> {
    let text = std::fs::read_to_string(data("model/rows.json")).expect("the rows");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    rows.iter()
        .map(|row| Example {
            text: row["text"].as_str().expect("a text").to_owned(),
            pair: row["pair"].as_str().map(str::to_owned),
            label: row["label"].as_str().expect("a label").to_owned(),
        })
        .collect()
}

/// Eight sentences in the tiny model's own words.
pub fn eight() -> Vec<Example> {
    [
        ("the film was great", "good"),
        ("this is very good food", "good"),
        ("it was fine", "good"),
        ("good film !", "good"),
        ("the film was bad", "bad"),
        ("this is very dull", "bad"),
        ("it was not good", "bad"),
        ("sad , dull food .", "bad"),
    ]
    .map(|(text, label)| Example::new(text, label))
    .to_vec()
}

/// What the model's collator makes of rows, where the model is.
#[track_caller]
pub fn batch_of<M: FineTuner>(model: &M, rows: &[ItemOf<M>]) -> Batch<TargetOf<M>> {
    let batch = model.collator().and_then(|collator| collator.collate(rows));
    let moved = batch.and_then(|batch| batch.to_device(model.backbone().device()));
    moved.expect("a batch")
}

/// The largest difference between two tensors of the same shape.
pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let [a, b] = [a, b].map(|x| x.to_device(Device::Cpu).to_kind(Kind::Double));
    let largest = (a - b).abs().max().double_value(&[]);
    assert!(!largest.is_nan());
    largest
}

#[track_caller]
pub fn assert_close(what: &str, a: &Tensor, b: &Tensor, tolerance: f64) {
    let largest = difference(a, b);
    assert!(
        largest <= tolerance,
        "{what}: differs by {largest:e}, more than {tolerance:e}"
    );
}
