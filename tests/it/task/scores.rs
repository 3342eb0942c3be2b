//! Several classes a row, and numbers: as a user meets them, and against transformers.

use bertfit::tch::Tensor;
use bertfit::{
    BertClassifier, BertMultiLabelClassifier, BertRegressor, ClassLoss, Collator, Error, Example,
    FineTuner, TrainConfig,
};
use serde_json::Value;

use super::parity::{batch_equals, logits, transformers_loads};
use crate::fixture::{data, eight, tiny};

fn reference<L>(task: &str, label: impl Fn(&Value) -> L) -> Vec<Example<L>> {
    let text = std::fs::read_to_string(data(&format!("task/{task}.json"))).expect("a file");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let example = |row: &Value| Example {
        text: row["text"].as_str().expect("a text").to_owned(),
        pair: row["pair"].as_str().map(str::to_owned),
        label: label(&row["label"]),
    };
    rows.iter().map(example).collect()
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let items = value.as_array().expect("a list").iter();
    items.map(|value| item(value).expect("an item")).collect()
}

fn labelled() -> Vec<Example<Vec<String>>> {
    reference("multi_label", |label| {
        list(label, |name| name.as_str().map(str::to_owned))
    })
}

fn numbered(task: &str) -> Vec<Example<Vec<f32>>> {
    reference(task, |label| {
        list(label, |number| Some(number.as_f64()? as f32))
    })
}

#[test]
fn several_classes_give_the_numbers_of_transformers() {
    let model = BertMultiLabelClassifier::load(data("task/multi_label")).expect("a classifier");
    assert_eq!(model.labels().names(), ["dull", "good", "sad"]);
    batch_equals(&model, &labelled(), "multi_label", logits);
    transformers_loads(
        &model,
        &labelled(),
        "AutoModelForSequenceClassification",
        logits,
    );
}

#[test]
fn numbers_give_the_numbers_of_transformers() {
    for (task, outputs) in [("regression", 1), ("two_numbers", 2)] {
        let model = BertRegressor::load(data(&format!("task/{task}"))).expect("a regressor");
        assert_eq!(model.outputs(), outputs);
        batch_equals(&model, &numbered(task), task, logits);
        transformers_loads(
            &model,
            &numbered(task),
            "AutoModelForSequenceClassification",
            logits,
        );
    }
}

#[test]
fn several_classes_are_learnt_with_thresholds_that_are_saved() {
    let names = |row: &Example| match row.label.as_str() {
        "good" => vec!["good".to_owned()],
        _ => vec!["dull".to_owned(), "bad".to_owned()],
    };
    let rows: Vec<Example<Vec<String>>> = eight()
        .iter()
        .map(|row| Example::new(row.text.clone(), names(row)))
        .chain([Example::new("?", Vec::new())])
        .collect();
    let builder = BertMultiLabelClassifier::builder(tiny()).labels(["bad", "dull", "good"]);
    let mut model = builder.build().expect("a classifier");
    assert_eq!(model.thresholds(), [0.5; 3]);
    let config = TrainConfig {
        epochs: 80.0,
        learning_rate: 2e-3,
        ..TrainConfig::default()
    };
    let report = model.fit(&rows, &rows, &config).expect("a run");
    assert!(report.best_metric > Some(0.9), "{:?}", report.best_metric);
    model.tune_thresholds(&rows).expect("thresholds");
    let evaluation = model.evaluate(&rows).expect("an evaluation");
    assert!(evaluation.metrics["f1_micro"] >= report.best_metric.expect("a metric"));
    for name in ["f1_macro", "accuracy", "f1_good", "roc_auc_macro"] {
        assert!(evaluation.metrics.contains_key(name), "{name}");
    }
    // What is predicted is what the evaluation counts.
    let predictions = model.predict(&rows).expect("predictions");
    let right = (0..rows.len()).filter(|&row| {
        let mut wanted = rows[row].label.clone();
        wanted.sort();
        predictions.labels(row) == wanted
    });
    let share = right.count() as f64 / rows.len() as f64;
    assert_eq!(share, evaluation.metrics["accuracy"]);

    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    model.save(&saved).expect("a saved model");
    let again = BertMultiLabelClassifier::load(&saved).expect("a classifier");
    assert_eq!(again.thresholds(), model.thresholds());
    assert_eq!(again.predict(&rows).expect("predictions"), predictions);
    // They are of that head, and of no other.
    let fresh = BertMultiLabelClassifier::builder(&saved).fresh_head();
    let fresh = fresh.labels(["one", "two"]).build().expect("a classifier");
    assert_eq!(fresh.thresholds(), [0.5; 2]);
    // It is no classifier of one class, nor a regressor.
    let error = BertClassifier::load(&saved).expect_err("another problem");
    assert!(error.to_string().contains("problem_type"), "{error}");
    assert!(BertRegressor::load(&saved).is_err());
    let fresh = BertRegressor::builder(&saved).fresh_head().build();
    assert_eq!(fresh.expect("a regressor").outputs(), 1);
}

