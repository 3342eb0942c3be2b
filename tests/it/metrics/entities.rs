//! Against seqeval: `tests/data/metrics/make_entities.py`.

use bertfit::{EntityMetrics, Scheme};
use serde_json::Value;

const FIXTURE: &str = "tests/data/metrics/entities.json";

fn sentences(case: &Value, name: &str) -> Vec<Vec<String>> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let tags = list(&case["tags"]);
    let name_of = |id: Value| {
        let id = id.as_u64().expect("an index") as usize;
        tags[id].as_str().expect("a tag").to_owned()
    };
    let rows = list(&case[name]).into_iter();
    rows.map(|row| list(&row).into_iter().map(name_of).collect())
        .collect()
}

fn scheme(name: &str) -> Scheme {
    match name {
        "Iob1" => Scheme::Iob1,
        "Iob2" => Scheme::Iob2,
        "Ioe1" => Scheme::Ioe1,
        "Ioe2" => Scheme::Ioe2,
        "Iobes" => Scheme::Iobes,
        "Bilou" => Scheme::Bilou,
        other => panic!("{other}"),
    }
}

#[test]
fn every_number_is_that_of_seqeval() {
    let text = std::fs::read_to_string(FIXTURE).expect("the fixture is there");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the fixture is JSON");
    assert!(cases.len() >= 3000, "{} cases", cases.len());
    for (number, case) in cases.iter().enumerate() {
        let (right, predicted) = (sentences(case, "right"), sentences(case, "predicted"));
        let strict = EntityMetrics::strict(scheme(case["scheme"].as_str().expect("a name")));
        for (mode, mut metrics) in [("lenient", EntityMetrics::new()), ("strict", strict)] {
            for (right, predicted) in right.iter().zip(&predicted) {
                metrics.update(predicted, right).expect("known prefixes");
            }
            let ours = [
                metrics.precision(),
                metrics.recall(),
                metrics.f1(),
                metrics.f1_macro(),
            ];
            let theirs = case[mode].as_array().expect("a list").iter();
            for (ours, theirs) in ours.iter().zip(theirs) {
                let theirs = theirs.as_f64().expect("a number");
                assert!(
                    (ours - theirs).abs() < 1e-12,
                    "case {number}, {mode}: {case}"
                );
            }
            let accuracy = case["accuracy"].as_f64().expect("a number");
            assert!((metrics.accuracy() - accuracy).abs() < 1e-12);
        }
    }
}

#[test]
fn other_prefixes_and_types_are_counted_as_seqeval_does() {
    let text = std::fs::read_to_string("tests/data/metrics/entities_prefixes.json");
    let text = text.expect("the fixture is there");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the fixture is JSON");
    assert_eq!(cases.len(), 900);
    for case in &cases {
        let mut metrics = EntityMetrics::new();
        let rows = sentences(case, "right").into_iter();
        for (right, predicted) in rows.zip(sentences(case, "predicted")) {
            metrics.update(&predicted, &right).expect("any prefixes");
        }
        let near = |ours: f64, theirs: &Value| {
            let theirs = theirs.as_f64().expect("a number");
            assert!((ours - theirs).abs() < 1e-12, "{ours} and {theirs}: {case}");
        };
        near(metrics.precision(), &case["lenient"][0]);
        near(metrics.recall(), &case["lenient"][1]);
        near(metrics.f1(), &case["lenient"][2]);
        near(metrics.accuracy(), &case["accuracy"]);
        let all = metrics.to_metrics();
        let types = case["types"].as_object().expect("an object");
        for (label, f1) in types {
            near(all[&format!("f1_{label}")], f1);
        }
        assert_eq!(all.len(), 4 + types.len(), "{case}");
    }
}

#[test]
fn a_type_has_numbers_of_its_own() {
    let mut metrics = EntityMetrics::new();
    let right = ["B-PER", "I-PER", "O", "B-LOC"];
    metrics
        .update(&["B-PER", "O", "O", "B-LOC"], &right)
        .expect("counts");
    assert_eq!(metrics.of("LOC"), Some([1.0; 3]));
    assert_eq!(metrics.of("PER"), Some([0.0; 3]));
    assert_eq!(metrics.of("ORG"), None);
    assert_eq!(metrics.to_metrics()["f1_LOC"], 1.0);
    assert_eq!(metrics.accuracy(), 0.75);
}

#[test]
fn a_prefix_outside_the_scheme_is_refused() {
    let mut metrics = EntityMetrics::strict(Scheme::Iob2);
    let error = metrics
        .update(&["S-PER"], &["O"])
        .expect_err("no such prefix");
    assert_eq!(
        error.to_string(),
        "`tag` must be one that begins with one of IOB, got S-PER"
    );
}
