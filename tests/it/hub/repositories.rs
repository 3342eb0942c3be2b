//! What repositories hold: weights of all forms, either vocabulary, models of embeddings, and
//! models that are no BERTs.

use std::fs;
use std::path::Path;

use bertfit::{BertClassifier, BertEmbedder, BertMaskedLm, FineTuner, Pooling};
use serde_json::{Value, json};

use super::place::{OFFLINE, Place};
use super::server::{Hub, WEIGHTS, commit};
use crate::fixture::{data, tiny};

/// Gives the repository the files of a folder instead of one in it.
fn replace(place: &Place, file: &str, with: &Path) {
    let mut state = place.hub.state();
    state.files.remove(file);
    let files = match with.is_dir() {
        true => fs::read_dir(with)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect(),
        false => vec![with.to_owned()],
    };
    for path in files {
        let name = match with.is_dir() {
            true => path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            false => "pytorch_model.bin".to_owned(),
        };
        state.files.insert(name, fs::read(path).expect("a file"));
    }
}

fn of_masked_lm() -> Place {
    let place = Place::of(Hub::serve(&data("weights/masked_lm")));
    place
        .hub
        .state()
        .files
        .retain(|name, _| !name.contains('/') && !name.ends_with(".bin"));
    place
}

#[test]
fn weights_of_all_forms_are_fetched() {
    let expected = BertMaskedLm::load(data("weights/masked_lm")).expect("a model");
    for form in ["new.bin", "old.bin", "shards", "pickled_shards"] {
        let place = of_masked_lm();
        replace(&place, WEIGHTS, &data("weights/masked_lm").join(form));
        let dir = place.found("owner/tiny", &[]);
        let model = BertMaskedLm::load(&dir).expect("a model");
        let weights = model.backbone().named_variables();
        for (name, tensor) in expected.backbone().named_variables() {
            assert_eq!(weights[&name], tensor, "{name} of {form}");
        }
        // What it lacks is known from now on.
        place.hub.asked();
        assert_eq!(place.found("owner/tiny", &[]), dir);
        assert_eq!(place.hub.asked().len(), 2, "config.json and where it is");
        assert_eq!(place.found("owner/tiny", &[OFFLINE]), dir);
    }
}

#[test]
fn safetensors_come_first_and_pickles_are_not_fetched_then() {
    let place = of_masked_lm();
    let pickled = fs::read(data("weights/masked_lm/new.bin")).expect("a file");
    place
        .hub
        .state()
        .files
        .insert("pytorch_model.bin".to_owned(), pickled);
    let dir = place.found("owner/tiny", &[]);
    assert!(dir.join(WEIGHTS).exists());
    let asked = place.hub.asked();
    assert!(!asked.iter().any(|path| path.contains(".bin")), "{asked:?}");
}

#[test]
fn shards_that_are_missing_are_named() {
    let second = "pytorch_model-00002-of-00002.bin";
    let place = of_masked_lm();
    replace(&place, WEIGHTS, &data("weights/masked_lm/pickled_shards"));
    let shard = place.hub.state().files.remove(second).expect("a shard");
    assert_eq!(
        place.error("owner/tiny", &[]),
        format!(
            "`owner/tiny`: {second} from ENDPOINT: the repository has no such file: choose a BERT model"
        )
    );
    {
        let mut state = place.hub.state();
        state.commit = commit(2);
        state.files.insert(second.to_owned(), shard);
        state.cut = Some("pytorch_model-00002-of-00002.bin");
    }
    let error = place.error("owner/tiny", &[]);
    assert!(
        error.contains(&format!("cannot download {second} from")),
        "{error}"
    );
    // Without its last part a snapshot does not serve.
    let by_commit = format!("owner/tiny@{}", commit(2));
    assert_eq!(
        place.error(&by_commit, &[OFFLINE]),
        format!(
            "`{by_commit}`: {second} from ENDPOINT: it is not in the cache HOME/hub, and \
             HF_HUB_OFFLINE is set: unset it to download the model"
        )
    );

    let place = of_masked_lm();
    replace(&place, WEIGHTS, &data("weights/masked_lm/pickled_shards"));
    for hostile in ["../../../escaped", "/escaped", "a/b.bin", ".."] {
        let index = json!({"weight_map": {"a": hostile}}).to_string();
        let mut state = place.hub.state();
        state.files.insert(
            "pytorch_model.bin.index.json".to_owned(),
            index.into_bytes(),
        );
        let number = 10 + hostile.len() as u64;
        state.commit = commit(number);
        drop(state);
        let error = place.error("owner/tiny", &[]);
        assert!(
            error.contains(&format!("{} is no name of a file", json!(hostile))),
            "{error}"
        );
    }
}