#[test]
fn a_number_is_learnt() {
    let score = |row: &Example| if row.label == "good" { 2.0 } else { -1.0 };
    let rows: Vec<Example<Vec<f32>>> = eight()
        .iter()
        .map(|row| Example::new(row.text.clone(), vec![score(row)]))
        .collect();
    let mut model = BertRegressor::builder(tiny()).build().expect("a regressor");
    let config = TrainConfig {
        epochs: 60.0,
        learning_rate: 2e-3,
        metric: Some("mse".to_owned()),
        ..TrainConfig::default()
    };
    let report = model.fit(&rows, &rows, &config).expect("a run");
    assert!(report.best_metric < Some(0.3), "{:?}", report.best_metric);
    let numbers = model.predict(&["the film was great"]).expect("numbers");
    assert_eq!(numbers.dim(), (1, 1));
    assert!((numbers[[0, 0]] - 2.0).abs() < 1.0, "{numbers}");
    let metrics = model.evaluate(&rows).expect("an evaluation").metrics;
    assert!(
        metrics["pearson"] > 0.9 && metrics.contains_key("spearmanr"),
        "{metrics:?}"
    );
}

#[test]
fn a_class_that_is_called_micro_is_not_taken_for_the_mean() {
    let metrics = |name: &str| {
        let labels = [name, "good", "sad"];
        let builder = BertMultiLabelClassifier::builder(tiny()).labels(labels);
        let mut model = builder.build().expect("a classifier");
        let row = |labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            Example::new("one text", labels)
        };
        let rows = vec![row(&[name]), row(&[name, "good"]), row(&[name, "sad"])];
        model.tune_thresholds(&rows).expect("thresholds");
        model.evaluate(&rows).expect("an evaluation").metrics
    };
    let (other, micro) = (metrics("dull"), metrics("micro"));
    assert_eq!(other["f1_dull"], 1.0);
    assert!(other["f1_micro"] < 1.0);
    assert_eq!(micro["f1_micro"], other["f1_micro"]);
    assert_eq!(micro["f1_sad"], other["f1_sad"]);
}

/// The loss of three rows with these settings.
fn loss(setting: ClassLoss) -> f64 {
    let builder = BertClassifier::builder(tiny()).labels(["a", "b", "c"]);
    let model = builder.loss(setting).build().expect("a classifier");
    let logits = Tensor::from_slice(&[2.0_f32, -1.0, 0.5, 0.1, 0.2, -3.0, 1.0, 1.5, -0.5]);
    let loss = model.loss(&logits.view([3, 3]), &Tensor::from_slice(&[0_i64, 2, 1]));
    let loss = loss.expect("a loss");
    loss.sum.double_value(&[]) / loss.count
}

