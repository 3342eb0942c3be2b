//! The classifier as a user meets it: building, predicting, saving, loading.

use std::path::Path;

use bertfit::{
    BertClassifier, BertClassifierBuilder, BertConfig, BertQuestionAnswerer, Error, Example,
    FineTuner, TrainConfig, Truncation,
};
use proptest::prelude::*;

use crate::fixture::{batch_of, eight, minilm, tiny, with_config};

fn builder() -> bertfit::BertClassifierBuilder {
    BertClassifier::builder(tiny()).labels(["good", "bad", "odd"])
}

fn classifier() -> BertClassifier {
    builder().build().expect("a classifier")
}

#[test]
fn batching_does_not_change_a_prediction() {
    let classifier = BertClassifier::builder(minilm())
        .labels(["a", "b"])
        .build()
        .expect("valid");
    let texts = [
        "good",
        "the film was very good and I would see it again any day",
        "",
        "bad !",
    ];
    let together = classifier.predict(&texts).expect("predictions");
    for (row, text) in texts.iter().enumerate() {
        let alone = classifier.predict(&[text]).expect("a prediction");
        for class in 0..2 {
            let difference = together.probabilities[[row, class]] - alone.probabilities[[0, class]];
            assert!(difference.abs() < 1e-6, "{text:?} differs by {difference}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn predict_returns_one_row_per_text_in_order(
        texts in prop::collection::vec("\\PC{0,40}|(good |bad ){0,60}|", 0..90)
    ) {
        let classifier = classifier();
        let all = classifier.predict(&texts).expect("predictions");
        prop_assert_eq!(all.len(), texts.len());
        for (row, text) in texts.iter().enumerate().step_by(7) {
            let alone = classifier.predict(&[text]).expect("a prediction");
            for class in 0..3 {
                let (a, b) = (all.probabilities[[row, class]], alone.probabilities[[0, class]]);
                prop_assert!((a - b).abs() < 1e-5, "{:?}: {} {}", text, a, b);
            }
        }
    }
}

#[test]
fn probabilities_add_up_and_the_best_is_the_highest() {
    let predictions = classifier()
        .predict(&["a good film", "bad"])
        .expect("predictions");
    for (row, (label, score)) in predictions.iter().enumerate() {
        let scores = predictions.probabilities.row(row);
        assert!((scores.sum() - 1.0).abs() < 1e-6);
        let class = predictions.classes().id(label).expect("a known label") as usize;
        assert_eq!(scores[class], score);
        assert!(scores.iter().all(|other| *other <= score));
    }
}

#[test]
fn no_texts_give_no_rows() {
    let predictions = classifier().predict::<&str>(&[]).expect("no predictions");
    assert!(predictions.is_empty());
    assert_eq!(predictions.probabilities.dim(), (0, 3));
}

#[test]
fn a_pair_is_not_its_two_texts_in_one() {
    let classifier = classifier();
    let pair = classifier
        .predict(&[("good film", "bad food")])
        .expect("a prediction");
    let turned = classifier
        .predict(&[("bad food", "good film")])
        .expect("a prediction");
    let one = classifier
        .predict(&["good film bad food"])
        .expect("a prediction");
    assert_ne!(pair.probabilities, turned.probabilities);
    assert_ne!(pair.probabilities, one.probabilities);
    let example = Example::<String>::new("good film", "").with_pair("bad food");
    let same = classifier.predict(&[example]).expect("a prediction");
    assert_eq!(same.probabilities, pair.probabilities);
}

#[test]
fn a_saved_classifier_loads_with_the_same_answers_and_settings() {
    let classifier = builder()
        .dropout(0.3)
        .max_length(7)
        .truncation(Truncation::OnlyFirst)
        .build()
        .expect("a classifier");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("deep/er");
    std::fs::create_dir(dir.path().join("deep")).expect("a folder");
    classifier.save(&path).expect("a saved model");
    let loaded = BertClassifier::load(&path).expect("a loaded model");
    let texts = [
        "good",
        "this is a very long sentence about a film that was not very good",
    ];
    assert_eq!(
        loaded.predict(&texts).expect("predictions"),
        classifier.predict(&texts).expect("predictions")
    );
    assert_eq!(loaded.labels(), classifier.labels());
    let encoder = loaded.encoder().expect("an encoder");
    assert_eq!(
        (encoder.max_length(), encoder.truncation()),
        (7, Truncation::OnlyFirst)
    );
    // To train on, it goes on as it was; what is given wins.
    let more = |builder: BertClassifierBuilder| {
        let encoder = builder.build().and_then(|model| model.encoder());
        encoder.expect("an encoder").max_length()
    };
    assert_eq!(more(BertClassifier::builder(&path)), 7);
    assert_eq!(more(BertClassifier::builder(&path).max_length(9)), 9);
    let config = BertConfig::from_dir(&path).expect("a configuration");
    assert_eq!(config.classifier_dropout, Some(0.3));
    assert_eq!(config.architectures, ["BertForSequenceClassification"]);
    assert_eq!(
        config.problem_type.as_deref(),
        Some("single_label_classification")
    );
}

#[test]
fn a_saved_folder_holds_the_files_that_others_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let classifier = BertClassifier::builder(minilm())
        .labels(["a", "b"])
        .build()
        .expect("valid");
    let path = dir.path().join("model");
    classifier.save(&path).expect("a saved model");
    let mut names: Vec<_> = std::fs::read_dir(&path)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt"
        ]
    );
    for name in ["vocab.txt", "tokenizer.json"] {
        let read = |dir: &std::path::Path| std::fs::read(dir.join(name)).expect("a file");
        assert_eq!(read(&path), read(&minilm()), "{name}");
    }
}