#[test]
fn either_vocabulary_will_do() {
    let place = Place::new();
    {
        let mut state = place.hub.state();
        state.files.remove("vocab.txt");
        state
            .files
            .insert("tokenizer.json".to_owned(), b"{}".to_vec());
    }
    let dir = place.found("+owner/tiny", &[]);
    assert!(dir.join("tokenizer.json").exists() && !dir.join("vocab.txt").exists());
    assert_eq!(place.found("+owner/tiny", &[OFFLINE]), dir);

    place.hub.state().files.remove("tokenizer.json");
    place.hub.state().commit = commit(2);
    place.hub.asked();
    let lacks = "`owner/tiny`: vocab.txt from ENDPOINT: the repository has neither vocab.txt nor \
                 tokenizer.json: choose a BERT model";
    place.hub.asked();
    assert_eq!(place.error("owner/tiny", &[]), lacks);
    let weights = place.hub.asked();
    assert!(
        !weights.iter().any(|path| path.ends_with(WEIGHTS)),
        "{weights:?}"
    );
    // Offline it is the same that is said, since the cache knows it.
    fs::write(place.cache().join("refs/main"), commit(2)).expect("a file");
    assert_eq!(place.error("owner/tiny", &[OFFLINE]), lacks);
}

#[test]
fn a_model_of_embeddings_keeps_its_pooling_its_norm_and_its_length() {
    let model = tempfile::tempdir().expect("a temporary folder");
    bertfit::write_tiny_model(model.path()).expect("a model");
    // The layout of BAAI/bge-small-en-v1.5, in small.
    let module = |path: &str, class: &str| json!({"path": path, "type": format!("sentence_transformers.models.{class}")});
    let modules = json!([
        module("", "Transformer"),
        module("1_Pooling", "Pooling"),
        module("2_Normalize", "Normalize")
    ]);
    let pooling = json!({"word_embedding_dimension": 16, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false});
    let transformer = json!({"max_seq_length": 21, "do_lower_case": true});
    let place = Place::of(Hub::serve(model.path()));
    for (file, content) in [
        ("modules.json", &modules),
        ("1_Pooling/config.json", &pooling),
        ("sentence_bert_config.json", &transformer),
    ] {
        let content = content.to_string().into_bytes();
        place.hub.state().files.insert(file.to_owned(), content);
    }
    let dir = place.found("owner/tiny", &[]);
    let embedder = BertEmbedder::builder(&dir).build().expect("a model");
    assert_eq!(embedder.pooling(), Pooling::Cls);
    assert!(embedder.is_normalized());
    let long = "good ".repeat(30);
    let encoder = embedder.encoder().expect("an encoder");
    assert_eq!(
        encoder.encode(&[long]).expect("a row")[0].input_ids.len(),
        21
    );
    // Loading it as what it is, which a folder without these files would not be.
    assert!(BertEmbedder::load(&dir).is_ok());
    assert!(
        BertClassifier::builder(&dir)
            .labels(["a", "b"])
            .build()
            .is_ok()
    );

    let outcome = place.run("owner/tiny", &[OFFLINE]);
    assert_eq!(outcome.result, Ok(dir.clone()));
    assert!(!outcome.log.contains("modules.json"), "{}", outcome.log);
    // Others have fetched the repository without these files.
    fs::remove_file(dir.join("1_Pooling/config.json")).expect("a removed file");
    let error = place.error("owner/tiny", &[OFFLINE]);
    assert!(
        error.starts_with("`owner/tiny`: 1_Pooling/config.json from ENDPOINT: it is not in"),
        "{error}"
    );
    fs::remove_file(dir.join("modules.json")).expect("a removed file");
    let outcome = place.run("owner/tiny", &[OFFLINE]);
    assert_eq!(outcome.result, Ok(dir.clone()));
    assert!(
        outcome
            .log
            .contains("does not say whether the repository has modules.json"),
        "{}",
        outcome.log
    );
    assert_eq!(place.found("owner/tiny", &[]), dir);
    assert!(BertEmbedder::load(&dir).is_ok());
}

