//! Models whose weights PyTorch has pickled, or that are in several files: the same numbers as
//! from one file of safetensors.

use std::fs;
use std::path::{Path, PathBuf};

use bertfit::{Backbone, BertClassifier, BertEmbedder, BertMaskedLm, FineTuner, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{data, tiny, with_config};

const FILE: &str = "pytorch_model.bin";
const INDEX: &str = "model.safetensors.index.json";

/// The small masked language model of `tests/data/weights`, without its weights.
fn without_weights() -> TempDir {
    let dir = with_config(&data("weights/masked_lm"), &[]);
    for file in ["model.safetensors", "new.bin", "old.bin"] {
        fs::remove_file(dir.path().join(file)).expect("a removed file");
    }
    dir
}

fn fixture(name: &str) -> PathBuf {
    data("weights/masked_lm").join(name)
}

/// The model with the weights of a file, or with those of a folder of shards.
fn with_weights(name: &str) -> TempDir {
    let dir = without_weights();
    if !fixture(name).is_dir() {
        fs::copy(fixture(name), dir.path().join(FILE)).expect("a copy");
        return dir;
    }
    for entry in fs::read_dir(fixture(name)).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = dir.path().join(path.file_name().expect("a name"));
        fs::copy(path, target).expect("a copy");
    }
    dir
}

/// Why the folder's weights are refused, without its path.
fn refused(dir: &Path) -> String {
    let error = BertMaskedLm::load(dir).map(|_| ()).expect_err("an error");
    error.chain().replace(&format!("{}/", dir.display()), "")
}

#[test]
fn all_forms_of_weights_load_as_the_same_model() {
    let expected = BertMaskedLm::load(data("weights/masked_lm")).expect("a model");
    let expected = expected.backbone();
    for name in ["new.bin", "old.bin", "shards", "pickled_shards"] {
        let model = BertMaskedLm::load(with_weights(name).path()).expect("a model");
        let weights = model.backbone().named_variables();
        assert!(
            weights.keys().eq(expected.named_variables().keys()),
            "{name}"
        );
        for (weight, tensor) in expected.named_variables() {
            assert_eq!(weights[&weight], tensor, "{weight} of {name}");
        }
        let (report, reference) = (model.backbone().load_report(), expected.load_report());
        assert_eq!(report.loaded, reference.loaded, "{name}");
        assert_eq!(report.fresh, reference.fresh, "{name}");
    }
}

#[test]
fn safetensors_are_read_where_both_are() {
    for file in [FILE, INDEX] {
        let dir = with_config(&data("weights/masked_lm"), &[]);
        fs::write(dir.path().join(file), "nothing that could be read").expect("a file");
        assert!(BertMaskedLm::load(dir.path()).is_ok(), "{file}");
    }
    let dir = with_weights("shards");
    fs::write(dir.path().join(FILE), "nothing that could be read").expect("a file");
    assert!(BertMaskedLm::load(dir.path()).is_ok());
}

#[test]
fn a_model_from_pickled_weights_is_saved_as_safetensors() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = BertMaskedLm::load(with_weights("old.bin").path()).expect("a model");
    model.save(out.path()).expect("a saved model");
    assert!(!out.path().join(FILE).exists());
    let again = BertMaskedLm::load(out.path()).expect("a model");
    let weights = again.backbone().named_variables();
    for (name, tensor) in model.backbone().named_variables() {
        assert_eq!(weights[&name], tensor, "{name}");
    }
}

#[test]
fn pickled_weights_that_could_run_code_are_refused_and_run_nothing() {
    let dir = without_weights();
    let mark = dir.path().join("mark");
    let command = format!("touch {}", mark.display());
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend([command.as_bytes(), b"\x85R."].concat());
    // The old form: its three short pickles first.
    let start = fs::read(fixture("old.bin")).expect("the fixture");
    let end = start.windows(2).position(|bytes| bytes == b".\x80");
    let rest = &start[end.expect("a second pickle")..];
    let second = rest[1..]
        .windows(2)
        .position(|bytes| bytes == b".\x80")
        .expect("a third");
    let third = rest[second + 2..]
        .windows(2)
        .position(|bytes| bytes == b".\x80");
    let length = start.len() - rest.len() + second + 2 + third.expect("a fourth") + 1;
    fs::write(dir.path().join(FILE), [&start[..length], &pickle].concat()).expect("a file");
    let message = refused(dir.path());
    let expected = "pytorch_model.bin: it asks for `posix.system`, which the names and tensors";
    assert!(message.starts_with(expected), "{message}");
    assert!(!mark.exists());
}

#[test]
fn other_weights_than_those_of_pytorch_are_named() {
    let dir = without_weights();
    let start = format!(
        "{}: there are no weights, which are model.safetensors, {INDEX}, {FILE}, {FILE}.index.json",
        dir.path().display()
    );
    assert_eq!(refused(dir.path()), start);
    fs::write(dir.path().join("tf_model.h5"), "").expect("a file");
    let message = refused(dir.path());
    assert_eq!(
        message,
        format!("{start}; tf_model.h5 is of another library: save it with PyTorch")
    );
}