#[test]
fn a_save_that_fails_leaves_no_folder_behind() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("file"), "").expect("a file");
    let error = classifier()
        .save(dir.path().join("file/model"))
        .expect_err("not a folder");
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
}

#[test]
fn another_head_is_not_replaced_in_silence() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut trained = builder().build().expect("a classifier");
    let config = TrainConfig {
        learning_rate: 1e-2,
        // The first step's may be the best ones, and its rate is 0.
        keep_best: false,
        ..TrainConfig::default()
    };
    trained.fit(&eight(), &eight(), &config).expect("a run");
    trained.save(dir.path()).expect("a saved model");
    let head = |model: &BertClassifier| {
        model.backbone().named_variables()["classifier.weight"]
            .detach()
            .copy()
    };

    // The same labels, or none asked for: the trained head goes on.
    let labels = ["good", "bad", "odd"];
    for again in [
        BertClassifier::builder(dir.path()).labels(labels),
        BertClassifier::builder(dir.path()),
    ] {
        assert_eq!(head(&again.build().expect("a classifier")), head(&trained));
    }
    // Others: an error, or a fresh head on request.
    for labels in [vec!["bad", "good", "odd"], vec!["good", "bad"]] {
        let builder = BertClassifier::builder(dir.path()).labels(labels);
        match builder.clone().build() {
            Err(Error::OtherHead { found, .. }) => assert_eq!(found, ["good", "bad", "odd"]),
            other => panic!("{other:?}"),
        }
        let replaced = builder.fresh_head().build().expect("a classifier");
        assert_ne!(head(&replaced), head(&trained));
    }
}

#[test]
fn the_seed_decides_the_fresh_head() {
    let head = |seed| {
        let model = builder().seed(seed).build().expect("a classifier");
        model.backbone().named_variables()["classifier.weight"]
            .detach()
            .copy()
    };
    assert_eq!(head(1), head(1));
    assert_ne!(head(1), head(2));
}

#[test]
fn settings_out_of_range_are_named() {
    let message = |builder: bertfit::BertClassifierBuilder| {
        builder.build().expect_err("a bad setting").to_string()
    };
    assert_eq!(
        message(builder().max_length(65)),
        "`max_length` must be from 3 to 64, the model's positions, got 65"
    );
    assert_eq!(
        message(builder().encoder_dropout(-0.1)),
        "`encoder_dropout` must be at least 0 and below 1, got -0.1"
    );
    assert_eq!(
        message(builder().dropout(1.0)),
        "`dropout` must be at least 0 and below 1, got 1"
    );
    assert_eq!(
        message(BertClassifier::builder(tiny()).labels(["one"])),
        "`labels` must be at least 2 classes, got only `one`"
    );
    assert_eq!(
        message(BertClassifier::builder(tiny())),
        "`labels` must be given, since the model folder names none, got none"
    );
}

