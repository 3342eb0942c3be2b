//! Weights in files: names old and new, what is found, and every kind of damage.

use std::collections::BTreeMap;
use std::path::Path;

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{Backbone, BertClassifier, Error, FineTuner, LoadReport};
use serde_json::json;

use crate::fixture::{assert_close, data, minilm, tensors, tiny, with_config};

const FILE: &str = "model.safetensors";

fn load(dir: &Path) -> Result<Backbone, Error> {
    Backbone::builder(dir)
        .build(|_, _| Ok(()))
        .map(|(backbone, ())| backbone)
}

/// The tiny model with its weights renamed or changed.
fn rewritten(change: impl Fn(String, Tensor) -> Vec<(String, Tensor)>) -> tempfile::TempDir {
    let dir = with_config(&tiny(), &[]);
    let path = dir.path().join(FILE);
    let changed: Vec<_> = tensors(&path)
        .into_iter()
        .flat_map(|(name, tensor)| change(name, tensor))
        .collect();
    Tensor::write_safetensors(&changed, &path).expect("a written file");
    dir
}

fn assert_same_weights(a: &Backbone, b: &Backbone) {
    let (a, b) = (a.named_variables(), b.named_variables());
    assert!(a.keys().eq(b.keys()));
    for (name, tensor) in &a {
        assert_eq!(tensor, &b[name], "{name}");
    }
}

#[test]
fn parameter_names_match_the_published_checkpoint() {
    let file = tensors(minilm().join(FILE));
    let stored = file.keys().filter(|name| !name.ends_with("position_ids"));
    let stored: Vec<_> = stored.map(|name| format!("bert.{name}")).collect();
    let backbone = load(&minilm()).expect("a model");
    let ours: Vec<_> = backbone.named_variables().into_keys().collect();
    assert_eq!(ours, stored);
    let LoadReport {
        loaded,
        fresh,
        unexpected,
        ..
    } = backbone.load_report();
    assert_eq!(loaded, &stored);
    assert!(fresh.is_empty());
    assert!(
        unexpected.iter().all(|name| name.ends_with("position_ids")),
        "{unexpected:?}"
    );
}

#[test]
fn names_with_a_prefix_and_the_old_names_of_norms_load_the_same() {
    let expected = load(&tiny()).expect("a model");
    let prefixed = rewritten(|name, tensor| vec![(format!("bert.{name}"), tensor)]);
    assert_same_weights(&load(prefixed.path()).expect("a model"), &expected);
    let old = rewritten(|name, tensor| {
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
        vec![(name.replace("LayerNorm.bias", "LayerNorm.beta"), tensor)]
    });
    assert_same_weights(&load(old.path()).expect("a model"), &expected);
    // What trains a model on several GPUs, compiles it or holds it in a module of its own.
    for outer in ["module.", "_orig_mod.", "module.model.bert."] {
        let wrapped = rewritten(|name, tensor| vec![(format!("{outer}{name}"), tensor)]);
        assert_same_weights(&load(wrapped.path()).expect("a model"), &expected);
    }
}

#[test]
fn half_precision_files_give_float32_weights() {
    for kind in [Kind::Half, Kind::BFloat16, Kind::Double] {
        let dir = rewritten(|name, tensor| vec![(name, tensor.to_kind(kind))]);
        let backbone = load(dir.path()).expect("a model");
        let exact = load(&tiny()).expect("a model").named_variables();
        for (name, tensor) in backbone.named_variables() {
            assert_eq!(tensor.kind(), Kind::Float);
            assert_close(&name, &tensor, &exact[&name], 1e-2);
        }
    }
}

#[test]
fn a_missing_encoder_weight_is_an_error_and_a_missing_pooler_is_reported() {
    let dir = rewritten(|name, tensor| match name.contains("layer.1.output.dense") {
        true => vec![],
        false => vec![(name, tensor)],
    });
    let error = load(dir.path())
        .expect_err("two weights are gone")
        .to_string();
    assert!(error.starts_with("2 of 39 weights are not in "), "{error}");
    assert!(
        error.ends_with("the first is `bert.encoder.layer.1.output.dense.bias`"),
        "{error}"
    );

    let dir = rewritten(|name, tensor| match name.starts_with("pooler") {
        true => vec![],
        false => vec![(name, tensor)],
    });
    let backbone = load(dir.path()).expect("a model with a fresh pooler");
    let fresh = ["bert.pooler.dense.bias", "bert.pooler.dense.weight"];
    assert_eq!(backbone.load_report().fresh, fresh);
}

