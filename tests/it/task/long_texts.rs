//! Texts that are longer than a row: pooled logits, loss and gradients against transformers,
//! and the choice as a user meets it.

use bertfit::tch::{Kind, Tensor, no_grad};
use bertfit::{
    BertClassifier, BertClassifierBuilder, BertMultiLabelClassifier, BertRegressor, Example,
    FineTuner, LogRecord, LongText, TextWindows, TrainConfig, Trainer, WindowPooling,
};
use serde_json::{Value, json};

use super::parity::{batch_equals, logits, transformers_loads};
use crate::fixture::{assert_close, batch_of, data, read_gz, tiny, with_config, without_dropout};

/// As in the reference.
fn windows(pooling: WindowPooling) -> LongText {
    LongText::Windows(TextWindows {
        doc_stride: Some(5),
        pooling,
        ..TextWindows::default()
    })
}

/// A long text, a short one and one of two windows.
fn texts() -> Vec<String> {
    let reference = read_gz(&data("task/long_texts.json.gz"));
    let mut reference: Value = serde_json::from_str(&reference).expect("JSON");
    serde_json::from_value(reference["texts"].take()).expect("texts")
}

fn labelled<L>(labels: impl IntoIterator<Item = L>) -> Vec<Example<L>> {
    let rows = texts().into_iter().zip(labels);
    rows.map(|(text, label)| Example::new(text, label))
        .collect()
}

/// The reference's classes with one for each text.
fn one_class() -> tempfile::TempDir {
    let problem = json!("single_label_classification");
    with_config(&data("task/multi_label"), &[("problem_type", problem)])
}

fn classifier(dir: &std::path::Path, long_text: LongText) -> BertClassifier {
    let builder = BertClassifier::builder(dir)
        .max_length(16)
        .long_text(long_text);
    builder.build().expect("a classifier")
}

#[test]
fn pooled_logits_loss_and_gradients_are_those_of_transformers() {
    let model = classifier(one_class().path(), windows(WindowPooling::Mean));
    // By their places: dull, good, sad.
    batch_equals(
        &model,
        &labelled(["sad", "dull", "good"].map(str::to_owned)),
        "long_texts_classes",
        logits,
    );

    let builder = BertMultiLabelClassifier::builder(data("task/multi_label"));
    let builder = builder
        .max_length(16)
        .long_text(windows(WindowPooling::Max));
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let rows = labelled([names(&["good", "sad"]), names(&[]), names(&["dull", "sad"])]);
    batch_equals(
        &builder.build().expect("a classifier"),
        &rows,
        "long_texts_labels",
        logits,
    );

    let builder = BertRegressor::builder(data("task/regression"));
    let builder = builder
        .max_length(16)
        .long_text(windows(WindowPooling::Mean));
    let rows = labelled([vec![0.5], vec![-1.0], vec![3.25]]);
    batch_equals(
        &builder.build().expect("a regressor"),
        &rows,
        "long_texts_numbers",
        logits,
    );
}

#[test]
fn an_evaluation_in_parts_and_a_prediction_have_the_same_logits_as_training() {
    let dir = one_class();
    let model = classifier(dir.path(), windows(WindowPooling::Mean));
    // More tokens than one part has.
    let three = labelled(["sad", "dull", "good"].map(str::to_owned));
    let rows: Vec<Example> = three.iter().cycle().take(120).cloned().collect();
    let batch = batch_of(&model, &rows);
    assert!(
        batch.tokens > 4096 && batch.inputs.size().0 > 120,
        "{batch:?}"
    );
    let [whole, parts] =
        [true, false].map(|train| no_grad(|| model.logits(&batch.inputs, train)).expect("logits"));
    assert_close("parts", &whole, &parts, 1e-5);
    let encoder = model.encoder().expect("an encoder");
    let alone = model.predict_logits(&rows, &encoder, 100).expect("logits");
    assert_close("batches", &whole, &Tensor::stack(&alone, 0), 1e-5);
    let predicted = model.predict(&rows).expect("predictions").probabilities;
    let predicted = Tensor::try_from(predicted).expect("a tensor");
    assert_close(
        "predictions",
        &whole.softmax(-1, Kind::Float),
        &predicted,
        1e-5,
    );
    // The loss of an evaluation is a mean over texts.
    let loss = model.loss(&whole, &batch.target).expect("a loss");
    assert_eq!(loss.count, 120.0);
    let evaluated = model.evaluate(&rows).expect("an evaluation").loss;
    assert!((loss.sum.double_value(&[]) / 120.0 - evaluated).abs() < 1e-5);
}