#[test]
fn a_classifier_of_another_tool_needs_no_settings_of_ours() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    classifier().save(dir.path()).expect("a saved model");
    let foreign = with_config(dir.path(), &[("bertfit", serde_json::Value::Null)]);
    let loaded = BertClassifier::load(foreign.path()).expect("a classifier");
    assert_eq!(loaded.encoder().expect("an encoder").max_length(), 64);
    let broken = with_config(
        dir.path(),
        &[("bertfit", serde_json::json!({"max_length": "x"}))],
    );
    assert!(matches!(
        BertClassifier::load(broken.path()),
        Err(Error::Json { .. })
    ));
}

#[test]
fn a_fitted_model_can_move_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<BertClassifier>();
    moves::<bertfit::Predictions>();
}

/// As transformers would read them: an older tokenizer's files beside a vocabulary that they do
/// not fit, labels of another task, and the kind of weights that the model once had.
#[test]
fn a_saved_folder_says_nothing_that_is_no_longer_so() {
    let names = ["dtype", "torch_dtype"].map(|name| (name, "float16".into()));
    let labels = serde_json::json!({"0": "a", "1": "b", "2": "c"});
    let source = with_config(
        &tiny(),
        &[names[0].clone(), names[1].clone(), ("id2label", labels)],
    );
    let saved = tempfile::tempdir().expect("a temporary folder");
    for name in ["tokenizer.json", "added_tokens.json", "notes.txt"] {
        std::fs::write(saved.path().join(name), "{}").expect("a file");
    }
    let answerer = BertQuestionAnswerer::builder(source.path()).build();
    let answerer = answerer.expect("a question answerer");
    answerer.save(saved.path()).expect("a saved model");
    let config = BertConfig::from_dir(saved.path()).expect("a configuration");
    for name in ["dtype", "torch_dtype"] {
        assert_eq!(config.other[name], "float32");
    }
    assert_eq!(config.class_names(saved.path()).expect("no names"), None);
    let has = |name: &str| saved.path().join(name).exists();
    assert!(has("tokenizer.json") && !has("added_tokens.json") && has("notes.txt"));
    BertQuestionAnswerer::load(saved.path()).expect("the same model");
}

/// Nothing can be moved there from beside it.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_is_a_link_to_another_file_system_can_be_saved_into() {
    let other = Path::new("/dev/shm");
    if !other.is_dir() {
        return;
    }
    let place = tempfile::tempdir_in(other).expect("a temporary folder");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let link = dir.path().join("model");
    std::os::unix::fs::symlink(place.path(), &link).expect("a link");
    classifier().save(&link).expect("a saved model");
    BertClassifier::load(&link).expect("a classifier");
    // Nothing else is left there.
    assert_eq!(
        std::fs::read_dir(place.path()).expect("a folder").count(),
        6
    );
}

#[test]
fn without_dropout_in_encoder_and_head_training_draws_nothing() {
    let logits = |classifier: &BertClassifier| {
        let batch = batch_of(classifier, &eight());
        classifier.logits(&batch.inputs, true).expect("logits")
    };
    let plain = builder().dropout(0.0).build().expect("a classifier");
    assert_ne!(logits(&plain), logits(&plain));
    let still = builder().dropout(0.0).encoder_dropout(0.0).build();
    let still = still.expect("a classifier");
    assert_eq!(logits(&still), logits(&still));

    let dir = tempfile::tempdir().expect("a temporary folder");
    let dropout = builder().encoder_dropout(0.25).build();
    let dropout = dropout.expect("a classifier");
    dropout.save(dir.path()).expect("a saved model");
    let config = BertConfig::from_dir(dir.path()).expect("a configuration");
    assert_eq!(config.hidden_dropout_prob, 0.25);
    assert_eq!(config.attention_probs_dropout_prob, 0.25);
    // The head's is another matter.
    assert_eq!(config.classifier_dropout, Some(0.1));
}