/// torch.nn.functional.cross_entropy(logits, target, weight=[1, 2, .5],
/// label_smoothing=.1), and `(1 - p)**2 * -log p` of its softmax by hand.
#[test]
fn a_loss_is_that_of_pytorch() {
    let plain = loss(ClassLoss::default());
    assert!((plain - 1.553_946).abs() < 1e-5, "{plain}");
    let smooth = loss(ClassLoss {
        label_smoothing: 0.1,
        class_weights: Some(vec![1.0, 2.0, 0.5]),
        ..ClassLoss::default()
    });
    assert!((smooth - 0.987_950).abs() < 1e-5, "{smooth}");
    let focal = loss(ClassLoss {
        focal_gamma: 2.0,
        ..ClassLoss::default()
    });
    assert!((focal - 1.272_350).abs() < 1e-5, "{focal}");
    let balanced = ClassLoss::balanced(&[1, 3]).expect("weights");
    assert_eq!(balanced.class_weights, Some(vec![2.0, 2.0 / 3.0]));
}

#[test]
fn a_row_that_is_right_for_sure_has_no_focal_loss_and_no_gradient() {
    for focal_gamma in [0.5, 1.0, 2.0] {
        let setting = ClassLoss {
            focal_gamma,
            ..ClassLoss::default()
        };
        let builder = BertClassifier::builder(tiny()).labels(["a", "b"]);
        let model = builder.loss(setting).build().expect("a classifier");
        let logits = Tensor::from_slice(&[40.0_f32, 0.0, 0.3, 0.1]).view([2, 2]);
        let logits = logits.set_requires_grad(true);
        let target = Tensor::from_slice(&[0_i64, 0]);
        let loss = model.loss(&logits, &target).expect("a loss").sum;
        loss.backward();
        let p = 1.0 / (1.0 + (-0.2_f64).exp());
        let expected = -(1.0 - p).powf(focal_gamma) * p.ln();
        assert!((loss.double_value(&[]) - expected).abs() < 1e-6);
        let gradient = Vec::<f32>::try_from(logits.grad().view([-1])).expect("numbers");
        assert!(gradient[..2].iter().all(|number| number.abs() < 1e-12));
        // d/dp of the loss, times p (1 - p).
        let slope = focal_gamma * (1.0 - p).powf(focal_gamma - 1.0) * p.ln()
            - (1.0 - p).powf(focal_gamma) / p;
        assert!((f64::from(gradient[2]) - slope * p * (1.0 - p)).abs() < 1e-6);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = BertMultiLabelClassifier::load(data("task/multi_label")).expect("a classifier");
    let collator = model.collator().expect("a collator");
    let row = Example::new("a", vec!["good".to_owned(), "odd".to_owned()]);
    let error = collator.collate(&[row]).expect_err("an unknown label");
    assert_eq!(
        error.to_string(),
        "row 0: label `odd` is not one of dull, good, sad"
    );

    let model = BertRegressor::load(data("task/regression")).expect("a regressor");
    let collator = model.collator().expect("a collator");
    let refused = |numbers: Vec<f32>| {
        let rows = [Example::new("a", vec![1.0]), Example::new("a", numbers)];
        collator
            .collate(&rows)
            .expect_err("unusable numbers")
            .to_string()
    };
    assert_eq!(
        refused(vec![1.0, 2.0]),
        "row 1: field `label`: 2 numbers, the model has 1"
    );
    assert_eq!(
        refused(vec![f32::NAN]),
        "row 1: field `label`: NaN is not a finite number"
    );

    let build = |loss| {
        BertClassifier::builder(tiny())
            .labels(["a", "b"])
            .loss(loss)
            .build()
    };
    for (loss, field) in [
        (
            ClassLoss {
                label_smoothing: 1.0,
                ..ClassLoss::default()
            },
            "label_smoothing",
        ),
        (
            ClassLoss {
                focal_gamma: -1.0,
                ..ClassLoss::default()
            },
            "focal_gamma",
        ),
        (
            ClassLoss {
                focal_gamma: 1.0,
                label_smoothing: 0.1,
                ..ClassLoss::default()
            },
            "focal_gamma",
        ),
        (
            ClassLoss {
                class_weights: Some(vec![1.0]),
                ..ClassLoss::default()
            },
            "class_weights",
        ),
    ] {
        let error = build(loss).expect_err("an unusable loss");
        assert!(
            matches!(error, Error::Config { field: found, .. } if found == field),
            "{error}"
        );
    }
    assert!(ClassLoss::balanced(&[1, 0]).is_err());
    assert!(BertRegressor::builder(tiny()).outputs(0).build().is_err());
}