#[test]
fn modules_outside_of_the_repository_are_refused() {
    let place = Place::new();
    for (number, path) in (10..).zip(["../../../escaped", "/escaped", "a\\b", "1_Pooling/../.."]) {
        let modules = json!([{"path": path, "type": "x.Pooling"}]).to_string();
        let mut state = place.hub.state();
        state
            .files
            .insert("modules.json".to_owned(), modules.into_bytes());
        state.commit = commit(number);
        drop(state);
        let error = place.error("owner/tiny", &[]);
        let problem = format!(
            "`owner/tiny`: modules.json from ENDPOINT: `{}` is no folder of a repository, and is \
             not fetched",
            path.escape_debug()
        );
        assert_eq!(error, problem);
    }
}

#[test]
fn what_is_no_bert_is_said_before_its_weights_come() {
    let config: Value =
        serde_json::from_slice(&fs::read(tiny().join("config.json")).expect("a file"))
            .expect("JSON");
    let with = |field: &str, value: Value| {
        let mut config = config.clone();
        config[field] = value;
        config
    };
    let place = Place::new();
    let cases = [
        // DistilBERT's has no hidden_size.
        (
            json!({"model_type": "distilbert", "dim": 768, "n_layers": 6, "vocab_size": 30522}),
            "`model_type` must be `bert`, got distilbert: choose a BERT model",
        ),
        (
            with("model_type", json!("roberta")),
            "`model_type` must be `bert`, got roberta",
        ),
        (
            with("type_vocab_size", json!(0)),
            "`type_vocab_size` must be from 1 to 16777216, got 0",
        ),
        (
            with("position_embedding_type", json!("relative_key")),
            "`position_embedding_type` must be `absolute`, got relative_key",
        ),
        (json!([1]), "is not valid"),
    ];
    for (number, (config, problem)) in (10..).zip(cases) {
        let mut state = place.hub.state();
        state
            .files
            .insert("config.json".to_owned(), config.to_string().into_bytes());
        state.commit = commit(number);
        drop(state);
        let error = place.error("owner/tiny", &[]);
        assert!(
            error.starts_with("`owner/tiny`: config.json from ENDPOINT: "),
            "{error}"
        );
        assert!(error.contains(problem), "{error}");
        let asked = place.hub.asked();
        assert!(
            asked.iter().all(|path| path.ends_with("config.json")),
            "{asked:?}"
        );
    }
    // An encoder with a decoder is for the generator.
    let generator = Place::of(Hub::serve(&data("task/text_generation")));
    let dir = generator.found("+owner/tiny", &[]);
    assert!(bertfit::BertGenerator::load(dir).is_ok());
}

#[test]
fn a_repository_without_weights_of_pytorch_is_named_with_the_files() {
    let place = Place::new();
    place.hub.state().files.remove(WEIGHTS);
    place
        .hub
        .state()
        .files
        .insert("tf_model.h5".to_owned(), Vec::new());
    let lacks = "`owner/tiny`: model.safetensors from ENDPOINT: the repository has none of \
                 model.safetensors, model.safetensors.index.json, pytorch_model.bin, \
                 pytorch_model.bin.index.json, which weights of PyTorch are: choose another model";
    assert_eq!(place.error("owner/tiny", &[]), lacks);
    fs::create_dir_all(place.cache().join("refs")).expect("a folder");
    fs::write(place.cache().join("refs/main"), commit(1)).expect("a file");
    assert_eq!(place.error("owner/tiny", &[OFFLINE]), lacks);

    place.hub.state().files.remove("config.json");
    place.hub.state().commit = commit(2);
    assert_eq!(
        place.error("owner/tiny", &[]),
        "`owner/tiny`: config.json from ENDPOINT: the repository has no such file: choose a BERT \
         model"
    );
}
