//! Texts about texts as a user meets them, and against transformers.

use bertfit::{BertGenerator, Collator, Example, FineTuner, Generation, TrainConfig};
use serde_json::{Value, json};

use super::parity::{batch_equals, logits, transformers_loads};
use crate::examples::read_json;
use crate::fixture::{assert_close, batch_of, data, minilm, tensors, tiny, with_config};

pub const BOTH: [&str; 2] = ["text_generation", "text_generation_tied"];

pub fn of_transformers(task: &str) -> BertGenerator {
    BertGenerator::load(data(&format!("task/{task}"))).expect("a model")
}

pub fn reference(task: &str) -> Value {
    read_json(data(&format!("task/{task}.json")))
}

pub fn rows() -> Vec<Example> {
    let reference = reference(BOTH[0]);
    let rows = reference["rows"].as_array().expect("rows").iter();
    rows.map(|row| Example {
        text: row["text"].as_str().expect("a text").to_owned(),
        pair: row["pair"].as_str().map(str::to_owned),
        label: row["label"].as_str().expect("a text").to_owned(),
    })
    .collect()
}

#[test]
fn a_batch_gives_the_numbers_of_transformers() {
    for task in BOTH {
        let model = of_transformers(task);
        batch_equals(&model, &rows(), task, logits);
        let path = data(&format!("task/{task}"));
        let smooth = BertGenerator::saved(path).label_smoothing(0.1).build();
        let smooth = smooth.expect("a model");
        let batch = batch_of(&smooth, &rows());
        let logits = smooth.logits(&batch.inputs, true).expect("logits");
        let loss = smooth.loss(&logits, &batch.target).expect("a loss");
        let mean = (loss.sum / loss.count).reshape([1]);
        let expected = tensors(data(&format!("task/{task}.safetensors")));
        assert_close("smoothed loss", &mean, &expected["smoothed_loss"], 1e-5);
    }
}

#[test]
fn transformers_loads_a_saved_model() {
    let real = BertGenerator::builder(minilm()).build().expect("a model");
    let tied = BertGenerator::builder(tiny()).tie_encoder_decoder(true);
    let tied = tied.build().expect("a model");
    let [a, b] = BOTH.map(of_transformers);
    for model in [a, b, tied, real] {
        transformers_loads(&model, &rows(), "EncoderDecoderModel", logits);
    }
}

/// Texts backwards, in the tiny model's own words.
pub fn backwards() -> Vec<Example> {
    [
        ("the film was great", "great was film the"),
        ("this is good food", "food good is this"),
        ("it was fine", "fine was it"),
        ("good film !", "! film good"),
        ("the film was bad", "bad was film the"),
        ("sad , dull food .", ". food dull , sad"),
    ]
    .map(|(text, label)| Example::new(text, label))
    .to_vec()
}

#[test]
fn texts_are_learnt_saved_and_written_again() {
    for tied in [false, true] {
        let builder = BertGenerator::builder(tiny()).tie_encoder_decoder(tied);
        let builder = builder.predict_with_generate(Generation::default());
        let mut model = builder.max_target_length(12).build().expect("a model");
        let train = backwards();
        let before = model.evaluate(&train).expect("an evaluation");
        let config = TrainConfig {
            epochs: 250.0,
            learning_rate: 3e-3,
            metric: Some("bleu".to_owned()),
            eval_every: bertfit::EvalEvery::Steps(50),
            ..TrainConfig::default()
        };
        let report = model.fit(&train, &train, &config).expect("a run");
        let after = model.evaluate(&train).expect("an evaluation");
        assert!(after.loss < 0.1 * before.loss, "{before:?} {after:?}");
        assert_eq!(report.best_metric, after.get("bleu"));
        assert_eq!(after.get("rougeL"), Some(100.0));
        assert_eq!(after.get("accuracy"), Some(1.0));
        let beams = Generation {
            num_beams: 3,
            ..Generation::default()
        };
        let labels: Vec<&str> = train.iter().map(|row| &row.label[..]).collect();
        for generation in [Generation::default(), beams] {
            let texts = model.generate(&train, &generation).expect("texts");
            let spaced: Vec<String> = texts.iter().map(|text| spaced(text)).collect();
            assert_eq!(spaced, labels);
        }

        let dir = tempfile::tempdir().expect("a temporary folder");
        let saved = dir.path().join("model");
        model.save(&saved).expect("a saved model");
        let loaded = BertGenerator::load(&saved).expect("a model");
        let report = loaded.backbone().load_report();
        assert!(
            report.fresh.is_empty() && report.unexpected.is_empty(),
            "{report:?}"
        );
        assert_eq!(
            loaded
                .generate(&train, &Generation::default())
                .expect("texts"),
            model
                .generate(&train, &Generation::default())
                .expect("texts"),
        );
        for (name, weight) in model.files().weights {
            assert_eq!(weight, loaded.files().weights[&name], "{name}");
        }
        let settings = &read_json(saved.join("config.json"))["bertfit"];
        assert_eq!(settings["max_target_length"], 12);
        // Weights and settings of a generator are only those of another one.
        let other = BertGenerator::saved(&saved)
            .tie_encoder_decoder(!tied)
            .build();
        let error = other.expect_err("refused").to_string();
        assert!(error.contains("tie_encoder_decoder"), "{error}");
    }
}

