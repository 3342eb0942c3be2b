//! Folders as other tools and people leave them: saved by transformers 5, with numbers as class
//! names or none, with one output, with more rows than tokens.

use bertfit::{
    Backbone, BertClassifier, BertConfig, BertEmbedder, BertGenerator, BertMaskedLm,
    BertMultiLabelClassifier, BertQuestionAnswerer, BertRegressor, Example, FineTuner, Generation,
    Tokenizer, TrainConfig,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{data, eight, rows, tiny, with_config};

/// A classifier's folder with these changes to its configuration.
fn classifier(labels: &[&str], changes: &[(&str, Value)]) -> TempDir {
    let saved = tempfile::tempdir().expect("a temporary folder");
    let built = BertClassifier::builder(tiny())
        .labels(labels.to_vec())
        .build();
    built.expect("valid").save(saved.path()).expect("saved");
    with_config(saved.path(), changes)
}

fn labelled(labels: [&str; 2]) -> Vec<Example> {
    let rows = eight().into_iter();
    let of = |label: &str| labels[usize::from(label == "good")].to_owned();
    rows.map(|row| Example {
        label: of(&row.label),
        ..row
    })
    .collect()
}

fn short_run() -> TrainConfig {
    TrainConfig {
        epochs: 1.0,
        ..TrainConfig::default()
    }
}

/// The numbers are from `tests/data/model/make_saved_by_5.py`.
#[test]
fn a_folder_of_transformers_5_predicts_and_fits_as_there() {
    let dir = data("model/saved_by_5");
    let text = std::fs::read(data("model/saved_by_5.json")).expect("the numbers");
    let expected: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
    let rows = rows();
    assert_eq!(rows.len(), expected.len());
    let agrees = |model: &BertClassifier| {
        let encoder = model.encoder().expect("an encoder");
        let encodings = encoder.encode(&rows).expect("encodings");
        let logits = model.predict_logits(&rows, &encoder, 4096).expect("logits");
        for ((encoding, logits), expected) in encodings.iter().zip(&logits).zip(&expected) {
            assert_eq!(json!(encoding.input_ids), expected["input_ids"]);
            let logits = Vec::<f32>::try_from(logits).expect("numbers");
            let theirs = expected["logits"].as_array().expect("numbers");
            for (ours, theirs) in logits.iter().zip(theirs) {
                let difference = (f64::from(*ours) - theirs.as_f64().expect("a number")).abs();
                assert!(difference < 1e-5, "{difference}");
            }
        }
    };
    let model = BertClassifier::load(&dir).expect("a classifier");
    agrees(&model);
    let saved = tempfile::tempdir().expect("a temporary folder");
    model.save(saved.path()).expect("a saved model");
    agrees(&BertClassifier::load(saved.path()).expect("the same"));
    let mut fitted = BertClassifier::builder(dir).build().expect("a classifier");
    let train = labelled(["0", "2"]);
    fitted.fit(&train, &train, &short_run()).expect("a run");
}

/// As run_glue.py writes them for labels that are numbers.
#[test]
fn class_names_may_be_numbers_and_booleans() {
    let cases = [
        (json!({"0": 0, "1": 1}), ["0", "1"], ["0", "1"]),
        (json!({"0": 1, "1": 0}), ["1", "0"], ["1", "0"]),
        (
            json!({"0": false, "1": true}),
            ["False", "True"],
            ["false", "true"],
        ),
    ];
    for (id2label, names, in_data) in cases {
        let dir = classifier(&["a", "b"], &[("id2label", id2label)]);
        let mut model = BertClassifier::load(dir.path()).expect("a classifier");
        assert_eq!(model.labels().names(), names);
        for labels in [names, in_data] {
            let train = labelled(labels);
            model.fit(&train, &train, &short_run()).expect("a run");
            assert_eq!(model.labels().id(labels[1]).expect("known"), 1);
        }
        let saved = tempfile::tempdir().expect("a temporary folder");
        model.save(saved.path()).expect("a saved model");
        let config = BertConfig::from_dir(saved.path()).expect("a configuration");
        let names = names.map(str::to_owned).to_vec();
        assert_eq!(
            config.class_names(saved.path()).expect("names"),
            Some(names)
        );
    }
}

/// run_glue.py takes labels that are ids for ids; transformers calls such classes LABEL_0, ….
#[test]
fn the_classes_of_a_head_without_names_go_by_their_ids() {
    let unnamed = json!({"0": "LABEL_0", "1": "LABEL_1"});
    let three = json!({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"});
    for (labels, changes) in [
        (&["a", "b"][..], vec![("id2label", Value::Null)]),
        (&["a", "b"], vec![("id2label", unnamed)]),
        (&["a", "b", "c"], vec![("id2label", three)]),
        (
            &["a", "b", "c"],
            vec![("id2label", Value::Null), ("num_labels", json!(3))],
        ),
    ] {
        let dir = classifier(labels, &changes);
        let mut model = BertClassifier::load(dir.path()).expect("a classifier");
        let count = labels.len();
        assert_eq!(model.labels().len(), count);
        let (ids, names) = (labelled(["0", "1"]), labelled(["LABEL_0", "LABEL_1"]));
        let of_ids = model.evaluate(&ids).expect("an evaluation");
        assert_eq!(
            of_ids.loss,
            model.evaluate(&names).expect("an evaluation").loss
        );
        model.fit(&ids, &ids, &short_run()).expect("a run");
        for other in [count.to_string().as_str(), "00", "+1", "-1", "1.5", ""] {
            assert_eq!(model.labels().get(other), None, "{other:?}");
        }
        // Asked for as labels, they are the names from then on.
        let asked: Vec<String> = (0..count).map(|id| id.to_string()).collect();
        let named = BertClassifier::builder(dir.path())
            .labels(asked.clone())
            .build();
        assert_eq!(named.expect("the same head").labels().names(), asked);
        let other = BertClassifier::builder(dir.path())
            .labels(["x", "y"])
            .build();
        // As many names as there are classes without names.
        assert_eq!(other.is_ok(), count == 2);
    }
}

#[test]
fn class_names_are_looked_at_only_where_they_are_used() {
    for bad in [
        json!({"0": "a", "2": "b"}),
        json!(["a", "b"]),
        json!({"0": null, "1": []}),
    ] {
        let dir = classifier(&["a", "b"], &[("id2label", bad)]);
        let error = BertClassifier::load(dir.path())
            .expect_err("no names")
            .to_string();
        assert!(
            error.contains("`id2label` must be names numbered from 0"),
            "{error}"
        );
        let fresh = BertClassifier::builder(dir.path())
            .labels(["x", "y"])
            .fresh_head();
        fresh.build().expect("a fresh head");
        BertQuestionAnswerer::builder(dir.path())
            .build()
            .expect("another head");
        BertEmbedder::builder(dir.path()).build().expect("no head");
        let (_, ()) = Backbone::builder(dir.path())
            .build(|_, _| Ok(()))
            .expect("an encoder");
    }
}

/// transformers takes one label for regression: all cross-encoders are saved so.
#[test]
fn one_output_without_a_problem_type_is_a_number() {
    let regressor = BertRegressor::builder(tiny()).build().expect("valid");
    let saved = tempfile::tempdir().expect("a temporary folder");
    regressor.save(saved.path()).expect("a saved model");
    let texts = ["the film was great", "a dull film"];
    let expected = regressor.predict(&texts).expect("numbers");
    for changes in [
        vec![("problem_type", Value::Null)],
        vec![
            ("problem_type", Value::Null),
            ("id2label", Value::Null),
            ("num_labels", json!(1)),
        ],
    ] {
        let dir = with_config(saved.path(), &changes);
        let path = dir.path().join("config.json");
        for (task, error) in [
            (
                "single_label_classification",
                BertClassifier::load(dir.path()).map(drop),
            ),
            (
                "multi_label_classification",
                BertMultiLabelClassifier::load(dir.path()).map(drop),
            ),
        ] {
            let message = format!(
                "{}: `problem_type` must be {task}, or a fresh head asked for, since one output \
                 without a `problem_type` gives a number: load it with BertRegressor, got nothing",
                path.display()
            );
            assert_eq!(error.expect_err("a number").to_string(), message);
        }
        let loaded = BertRegressor::load(dir.path()).expect("a regressor");
        assert_eq!(loaded.predict(&texts).expect("numbers"), expected);
        let fresh = BertClassifier::builder(dir.path())
            .labels(["x", "y"])
            .fresh_head();
        fresh.build().expect("a fresh head");
    }
}

/// Rows of the embeddings that no text becomes are scored as all others, as in transformers.
#[test]
fn a_row_without_a_token_is_filled_in_as_nothing() {
    let fields = [
        ("vocab_size", json!(250)),
        ("initializer_range", json!(0.5)),
    ];
    let config = with_config(&tiny(), &fields);
    let config = BertConfig::from_dir(config.path()).expect("a configuration");
    let tokenizer = Tokenizer::from_dir(&tiny()).expect("246 tokens");
    let random = Backbone::random(config, tokenizer).build(|_, _| Ok(()));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (backbone, ()) = random.expect("a model");
    backbone.save(dir.path(), |_| ()).expect("a saved model");
    let model = BertMaskedLm::builder(dir.path()).build().expect("a model");
    let fills = model
        .fill_mask(&["the [MASK] was good"], 246)
        .expect("tokens");
    let fills = &fills[0][0];
    let (with, without): (Vec<_>, Vec<_>) = fills.iter().partition(|fill| fill.token_id < 246);
    assert!(with.iter().all(|fill| !fill.token.is_empty()));
    assert!(!without.is_empty() && without.iter().all(|fill| fill.token.is_empty()));
    // Four of 250 are not among them.
    let sum: f32 = fills.iter().map(|fill| fill.score).sum();
    assert!(sum < 1.0, "{sum}");

    let generator = BertGenerator::builder(dir.path())
        .max_target_length(9)
        .build();
    let generator = generator.expect("a generator");
    for num_beams in [1, 3] {
        let generation = Generation {
            num_beams,
            ..Generation::default()
        };
        let written = generator.generate(&["the film was good"], &generation);
        assert_eq!(written.expect("a text").len(), 1);
    }
}
