//! Against the official scripts: `tests/data/metrics/make_squad.py`.

use bertfit::SquadMetrics;
use serde_json::Value;

#[test]
fn every_number_is_that_of_the_official_scripts() {
    let text = std::fs::read_to_string("tests/data/metrics/squad.json").expect("the fixture");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the fixture is JSON");
    assert_eq!(cases.len(), 4000);
    let close = |ours: [f64; 2], theirs: &Value, case: &Value| {
        for part in 0..2 {
            let theirs = theirs[part].as_f64().expect("a number");
            assert!(
                (ours[part] - theirs).abs() < 1e-9,
                "{ours:?} {theirs}: {case}"
            );
        }
    };
    let (mut all, mut sums) = (SquadMetrics::new(), [0.0; 2]);
    for case in &cases {
        let gold = case["gold"].as_array().expect("a list").iter();
        let gold: Vec<&str> = gold.map(|text| text.as_str().expect("a text")).collect();
        let predicted = case["predicted"].as_str().expect("a text");
        let mut metrics = SquadMetrics::new();
        metrics.update(predicted, &gold);
        close(metrics.second_version(), &case["second"], case);
        if !gold.is_empty() {
            close(metrics.exact_and_f1(), &case["first"], case);
        }
        all.update(predicted, &gold);
        for part in 0..2 {
            sums[part] += case["second"][part].as_f64().expect("a number");
        }
    }
    let count = cases.len() as f64;
    close(
        all.exact_and_f1(),
        &serde_json::json!([sums[0] / count, sums[1] / count]),
        &Value::Null,
    );
    assert!(all.to_metrics().contains_key("NoAns_f1"));
}