fn with_index(index: &Value) -> TempDir {
    let dir = with_weights("shards");
    fs::write(dir.path().join(INDEX), index.to_string()).expect("a file");
    dir
}

#[test]
fn shards_are_read_from_the_folder_alone() {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let outside = elsewhere.path().join("model.safetensors");
    fs::copy(fixture("model.safetensors"), &outside).expect("a copy");
    fs::create_dir(elsewhere.path().join("in")).expect("a folder");
    for path in [
        outside.display().to_string(),
        "../model.safetensors".to_owned(),
        "a/../../model.safetensors".to_owned(),
        "in/model.safetensors".to_owned(),
        "/dev/zero".to_owned(),
        ".".to_owned(),
        String::new(),
    ] {
        let dir = with_index(&json!({"weight_map": {"bert.embeddings.LayerNorm.bias": path}}));
        let expected = format!(
            "{INDEX}: {} is no name of a file in the folder, and is not read",
            json!(path)
        );
        assert_eq!(refused(dir.path()), expected);
    }
    let dir = with_index(&json!({"weight_map": {"a": 1}}));
    assert_eq!(
        refused(dir.path()),
        format!("{INDEX}: 1 is no name of a file in the folder, and is not read")
    );
    let dir = with_index(&json!({"weight_map": {}}));
    assert_eq!(
        refused(dir.path()),
        format!("{INDEX}: `weight_map` names no weights")
    );
    let dir = with_index(&json!({}));
    assert!(refused(dir.path()).contains("missing field `weight_map`"));
}

#[test]
fn shards_that_lack_something_are_named() {
    let dir = with_weights("shards");
    let second = "model-00002-of-00002.safetensors";
    fs::remove_file(dir.path().join(second)).expect("a removed file");
    assert_eq!(
        refused(dir.path()),
        format!("{INDEX}: `{second}`, which it names, is not in the folder: copy it there")
    );

    let text = fs::read_to_string(fixture("shards").join(INDEX)).expect("an index");
    let index: Value = serde_json::from_str(&text).expect("JSON");
    let name = "bert.embeddings.LayerNorm.weight";
    let (first, there) = (
        "model-00001-of-00002.safetensors",
        index["weight_map"][name].clone(),
    );
    let mut changed = index.clone();
    let other = if there == first { second } else { first };
    changed["weight_map"][name] = json!(other);
    assert_eq!(
        refused(with_index(&changed).path()),
        format!("{other}: `{name}` is not there, though the index says so")
    );

    let mut changed = index.clone();
    changed["weight_map"]
        .as_object_mut()
        .expect("an object")
        .remove(name);
    let message = refused(with_index(&changed).path());
    assert!(
        message.ends_with(&format!("{INDEX}, the first is `{name}`")),
        "{message}"
    );

    let mut changed = index;
    for unlisted in [
        "cls.predictions.bias",
        "cls.predictions.transform.dense.bias",
    ] {
        changed["weight_map"]
            .as_object_mut()
            .expect("an object")
            .remove(unlisted);
    }
    let dir = with_index(&changed);
    let (backbone, ()) = Backbone::builder(dir.path())
        .build(|_, _| Ok(()))
        .expect("a model");
    let unexpected = &backbone.load_report().unexpected;
    assert!(
        unexpected.contains(&"cls.predictions.bias".to_owned()),
        "{unexpected:?}"
    );
    assert!(unexpected.is_sorted());
}

#[test]
fn a_configuration_that_pickled_weights_cannot_fill_is_refused() {
    for (form, file, bytes) in [
        (
            "old.bin",
            FILE,
            fs::metadata(fixture("old.bin")).expect("a file").len(),
        ),
        ("shards", INDEX, 2920 + 3752),
    ] {
        let whole = with_weights(form);
        let dir = with_config(whole.path(), &[("intermediate_size", json!(1 << 24))]);
        let message = refused(dir.path());
        let end = format!(" numbers, far more than the {bytes} bytes of {file} can be");
        assert!(message.ends_with(&end), "{message}");
    }
}

#[test]
fn a_name_of_the_hub_says_what_makes_a_folder_of_it() {
    let expected = "`model` must be an existing folder (`bertfit::model_dir` makes one of a name \
                    on the Hugging Face Hub), got `bert-base-uncased`";
    let name = "bert-base-uncased";
    let errors = [
        BertClassifier::builder(name)
            .labels(["a", "b"])
            .build()
            .map(|_| ()),
        BertMaskedLm::load(name).map(|_| ()),
        BertEmbedder::builder(name).build().map(|_| ()),
        bertfit::BertGenerator::builder(name).build().map(|_| ()),
        Backbone::builder(name).build(|_, _| Ok(())).map(|_| ()),
        Tokenizer::from_dir(Path::new(name)).map(|_| ()),
    ];
    for error in errors {
        assert_eq!(error.expect_err("no folder").to_string(), expected);
    }
    // What can be no such name is a path.
    let error = Backbone::builder("no/such/folder")
        .build(|_, _| Ok(()))
        .map(|_| ());
    let error = error.expect_err("no folder").to_string();
    assert_eq!(error, "cannot read no/such/folder/config.json");
    assert!(tiny().is_dir());
}