#[test]
fn a_text_that_fits_one_window_has_the_logits_of_the_plain_model() {
    let dir = one_class();
    let (plain, windowed) = (
        classifier(dir.path(), LongText::Head),
        classifier(dir.path(), windows(WindowPooling::Mean)),
    );
    let short = ["sad , dull film .", "it was good", ""];
    let of = |model: &BertClassifier| model.predict(&short).expect("predictions");
    assert_eq!(of(&plain), of(&windowed));
    // Beside a long one too.
    let long = &texts()[0];
    let mixed = [short[0], short[1], short[2], long];
    let mixed = windowed.predict(&mixed).expect("predictions").probabilities;
    let plain = of(&plain).probabilities;
    for row in 0..short.len() {
        for (a, b) in plain.row(row).iter().zip(mixed.row(row)) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}

#[test]
fn predictions_are_in_the_order_of_the_texts() {
    let model = classifier(one_class().path(), windows(WindowPooling::Mean));
    let [long, short, middle] = <[String; 3]>::try_from(texts()).expect("three texts");
    let twice = format!("{long} {long}");
    let mixed = [&short, &long, &middle, &twice, &short, &middle, &long].map(String::as_str);
    let together = model.predict(&mixed).expect("predictions");
    for (row, text) in mixed.iter().enumerate() {
        let alone = model.predict(&[text]).expect("a prediction");
        for (a, b) in together
            .probabilities
            .row(row)
            .iter()
            .zip(&alone.probabilities)
        {
            assert!((a - b).abs() < 1e-5, "row {row}: {a} {b}");
        }
    }
    assert_ne!(together.probabilities.row(1), together.probabilities.row(3));
}

#[test]
fn accumulation_counts_texts_and_not_windows() {
    let dir = without_dropout(&tiny());
    let rows = labelled(["a", "b", "a"].map(str::to_owned));
    let fitted = |batch_size: usize, accumulate: usize| {
        let builder = BertClassifier::builder(dir.path())
            .labels(["a", "b"])
            .dropout(0.0);
        let builder = builder
            .max_length(16)
            .long_text(windows(WindowPooling::Mean));
        let mut model = builder.build().expect("a classifier");
        let config = TrainConfig {
            max_steps: Some(2),
            batch_size,
            accumulate,
            ..TrainConfig::default()
        };
        model.fit(&rows, &rows, &config).expect("a run");
        let encoder = model.encoder().expect("an encoder");
        Tensor::stack(
            &model
                .predict_logits(&texts(), &encoder, 4096)
                .expect("logits"),
            0,
        )
    };
    assert_close("logits", &fitted(3, 1), &fitted(1, 3), 1e-5);
}

#[test]
fn the_choice_is_saved_with_the_model() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rows = labelled(["a", "b", "a"].map(str::to_owned));
    let asked = [
        (LongText::Head, json!("head")),
        (LongText::Tail, json!("tail")),
        (LongText::head_tail(), json!({"head_tail": {"head": 0.25}})),
        (
            windows(WindowPooling::Max),
            json!({"windows": {"doc_stride": 5, "pooling": "max", "max_windows": null}}),
        ),
    ];
    let mut seen = Vec::new();
    for (place, (long_text, saved)) in asked.into_iter().enumerate() {
        let model = classifier_of(&tiny())
            .long_text(long_text)
            .build()
            .expect("a classifier");
        let folder = dir.path().join(place.to_string());
        model.save(&folder).expect("a saved model");
        let config = std::fs::read_to_string(folder.join("config.json")).expect("a file");
        let config: Value = serde_json::from_str(&config).expect("JSON");
        assert_eq!(config["bertfit"]["long_text"], saved);
        let again = BertClassifier::load(&folder).expect("a classifier");
        assert_eq!(again.encoder().expect("an encoder").long_text(), long_text);
        let predictions = again.predict(&rows).expect("predictions");
        assert_eq!(predictions, model.predict(&rows).expect("predictions"));
        // Each choice reads something else.
        assert!(!seen.contains(&predictions.probabilities), "{long_text:?}");
        seen.push(predictions.probabilities);
        // An overlap that does not fit shorter rows becomes the usual one.
        let shorter = BertClassifier::saved(&folder).max_length(6).build();
        shorter
            .expect("a classifier")
            .predict(&rows)
            .expect("predictions");
    }
    // A folder that says nothing about it is read as ever.
    let model = classifier_of(&tiny()).build().expect("a classifier");
    assert_eq!(
        model.encoder().expect("an encoder").long_text(),
        LongText::Head
    );
    assert_eq!(
        model.predict(&rows).expect("predictions").probabilities,
        seen[0]
    );
}

fn classifier_of(dir: &std::path::Path) -> BertClassifierBuilder {
    BertClassifier::builder(dir)
        .labels(["a", "b"])
        .max_length(16)
}

#[test]
fn transformers_loads_a_model_for_windows() {
    let model = classifier(one_class().path(), windows(WindowPooling::Mean));
    let short = [Example::new("it was good", "good")];
    transformers_loads(&model, &short, "AutoModelForSequenceClassification", logits);
}

#[test]
fn training_reads_all_windows_or_so_many_as_it_may() {
    let dir = without_dropout(&tiny());
    let filler = "the film was about the phone and the place , ".repeat(2);
    let rows: Vec<Example> = [
        ("great", "good"),
        ("fine", "good"),
        ("bad", "bad"),
        ("sad", "bad"),
    ]
    .map(|(word, label)| Example::new(format!("{filler}{word}"), label))
    .to_vec();
    // The loss of the last step.
    let last_loss = |long_text, epochs| {
        let builder = BertClassifier::builder(dir.path())
            .labels(["bad", "good"])
            .dropout(0.0);
        let builder = builder.max_length(16).long_text(long_text);
        let mut model = builder.build().expect("a classifier");
        let config = TrainConfig {
            epochs,
            learning_rate: 2e-3,
            ..TrainConfig::default()
        };
        let mut trainer = Trainer::new(config).expect("a configuration");
        let report = trainer.run(&mut model, &rows, None).expect("a run");
        let mut losses = report.log_history.iter().filter_map(|record| match record {
            LogRecord::Step(step) => Some(step.loss),
            LogRecord::Eval(_) => None,
        });
        losses.next_back().expect("a step")
    };
    let limited = LongText::Windows(TextWindows {
        max_windows: Some(1),
        ..TextWindows::default()
    });
    // All texts begin alike, so that nothing can be learnt of their beginning.
    assert!(last_loss(limited, 5.0) >= 2.0_f64.ln() - 1e-6);
    let loss = last_loss(windows(WindowPooling::Mean), 40.0);
    assert!(loss < 0.4, "{loss}");
}
