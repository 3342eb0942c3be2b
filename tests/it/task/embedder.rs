//! Embeddings as a user meets them, and against sentence-transformers and rust-bert.

use std::path::Path;
use std::process::Command;

use bertfit::ndarray::Array2;
use bertfit::tch::{Device, Tensor};
use bertfit::{
    BertEmbedder, EmbeddingExample, EmbeddingLoss, FineTuner, Pooling, Precision, TrainConfig,
    TripletDistance, cpu_has_bf16, paired_cosine_similarity,
};
use rust_bert::pipelines::sentence_embeddings::SentenceEmbeddingsBuilder;
use serde_json::{Value, json};

use crate::fixture::{
    assert_close, batch_of, data, minilm, tensors, tiny, with_config, without_dropout,
};

pub const EUCLIDEAN: EmbeddingLoss = EmbeddingLoss::Triplet {
    distance: TripletDistance::Euclidean,
    margin: 5.0,
};
pub const COSENT: EmbeddingLoss = EmbeddingLoss::CoSent { scale: 20.0 };

pub fn reference() -> Vec<EmbeddingExample> {
    let text = std::fs::read_to_string(data("task/embedder.json")).expect("a file");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    rows.iter()
        .map(|row| EmbeddingExample {
            text: text(row, "text"),
            pair: text(row, "pair"),
            negative: Some(text(row, "negative")),
            score: row["score"].as_f64().map(|score| score as f32),
        })
        .collect()
}

fn texts() -> Vec<String> {
    let rows = reference().into_iter();
    let texts = rows.flat_map(|row| [row.text, row.pair, row.negative.unwrap_or_default()]);
    texts.chain([String::new()]).collect()
}

fn tensor(vectors: &Array2<f32>) -> Tensor {
    let (rows, size) = vectors.dim();
    let numbers = vectors.as_slice().expect("a contiguous array");
    Tensor::from_slice(numbers).view([rows as i64, size as i64])
}

pub fn embedder(loss: EmbeddingLoss) -> BertEmbedder {
    let builder = BertEmbedder::builder(tiny()).loss(loss);
    builder.build().expect("an embedder")
}

#[test]
fn each_loss_and_its_gradients_are_those_of_sentence_transformers() {
    let cosine_triplet = EmbeddingLoss::Triplet {
        distance: TripletDistance::Cosine,
        margin: 0.5,
    };
    let without = without_dropout(&tiny());
    for (case, loss, pooling, normalize, with_negatives) in [
        (
            "multiple_negatives",
            EmbeddingLoss::default(),
            Pooling::Mean,
            false,
            false,
        ),
        (
            "hard_negatives",
            EmbeddingLoss::default(),
            Pooling::Cls,
            false,
            true,
        ),
        ("cosine", EmbeddingLoss::Cosine, Pooling::Max, false, false),
        ("cosent", COSENT, Pooling::Mean, true, false),
        ("triplet", EUCLIDEAN, Pooling::Mean, false, true),
        ("triplet_cosine", cosine_triplet, Pooling::Cls, true, true),
    ] {
        let expected = tensors(data(&format!("task/embedder/{case}.safetensors")));
        let builder = BertEmbedder::builder(without.path()).loss(loss);
        let builder = builder.pooling(pooling).normalize(normalize);
        let model = builder.build().expect("an embedder");
        let mut rows = reference();
        if !with_negatives {
            rows.iter_mut().for_each(|row| row.negative = None);
        }
        let batch = batch_of(&model, &rows);
        let vectors = model.logits(&batch.inputs, true).expect("vectors");
        assert_close(case, &vectors, &expected["embeddings"], 1e-5);
        let loss = model.loss(&vectors, &batch.target).expect("a loss");
        let loss = loss.sum / loss.count;
        assert_close(case, &loss.reshape([1]), &expected["loss"], 1e-4);
        loss.backward();
        let mut compared = 0;
        for (name, weight) in model.backbone().named_variables() {
            let gradient = &expected[&format!("gradient.{name}")];
            assert_close(&format!("{case}: {name}"), &weight.grad(), gradient, 1e-4);
            compared += 1;
        }
        let gradients = expected.keys().filter(|name| name.starts_with("gradient."));
        assert_eq!(compared, gradients.count(), "{case}");
    }
}