/// With a space before each mark, which decoding takes away.
fn spaced(text: &str) -> String {
    let marked = |text: String, mark: &str| text.replace(mark, &format!(" {mark} "));
    let text = ["!", ".", ","]
        .iter()
        .fold(text.to_owned(), |text, mark| marked(text, mark));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_decoder_begins_as_the_encoder() {
    for tied in [false, true] {
        let builder = BertGenerator::builder(tiny()).tie_encoder_decoder(tied);
        let model = builder.build().expect("a model");
        let report = model.backbone().load_report();
        let is_new = |name: &String| {
            name.contains(".crossattention.") || name.starts_with("decoder.cls.predictions.")
        };
        assert!(report.fresh.iter().all(is_new), "{:?}", report.fresh);
        let variables = model.backbone().named_variables();
        let mut twins = 0;
        for (name, weight) in &variables {
            let twin = name
                .strip_prefix("decoder.")
                .and_then(|name| variables.get(name));
            if let Some(twin) = twin {
                assert_eq!(weight, twin, "{name}");
                twins += 1;
            }
        }
        assert_eq!(twins == 0, tied);
    }
    // A head for hidden tokens is one for tokens to write.
    let path = data("task/masked_lm");
    let model = BertGenerator::builder(&path).build().expect("a model");
    let fresh = &model.backbone().load_report().fresh;
    assert!(
        fresh.iter().all(|name| name.contains(".crossattention.")),
        "{fresh:?}"
    );
    let fresh_head = BertGenerator::builder(&path).fresh_head().build();
    let fresh_head = fresh_head.expect("a model");
    let fresh = &fresh_head.backbone().load_report().fresh;
    let of_head = |name: &&String| name.starts_with("decoder.cls.predictions.");
    assert_eq!(fresh.iter().filter(of_head).count(), 5, "{fresh:?}");
}

#[test]
fn whatever_the_texts_are_they_are_learnt_and_written_about() {
    let long = "very ".repeat(300);
    let texts = [
        "",
        " ",
        "\u{0}",
        &long,
        "xylophone ☃ 日本",
        "[PAD] [SEP] [MASK]",
        "\n\t",
    ];
    let mut rows: Vec<Example> = Vec::new();
    for text in texts {
        for label in texts {
            rows.push(Example::new(text, label));
            rows.push(Example::new(text, label).with_pair(text));
        }
    }
    let builder = BertGenerator::builder(tiny())
        .max_length(16)
        .max_target_length(8);
    let mut model = builder.build().expect("a model");
    for length_grouping in [true, false] {
        let config = TrainConfig {
            epochs: 1.0,
            batch_size: 7,
            group_by_length: length_grouping,
            ..TrainConfig::default()
        };
        model.fit(&rows, &rows, &config).expect("a run");
    }
    let by_tokens = TrainConfig {
        epochs: 1.0,
        tokens_per_batch: Some(40),
        ..TrainConfig::default()
    };
    model.fit(&rows, &rows, &by_tokens).expect("a run");
    // Nothing but empty texts to write.
    let empty = vec![Example::new("the film", ""), Example::new("", "")];
    model
        .fit(&empty, &empty, &TrainConfig::default())
        .expect("a run");
    for num_beams in [1, 4] {
        let generation = Generation {
            num_beams,
            ..Generation::default()
        };
        let ids = model.generate_ids(&rows, &generation).expect("texts");
        assert_eq!(ids.len(), rows.len());
        assert!(ids.iter().all(|ids| (1..=7).contains(&ids.len())));
        let none: [&str; 0] = [];
        assert!(
            model
                .generate(&none, &generation)
                .expect("nothing")
                .is_empty()
        );
    }
    // The other rows of a batch make no difference.
    let some = [&rows[0], &rows[45]];
    let generation = Generation::default();
    let all = model.generate_ids(&rows, &generation).expect("texts");
    let alone = model.generate_ids(&some, &generation).expect("texts");
    assert_eq!(alone, [all[0].clone(), all[45].clone()]);
}

#[test]
fn a_target_is_cut_and_begins_and_ends_as_it_should() {
    let builder = BertGenerator::builder(tiny()).max_target_length(6);
    let model = builder.build().expect("a model");
    let collator = model.collator().expect("a collator");
    let rows = [
        Example::new("film", "the film was very good and so on"),
        Example::new("the film was fine", ""),
    ];
    let batch = collator.collate(&rows).expect("a batch");
    let ids = batch.inputs.decoder_input_ids().expect("ids");
    assert_eq!(ids.size(), [2, 5]);
    let tokenizer = model.backbone().tokenizer();
    let (cls, sep) = (tokenizer.cls_id(), tokenizer.sep_id());
    let first = Vec::<i64>::try_from(ids.select(0, 0)).expect("ids");
    let target = Vec::<i64>::try_from(&batch.target).expect("ids");
    assert_eq!(first[0], cls);
    // Each token is what comes after the one before.
    assert_eq!(first[1..], target[..4]);
    assert_eq!(target[4..], [sep, sep]);
    assert_eq!(
        Vec::<i64>::try_from(batch.inputs.places().expect("places")).expect("places"),
        [0, 1, 2, 3, 4, 5]
    );
    let encoder = model.encoder().expect("an encoder");
    let read = encoder.lengths(&rows).expect("lengths");
    let longer = [read[0].max(6), read[1].max(2)];
    assert_eq!(collator.lengths(&rows).expect("lengths"), longer);
    assert_eq!(batch.tokens, read.iter().sum::<usize>() + 5 + 1);
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = of_transformers(BOTH[0]);
    let positions = 64;
    let message = |builder: bertfit::BertGeneratorBuilder| {
        let error = builder.build().expect_err("refused");
        error.to_string()
    };
    let builder = || BertGenerator::builder(tiny());
    for share in [-0.1, 1.0, f64::NAN] {
        assert!(message(builder().label_smoothing(share)).contains("label_smoothing"));
    }
    for length in [0, 2, positions + 1] {
        let error = message(builder().max_target_length(length));
        assert!(error.contains("max_target_length"), "{error}");
    }
    let wrong = Generation {
        top_p: 2.0,
        ..Generation::default()
    };
    assert!(message(builder().predict_with_generate(wrong)).contains("top_p"));
    // An encoder has nothing that writes.
    let error = message(BertGenerator::saved(tiny()));
    assert!(error.contains("decoder.bert."), "{error}");
    let path = data("task/text_generation");
    for (field, value) in [
        ("decoder_start_token_id", 5.into()),
        ("eos_token_id", 2.into()),
        ("decoder", Value::Null),
        ("encoder", json!({"model_type": "bert"})),
    ] {
        let broken = with_config(&path, &[(field, value)]);
        let error = message(BertGenerator::saved(broken.path()));
        assert!(
            error.contains(field) || error.contains("config.json"),
            "{error}"
        );
    }
    let mut decoder = read_json(path.join("config.json"))["decoder"].clone();
    decoder["hidden_size"] = 36.into();
    let broken = with_config(&path, &[("decoder", decoder)]);
    let error = message(BertGenerator::saved(broken.path()));
    assert!(error.contains("the encoder's vocab_size"), "{error}");
    let mut decoder = read_json(path.join("config.json"))["decoder"].clone();
    decoder["tie_word_embeddings"] = false.into();
    let broken = with_config(&path, &[("decoder", decoder)]);
    let error = message(BertGenerator::saved(broken.path()));
    assert!(error.contains("tie_word_embeddings"), "{error}");
    // A decoder may have fewer layers than the encoder, but not if they are the same.
    let mut decoder = read_json(path.join("config.json"))["decoder"].clone();
    decoder["num_hidden_layers"] = 1.into();
    let shallow = with_config(&path, &[("decoder", decoder.clone())]);
    let shallow = BertGenerator::load(shallow.path()).expect("a model");
    let unexpected = &shallow.backbone().load_report().unexpected;
    assert!(unexpected[0].starts_with("decoder.bert.encoder.layer.1."));
    let texts = shallow.generate(&["film"], &Generation::default());
    assert_eq!(texts.expect("a text").len(), 1);
    let tied = data("task/text_generation_tied");
    let broken = with_config(&tied, &[("decoder", decoder)]);
    let error = message(BertGenerator::saved(broken.path()));
    assert!(error.contains("the encoder's shape"), "{error}");
    // Logits are those of a text to write.
    let encoder = model.encoder().expect("an encoder");
    let error = model
        .predict_logits(&["film"], &encoder, 64)
        .expect_err("refused");
    assert!(error.to_string().contains("decoder_input_ids"), "{error}");
    let error = model.save_for_rust_bert("never").expect_err("refused");
    assert!(error.to_string().contains("rust-bert"), "{error}");
    // A classifier does not start from two models.
    let error = bertfit::BertClassifier::builder(&path)
        .labels(["a", "b"])
        .build();
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("config.json")
    );
}
