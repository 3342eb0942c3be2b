//! Several classes a row, numbers, and areas under the ROC curve against scikit-learn and
//! SciPy: `tests/data/metrics/make_numbers.py`.

use bertfit::{MultiLabelMetrics, RegressionMetrics, best_threshold, pearson, roc_auc, spearman};
use proptest::prelude::*;
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string("tests/data/metrics/numbers.json").expect("the fixture");
    let fixture: Value = serde_json::from_str(&text).expect("the fixture is JSON");
    let cases = fixture[name].as_array().expect("a list").clone();
    assert_eq!(cases.len(), 1000);
    cases
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().expect("a list").iter();
    numbers
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

fn truths(value: &Value) -> Vec<bool> {
    numbers(value)
        .into_iter()
        .map(|number| number == 1.0)
        .collect()
}

#[track_caller]
fn close(ours: f64, theirs: f64, case: &Value) {
    assert!((ours - theirs).abs() < 1e-9, "{ours} {theirs}: {case}");
}

#[test]
fn several_classes_have_the_numbers_of_scikit_learn() {
    for case in cases("multi_label") {
        let rows = |name: &str| -> Vec<Vec<bool>> {
            case[name]
                .as_array()
                .expect("a list")
                .iter()
                .map(truths)
                .collect()
        };
        let (target, predicted) = (rows("target"), rows("predicted"));
        let mut metrics = MultiLabelMetrics::new(target[0].len());
        for (target, predicted) in target.iter().zip(&predicted) {
            metrics.update(predicted, target);
        }
        let accuracy = case["accuracy"].as_f64().expect("a number");
        close(metrics.accuracy(), accuracy, &case);
        let of = case["of"].as_array().expect("three lists");
        for (part, of) in of.iter().enumerate() {
            close(metrics.micro()[part], numbers(&case["micro"])[part], &case);
            close(
                metrics.macro_mean()[part],
                numbers(&case["macro"])[part],
                &case,
            );
            for (class, &theirs) in numbers(of).iter().enumerate() {
                close(metrics.of(class)[part], theirs, &case);
            }
        }
        assert_eq!(metrics.to_metrics()["f1_micro"], metrics.micro()[2]);
    }
}

#[test]
fn numbers_have_the_numbers_of_scipy() {
    for case in cases("regression") {
        let (target, predicted) = (numbers(&case["target"]), numbers(&case["predicted"]));
        let number = |name: &str| case[name].as_f64().expect("a number");
        close(pearson(&predicted, &target), number("pearson"), &case);
        close(spearman(&predicted, &target), number("spearman"), &case);
        let mut metrics = RegressionMetrics::new(2);
        for (&target, &predicted) in target.iter().zip(&predicted) {
            metrics.update(&[predicted as f32; 2], &[target as f32; 2]);
        }
        let named = metrics.to_metrics();
        close(named["mse"], number("mse"), &case);
        close(named["pearson"], number("pearson"), &case);
        close(named["spearmanr"], number("spearman"), &case);
    }
}

#[test]
fn areas_are_those_of_scikit_learn() {
    for case in cases("roc") {
        let ours = roc_auc(&numbers(&case["scores"]), &truths(&case["target"]));
        match (ours, case["area"].as_f64()) {
            (Some(ours), Some(theirs)) => close(ours, theirs, &case),
            (ours, theirs) => assert_eq!(ours, theirs, "{case}"),
        }
    }
}

proptest! {
    #[test]
    fn no_threshold_is_better_than_the_best(
        rows in prop::collection::vec((0_u8..20, any::<bool>()), 1..30)
    ) {
        let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0) / 20.0).collect();
        let targets: Vec<bool> = rows.iter().map(|row| row.1).collect();
        let f1 = |threshold: f32| {
            let mut metrics = MultiLabelMetrics::new(1);
            for (&score, &target) in scores.iter().zip(&targets) {
                metrics.update(&[score > threshold], &[target]);
            }
            metrics.of(0)[2]
        };
        let best = best_threshold(&scores, &targets);
        prop_assert!((0.0..1.0).contains(&best));
        for step in 0..40 {
            prop_assert!(f1(best) >= f1(step as f32 / 40.0) - 1e-12);
        }
        if !targets.contains(&true) {
            prop_assert_eq!(best, 0.5);
        }
    }
}