#[test]
fn what_sentence_transformers_has_saved_gives_the_same_vectors() {
    let model = BertEmbedder::load(data("task/embedder/saved")).expect("an embedder");
    assert_eq!(model.pooling(), Pooling::Max);
    assert!(model.is_normalized());
    assert_eq!(model.encoder().expect("an encoder").max_length(), 8);
    let vectors = model.embed(&texts()).expect("vectors");
    let expected = tensors(data("task/embedder/saved.safetensors"));
    assert_close("vectors", &tensor(&vectors), &expected["embeddings"], 1e-5);
    // A caller may ask for something else.
    let builder = BertEmbedder::saved(data("task/embedder/saved"));
    let builder = builder.pooling(Pooling::Cls).normalize(false).max_length(6);
    let other = builder.build().expect("an embedder");
    assert_eq!(
        (other.pooling(), other.is_normalized()),
        (Pooling::Cls, false)
    );
    assert_eq!(other.encoder().expect("an encoder").max_length(), 6);
}

#[test]
fn the_published_model_is_read_as_its_folder_says() {
    let model = BertEmbedder::load(minilm()).expect("an embedder");
    assert_eq!(
        (model.pooling(), model.is_normalized()),
        (Pooling::Mean, true)
    );
    assert_eq!(model.encoder().expect("an encoder").max_length(), 256);
    let same = model
        .similarity(
            &["A man is playing a guitar."],
            &["Someone plays the guitar.", "The stock market fell today."],
        )
        .expect("cosines");
    assert_eq!(same.dim(), (1, 2));
    assert!(same[[0, 0]] > 0.7 && same[[0, 1]] < 0.2, "{same}");
}

/// Every pooling, normalised or not, of a folder with the tiny model.
fn each_tiny(dir: &Path) -> Vec<BertEmbedder> {
    let mut models = Vec::new();
    for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Max] {
        for normalize in [false, true] {
            let builder = BertEmbedder::builder(dir).max_length(9);
            let builder = builder.pooling(pooling).normalize(normalize);
            models.push(builder.build().expect("an embedder"));
        }
    }
    models
}

/// The same and a real model.
fn each_model() -> Vec<BertEmbedder> {
    let mut models = each_tiny(&tiny());
    models.push(BertEmbedder::load(minilm()).expect("an embedder"));
    models
}

#[test]
fn sentence_transformers_loads_a_saved_model_with_the_same_vectors() {
    let Ok(python) = std::env::var("BERTFIT_PYTHON") else {
        eprintln!("not run: BERTFIT_PYTHON is not set");
        return;
    };
    for mut model in each_model() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let saved = dir.path().join("model");
        if model.size() == 32 {
            let config = TrainConfig {
                epochs: 1.0,
                learning_rate: 1e-3,
                ..TrainConfig::default()
            };
            model
                .fit(&reference(), &reference(), &config)
                .expect("a run");
        }
        model.save(&saved).expect("a saved model");
        let vectors = model.embed(&texts()).expect("vectors");
        let rows = texts().into_iter().zip(vectors.rows());
        let rows: Vec<Value> = rows
            .map(|(text, vector)| json!({"text": text, "embedding": vector.to_vec()}))
            .collect();
        let path = dir.path().join("rows.json");
        std::fs::write(&path, Value::from(rows).to_string()).expect("a file");
        check(&python, &saved, &path);
    }
}

