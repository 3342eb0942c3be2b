//! Model folders that were made to do harm: each is refused before there is memory for
//! what it asks for, and nothing outside of the folder is read.

use std::fs;
use std::path::Path;

use bertfit::{Backbone, BertEmbedder, BertGenerator};
use serde_json::{Value, json};

use crate::fixture::{data, tiny, with_config};

const WEIGHTS: &str = "model.safetensors";

/// Why the folder is refused, without its path.
fn refused(dir: &Path) -> String {
    let error = Backbone::builder(dir).build(|_, _| Ok(())).map(|_| ());
    let message = error.expect_err("a hostile folder").chain();
    message.replace(&format!("{}/", dir.display()), "")
}

fn with_header(length: u64, header: &str) -> String {
    let dir = with_config(&tiny(), &[]);
    let file = [&length.to_le_bytes()[..], header.as_bytes()].concat();
    fs::write(dir.path().join(WEIGHTS), file).expect("a file");
    refused(dir.path())
}

#[test]
fn a_header_of_weights_is_not_read_if_it_is_too_long() {
    let start = "model.safetensors: not a whole safetensors file: ";
    let long = (16 << 20) + 1;
    for length in [long, u64::MAX] {
        assert_eq!(
            with_header(length, &" ".repeat(100)),
            format!("{start}its header has {length} bytes, at most 16 MiB are read")
        );
    }
    assert!(with_header(16 << 20, "{}").starts_with(start));
}

#[test]
fn shapes_that_overflow_or_point_elsewhere_are_refused() {
    let start = "model.safetensors: not a whole safetensors file: ";
    let name = "bert.embeddings.LayerNorm.bias";
    for (shape, offsets) in [
        (json!([u64::MAX, u64::MAX]), json!([0, 0])),
        (json!([1_u64 << 62, 4]), json!([0, 16])),
        (json!([4]), json!([16, 0])),
        (json!([4]), json!([0, 1_u64 << 60])),
        (json!([4]), json!([u64::MAX - 8, 8])),
    ] {
        let header = json!({name: {"dtype": "F32", "shape": shape, "data_offsets": offsets}});
        let header = header.to_string();
        let message = with_header(header.len() as u64, &header);
        assert!(message.starts_with(start), "{message}");
    }
    let nested = "[".repeat(100_000);
    let message = with_header(nested.len() as u64, &nested);
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn a_configuration_that_the_weights_cannot_fill_is_refused_before_there_is_memory() {
    // Each is within the limits of its field, and would take gigabytes to exabytes.
    for (field, value) in [
        ("hidden_size", 1 << 24),
        ("intermediate_size", 1 << 24),
        ("max_position_embeddings", 1 << 24),
        ("type_vocab_size", 1 << 24),
    ] {
        let dir = with_config(&tiny(), &[(field, json!(value))]);
        let message = refused(dir.path());
        assert!(
            message.starts_with("config.json: asks for a model of "),
            "{message}"
        );
        assert!(
            message
                .ends_with(" numbers, far more than the 116872 bytes of model.safetensors can be"),
            "{message}"
        );
    }
    let all = ["hidden_size", "intermediate_size", "num_attention_heads"];
    let mut all: Vec<(&str, Value)> = all.iter().map(|&name| (name, json!(1 << 24))).collect();
    all.push(("num_hidden_layers", json!(1024)));
    let dir = with_config(&tiny(), &all);
    assert!(refused(dir.path()).starts_with("config.json: asks for a model of "));
}

#[test]
fn a_decoder_that_the_weights_cannot_fill_is_refused() {
    let dir = with_config(&data("task/text_generation"), &[]);
    let path = dir.path().join("config.json");
    let mut config: Value =
        serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    config["decoder"]["intermediate_size"] = json!(1 << 24);
    fs::write(&path, config.to_string()).expect("a file");
    let message = BertGenerator::load(dir.path())
        .expect_err("a hostile folder")
        .to_string();
    assert!(
        message.contains("config.json: asks for a model of "),
        "{message}"
    );
}

#[test]
fn a_module_outside_of_the_folder_is_not_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in ["config.json", "vocab.txt", "tokenizer_config.json", WEIGHTS] {
        fs::copy(tiny().join(name), dir.path().join(name)).expect("a copy");
    }
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    fs::write(elsewhere.path().join("config.json"), "{}").expect("a file");
    for path in [
        elsewhere.path().display().to_string(),
        "../elsewhere".to_owned(),
    ] {
        let modules =
            json!([{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": path}]);
        fs::write(dir.path().join("modules.json"), modules.to_string()).expect("a file");
        let error = BertEmbedder::builder(dir.path())
            .build()
            .expect_err("a hostile folder");
        let file = dir.path().join("modules.json");
        assert_eq!(
            error.to_string(),
            format!(
                "{}: `{path}` is not in the model's folder, and is not read",
                file.display()
            )
        );
    }
}

/// Links themselves are followed: the Hub's cache is made of such.
#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    use std::os::unix::fs::symlink;

    for name in [WEIGHTS, "config.json", "vocab.txt", "tokenizer_config.json"] {
        let dir = with_config(&tiny(), &[]);
        let path = dir.path().join(name);
        let real = dir.path().join("real");
        fs::rename(&path, &real).expect("a move");
        symlink(&real, &path).expect("a link");
        let loaded = Backbone::builder(dir.path()).build(|_, _| Ok(()));
        assert!(loaded.is_ok(), "{name}: {:?}", loaded.err());

        fs::remove_file(&path).expect("a removed link");
        symlink("/dev/zero", &path).expect("a link");
        assert_eq!(
            refused(dir.path()),
            format!("cannot read {name}: it is no regular file")
        );
    }
}
