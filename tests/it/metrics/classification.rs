//! Against scikit-learn: `tests/data/metrics/make_classification.py`.

use bertfit::ConfusionMatrix;
use serde_json::Value;

const FIXTURE: &str = "tests/data/metrics/classification.json";

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn matrix(case: &Value) -> ConfusionMatrix {
    let classes = case["classes"].as_u64().expect("a number") as usize;
    let mut matrix = ConfusionMatrix::new(classes);
    for (cell, rows) in case["counts"]
        .as_array()
        .expect("a list")
        .iter()
        .enumerate()
    {
        let (target, predicted) = (cell / classes, cell % classes);
        matrix.add(predicted, target, rows.as_u64().expect("a count"));
    }
    matrix
}

fn close(ours: f64, theirs: &Value) -> bool {
    (ours - theirs.as_f64().expect("a number")).abs() <= 1e-12
}

#[test]
fn every_metric_is_that_of_scikit_learn() {
    let text = std::fs::read_to_string(FIXTURE).expect("the fixture is there");
    let fixture: Value = serde_json::from_str(&text).expect("the fixture is JSON");
    let cases = list(&fixture["cases"]);
    assert!(cases.len() > 2000, "{} cases", cases.len());
    for (number, case) in cases.iter().enumerate() {
        let matrix = matrix(case);
        let named = matrix.to_metrics();
        let expected = list(&case["metrics"]);
        assert_eq!(expected.len(), if matrix.classes() == 2 { 10 } else { 7 });
        for (name, expected) in list(&fixture["metrics"]).iter().zip(expected) {
            let ours = match name.as_str().expect("a name") {
                "precision_macro" => matrix.precision_macro(),
                "recall_macro" => matrix.recall_macro(),
                "f1_weighted" => matrix.f1_weighted(),
                name => named[name],
            };
            assert!(
                close(ours, expected),
                "case {number}: {name} is {ours}\n{case}"
            );
        }
        let class = case["class"].as_u64().expect("a number") as usize;
        let ours = [
            matrix.precision(class),
            matrix.recall(class),
            matrix.f1(class),
        ];
        let expected = list(&case["precision_recall_f1"]);
        assert!(
            ours.into_iter()
                .zip(expected)
                .all(|(ours, expected)| close(ours, expected)),
            "case {number}: class {class} has {ours:?}\n{case}"
        );
    }
}

#[test]
fn the_names_are_hugging_faces_and_the_positive_class_is_id_1() {
    let names = |classes| -> Vec<String> {
        ConfusionMatrix::new(classes)
            .to_metrics()
            .into_keys()
            .collect()
    };
    let common = ["accuracy", "f1_macro", "f1_micro", "matthews_correlation"];
    assert_eq!(names(3), common);
    let mut binary = [&common[..], &["f1", "precision", "recall"]].concat();
    binary.sort();
    assert_eq!(names(2), binary);

    let mut matrix = ConfusionMatrix::new(2);
    matrix.update(1, 1);
    matrix.update(1, 0);
    matrix.update(1, 0);
    matrix.update(0, 1);
    let metrics = matrix.to_metrics();
    assert_eq!(metrics["precision"], 1.0 / 3.0);
    assert_eq!(metrics["recall"], 0.5);
    assert_eq!(metrics["f1"], 0.4);
}

#[test]
fn parts_merge_into_the_whole() {
    let outcomes = [(0, 0), (1, 0), (2, 2), (2, 1), (1, 1), (0, 2), (2, 2)];
    let count = |outcomes: &[(usize, usize)]| {
        let mut matrix = ConfusionMatrix::new(3);
        for &(predicted, target) in outcomes {
            matrix.update(predicted, target);
        }
        matrix
    };
    let whole = count(&outcomes);
    let mut merged = count(&outcomes[..3]);
    merged.merge(&count(&outcomes[3..]));
    assert_eq!(merged, whole);
    assert_eq!(whole.rows(), 7);
    assert_eq!(whole.classes(), 3);
    assert_eq!(whole.count(2, 1), 1);
    assert_eq!((whole.support(2), whole.predictions(2)), (3, 3));
}

#[test]
fn a_perfect_prediction_has_a_correlation_of_exactly_1() {
    for rows in [1, 3, 1_000_003, (1 << 61) - 1] {
        let mut matrix = ConfusionMatrix::new(3);
        matrix.add(0, 0, rows);
        matrix.add(1, 1, rows);
        matrix.add(2, 2, 1);
        assert_eq!(matrix.matthews_correlation(), 1.0, "{rows} rows");
    }
}

#[test]
#[should_panic(expected = "predicted class 2 of 2")]
fn a_class_that_does_not_exist_panics() {
    ConfusionMatrix::new(2).update(2, 0);
}

#[test]
#[should_panic(expected = "fewer than 2^63 rows")]
fn too_many_rows_panic_instead_of_wrapping() {
    let mut matrix = ConfusionMatrix::new(2);
    matrix.add(0, 0, (1 << 63) - 1);
    matrix.update(0, 0);
}