#[track_caller]
fn check(python: &str, saved: &Path, rows: &Path) {
    let output = Command::new(python)
        .arg(data("task/check_embeddings.py"))
        .args([saved, rows])
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn rust_bert_loads_a_saved_model_with_the_same_vectors() {
    // It has one epsilon for all layer norms.
    let epsilon = with_config(&tiny(), &[("layer_norm_eps", json!(1e-12))]);
    let mut models = each_tiny(epsilon.path());
    models.push(BertEmbedder::load(minilm()).expect("an embedder"));
    for model in models {
        // Its pipeline gives the highest numbers a dimension too many, and then panics.
        if model.pooling() == Pooling::Max {
            continue;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let saved = dir.path().join("model");
        model.save_for_rust_bert(&saved).expect("a saved model");
        let theirs = SentenceEmbeddingsBuilder::local(&saved)
            .with_device(Device::Cpu)
            .create_model()
            .expect("rust-bert's pipeline");
        let vectors = model.embed(&texts()).expect("vectors");
        for (text, vector) in texts().iter().zip(vectors.rows()) {
            let theirs = theirs.encode(&[text]).expect("a vector").remove(0);
            for (a, b) in vector.iter().zip(&theirs) {
                assert!((a - b).abs() < 1e-5, "{text}: {a} {b}");
            }
        }
        // It is a folder for everybody else too.
        let again = BertEmbedder::load(&saved).expect("an embedder");
        assert_eq!(again.embed(&texts()).expect("vectors"), vectors);
    }
}

#[test]
fn a_saved_model_is_read_back_with_all_its_settings() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    for model in each_tiny(&tiny()) {
        // Over the files of the one before, too.
        model.save(&saved).expect("a saved model");
        let again = BertEmbedder::load(&saved).expect("an embedder");
        assert_eq!(again.pooling(), model.pooling());
        assert_eq!(again.is_normalized(), model.is_normalized());
        let length = |model: &BertEmbedder| model.encoder().expect("an encoder").max_length();
        assert_eq!(length(&again), length(&model));
        let vectors = |model: &BertEmbedder| model.embed(&texts()).expect("vectors");
        assert_eq!(vectors(&again), vectors(&model));
        // The pooler is of no use here, but others have one.
        let pooler =
            |dir: &Path| tensors(dir.join("model.safetensors")).remove("pooler.dense.weight");
        assert_eq!(pooler(&saved), pooler(&tiny()));
    }
}

#[test]
fn any_text_has_a_vector_whatever_stands_beside_it() {
    let long = "good ".repeat(500);
    let texts = [
        "",
        " ",
        "\u{200b}",
        "[SEP] [PAD]",
        "film",
        long.as_str(),
        "",
        "film",
    ];
    for model in each_model() {
        let together = model.embed(&texts).expect("vectors");
        assert_eq!(together.dim(), (texts.len(), model.size()));
        assert!(together.iter().all(|number| number.is_finite()));
        assert_eq!(together.row(0), together.row(6));
        for (text, vector) in texts.iter().zip(together.rows()) {
            let alone = model.embed(&[text]).expect("a vector");
            let differs = (&alone.row(0) - &vector).mapv(f32::abs);
            assert!(
                differs.iter().all(|&difference| difference < 1e-5),
                "{text}"
            );
        }
        let none = model.embed::<&str>(&[]).expect("no vectors");
        assert_eq!(none.dim(), (0, model.size()));
    }
}

#[test]
fn a_classifier_may_become_an_embedder() {
    let labels = [("architectures", json!(["BertForSequenceClassification"]))];
    let dir = with_config(&tiny(), &labels);
    let model = BertEmbedder::builder(dir.path())
        .build()
        .expect("an embedder");
    let plain = BertEmbedder::builder(tiny()).build().expect("an embedder");
    let vectors = |model: &BertEmbedder| model.embed(&texts()).expect("vectors");
    assert_eq!(vectors(&model), vectors(&plain));
}

#[test]
fn a_model_without_a_pooler_gets_one_for_others() {
    let model = BertEmbedder::builder(data("task/masked_lm"))
        .build()
        .expect("an embedder");
    let names: Vec<String> = model.backbone().named_variables().into_keys().collect();
    assert!(names.iter().all(|name| !name.contains("pooler")));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    model.save(&saved).expect("a saved model");
    let weights = tensors(saved.join("model.safetensors"));
    assert_eq!(weights["pooler.dense.weight"].size(), [32, 32]);
    assert!(weights.keys().all(|name| !name.starts_with("bert.")));
}

#[test]
fn vectors_in_bfloat16_are_near_those_in_float32() {
    if !cpu_has_bf16() {
        eprintln!("not run: the CPU has no bfloat16");
        return;
    }
    let of = |precision| {
        // Where dropout draws the same in both.
        let builder = BertEmbedder::saved(minilm()).device(Device::Cpu);
        let builder = builder.precision(precision);
        let mut model = builder.loss(COSENT).build().expect("an embedder");
        let vectors = model.embed(&texts()).expect("vectors");
        let config = TrainConfig {
            max_steps: Some(2),
            ..TrainConfig::default()
        };
        let rows = reference();
        let report = model.fit(&rows, &rows, &config).expect("a run");
        (vectors, report.train_loss)
    };
    let (exact, loss) = of(Precision::F32);
    let (rounded, rounded_loss) = of(Precision::Bf16);
    let cosines = paired_cosine_similarity(exact.view(), rounded.view());
    assert!(cosines.iter().all(|&cosine| cosine > 0.999), "{cosines}");
    assert!(
        (loss - rounded_loss).abs() < 0.1 * loss,
        "{loss} {rounded_loss}"
    );
}