#[test]
fn tensors_without_a_use_are_reported_in_order() {
    let dir = rewritten(|name, tensor| {
        let extra = (
            "cls.predictions.bias".to_owned(),
            Tensor::from_slice(&[1.0_f32]),
        );
        if name.starts_with("pooler.dense.bias") {
            return vec![(name, tensor), extra];
        }
        vec![(name, tensor)]
    });
    let backbone = load(dir.path()).expect("a model");
    assert_eq!(backbone.load_report().unexpected, ["cls.predictions.bias"]);
}

#[test]
fn two_tensors_for_one_weight_must_be_the_same() {
    let with_twins = |more: f64| {
        rewritten(move |name, tensor| {
            let twin = (format!("bert.{name}"), &tensor + more);
            vec![(name, tensor), twin]
        })
    };
    let backbone = load(with_twins(0.0).path()).expect("a model");
    assert!(backbone.load_report().unexpected.is_empty());
    let error = load(with_twins(0.5).path()).expect_err("twins").to_string();
    assert!(error.contains("are the same weight"), "{error}");
}

#[test]
fn another_shape_names_both_shapes() {
    let dir = with_config(&tiny(), &[("intermediate_size", json!(32))]);
    let error = load(dir.path()).expect_err("other shapes").to_string();
    let expected =
        "`bert.encoder.layer.0.intermediate.dense.bias` has shape [64], the model needs [32]";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn integers_are_not_weights() {
    let dir = rewritten(|name, tensor| vec![(name, tensor.to_kind(Kind::Int))]);
    let error = load(dir.path()).expect_err("integers").to_string();
    assert!(
        error.ends_with("holds I32, not floating-point numbers"),
        "{error}"
    );
}

#[test]
fn a_file_cut_short_anywhere_or_with_a_broken_header_is_an_error() {
    let dir = with_config(&tiny(), &[]);
    let path = dir.path().join(FILE);
    let whole = std::fs::read(&path).expect("the weights");
    for part in 0..16 {
        std::fs::write(&path, &whole[..whole.len() * part / 16]).expect("a shorter file");
        let error = load(dir.path()).expect_err("a truncated file").to_string();
        assert!(
            error.contains("model.safetensors: not a whole safetensors file"),
            "{error}"
        );
    }
    for byte in [0, 7, 8, 40] {
        let mut broken = whole.clone();
        broken[byte] ^= 0xff;
        std::fs::write(&path, &broken).expect("a broken file");
        assert!(load(dir.path()).is_err(), "byte {byte} was changed");
    }
}

#[test]
fn a_missing_file_is_named() {
    let dir = with_config(&tiny(), &[]);
    std::fs::remove_file(dir.path().join("config.json")).expect("a removed file");
    let error = load(dir.path()).expect_err("a missing file").to_string();
    assert!(
        error.starts_with("cannot read ") && error.ends_with("config.json"),
        "{error}"
    );
}

#[test]
fn a_folder_without_a_tokenizer_says_which_files_it_lacks() {
    let dir = with_config(&tiny(), &[]);
    std::fs::remove_file(dir.path().join("vocab.txt")).expect("a removed file");
    let error = load(dir.path()).expect_err("no vocabulary").to_string();
    let end = ": no tokenizer: vocab.txt or tokenizer.json is needed, and neither is there";
    assert_eq!(error, format!("{}{end}", dir.path().display()));
}

#[test]
fn a_folder_without_weights_says_which_files_it_lacks() {
    let dir = with_config(&tiny(), &[]);
    std::fs::remove_file(dir.path().join(FILE)).expect("a removed file");
    let error = load(dir.path()).expect_err("a missing file").to_string();
    let expected = format!(
        "{}: there are no weights, which are {FILE}, ",
        dir.path().display()
    );
    assert!(error.starts_with(&expected), "{error}");
    for part in [
        "model-00002-of-00003.safetensors",
        "pytorch_model-00001-of-00002.bin",
    ] {
        let path = dir.path().join(part);
        std::fs::write(&path, "").expect("a file");
        let error = load(dir.path()).expect_err("no index").to_string();
        let end =
            format!("{part} is a part of some, and the index of all parts is absent: copy it too");
        assert!(error.ends_with(&end), "{error}");
        std::fs::remove_file(path).expect("a removed file");
    }
}

#[test]
fn a_vocabulary_with_more_tokens_than_rows_is_an_error() {
    let dir = with_config(&tiny(), &[]);
    let path = dir.path().join("vocab.txt");
    let vocab = std::fs::read_to_string(&path).expect("the vocabulary");
    std::fs::write(&path, format!("{vocab}more\n")).expect("a written file");
    let error = load(dir.path()).expect_err("another size").to_string();
    assert!(
        error.contains("`vocab_size` must be at least the size of the vocabulary (247), got 246"),
        "{error}"
    );
    // An empty last line is a token for transformers, but one that no text becomes.
    std::fs::write(&path, format!("{vocab}\n")).expect("a written file");
    load(dir.path()).expect("all that can be found has its row");
}

#[test]
fn a_classifier_without_its_head_does_not_load() {
    let classifier = BertClassifier::builder(tiny())
        .labels(["a", "b"])
        .build()
        .expect("valid");
    let dir = tempfile::tempdir().expect("a temporary folder");
    classifier.save(dir.path()).expect("a saved model");
    std::fs::copy(tiny().join(FILE), dir.path().join(FILE)).expect("the bare encoder");
    let error = BertClassifier::load(dir.path())
        .expect_err("no head")
        .to_string();
    assert!(error.ends_with("the first is `classifier.bias`"), "{error}");
    // Nor without the pooler that it was fitted with.
    let mut weights = classifier.backbone().named_variables();
    weights.retain(|name, _| !name.starts_with("bert.pooler."));
    let weights: Vec<_> = weights.into_iter().collect();
    Tensor::write_safetensors(&weights, dir.path().join(FILE)).expect("a written file");
    let error = BertClassifier::load(dir.path())
        .expect_err("no pooler")
        .to_string();
    assert!(
        error.ends_with("the first is `bert.pooler.dense.bias`"),
        "{error}"
    );
}

#[test]
fn a_saved_file_is_contiguous_float32_with_the_format_named() {
    let classifier = BertClassifier::builder(tiny())
        .labels(["a", "b"])
        .build()
        .expect("valid");
    let dir = tempfile::tempdir().expect("a temporary folder");
    classifier.save(dir.path()).expect("a saved model");
    let bytes = std::fs::read(dir.path().join(FILE)).expect("the weights");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let format = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get("format"));
    assert_eq!(format.map(String::as_str), Some("pt"));
    let saved: BTreeMap<_, _> = tensors(dir.path().join(FILE));
    let held = classifier.backbone().named_variables();
    assert!(saved.keys().eq(held.keys()));
    for (name, tensor) in &held {
        assert_close(name, &saved[name], tensor, 0.0);
    }
}

#[test]
fn fresh_weights_have_the_spread_that_the_configuration_asks_for() {
    let (backbone, head) = Backbone::builder(minilm())
        .build(|root, config| {
            bertfit::Linear::new(
                &(root / "head"),
                config.hidden_size,
                1000,
                config.initializer_range,
            )
        })
        .expect("a model");
    drop(head);
    let variables = backbone.named_variables();
    let spread = variables["head.weight"].std(true).double_value(&[]);
    assert!((spread - 0.02).abs() < 2e-4, "{spread}");
    let zeros = Tensor::zeros([1000], (Kind::Float, Device::Cpu));
    assert_close("bias", &variables["head.bias"], &zeros, 0.0);
    // The fixture itself was drawn with another spread.
    let config = bertfit::BertConfig::from_dir(data("model/tiny")).expect("a configuration");
    assert_eq!(config.initializer_range, 0.2);
}
