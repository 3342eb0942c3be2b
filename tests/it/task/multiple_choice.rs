//! Multiple choice as a user meets it, and against transformers.

use bertfit::tch::Tensor;
use bertfit::{BertMultipleChoice, ChoiceExample, ChoiceFile, FineTuner, TrainConfig};
use proptest::prelude::*;

use super::parity::{batch_equals, transformers_loads};
use crate::fixture::{data, minilm, tiny};

fn example(question: &str, endings: &[&str], label: Option<usize>) -> ChoiceExample {
    ChoiceExample {
        question: question.to_owned(),
        endings: endings.iter().map(|ending| (*ending).to_owned()).collect(),
        label,
    }
}

fn reference() -> Vec<ChoiceExample> {
    let text = std::fs::read_to_string(data("task/multiple_choice.json")).expect("a file");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("rows.jsonl");
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    std::fs::write(&path, lines.join("\n")).expect("a file");
    ChoiceFile::open(&path).read().expect("questions")
}

fn of_transformers() -> BertMultipleChoice {
    BertMultipleChoice::load(data("task/multiple_choice")).expect("a model")
}

/// `[B, 1]` as transformers has them, `[N, 3]`.
fn by_question(logits: &Tensor) -> Vec<(&'static str, Tensor)> {
    vec![("logits", logits.view([-1, 3]))]
}

#[test]
fn a_batch_gives_the_numbers_of_transformers() {
    batch_equals(
        &of_transformers(),
        &reference(),
        "multiple_choice",
        by_question,
    );
}

#[test]
fn transformers_loads_a_saved_model() {
    let real = BertMultipleChoice::builder(minilm())
        .build()
        .expect("a model");
    for model in [of_transformers(), real] {
        transformers_loads(
            &model,
            &reference(),
            "AutoModelForMultipleChoice",
            by_question,
        );
    }
}

#[test]
fn the_right_ending_is_learnt() {
    let rows = vec![
        example("the film was", &["great", "food", "no ?"], Some(0)),
        example("the film was", &["?", "great"], Some(1)),
        example("very good", &["no ?", "?", "great", "food"], Some(3)),
        example("very good", &["food", "great", "?"], Some(0)),
    ];
    let mut model = BertMultipleChoice::builder(tiny())
        .build()
        .expect("a model");
    let config = TrainConfig {
        epochs: 40.0,
        learning_rate: 3e-3,
        ..TrainConfig::default()
    };
    let report = model.fit(&rows, &rows, &config).expect("a run");
    assert_eq!(report.best_metric, Some(1.0));
    let choices = model.predict(&rows).expect("choices");
    for (choice, row) in choices.iter().zip(&rows) {
        assert_eq!(Some(choice.label), row.label);
        assert_eq!(choice.scores.len(), row.endings.len());
        assert!((choice.scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    model.save(&saved).expect("a saved model");
    let again = BertMultipleChoice::load(&saved).expect("a model");
    assert_eq!(again.predict(&rows).expect("choices"), choices);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_batch_of_any_questions_scores_each_as_alone(
        questions in prop::collection::vec(
            ("(good |film ){0,9}", prop::collection::vec("[a-z ]{0,12}", 2..6)), 1..6,
        )
    ) {
        let rows: Vec<ChoiceExample> = questions
            .into_iter()
            .map(|(question, endings)| ChoiceExample { question, endings, label: Some(1) })
            .collect();
        let model = of_transformers();
        let together = model.predict(&rows).expect("choices");
        let mut loss = 0.0;
        for (row, choice) in rows.iter().zip(&together) {
            let alone = model.predict(std::slice::from_ref(row)).expect("a choice").remove(0);
            for (a, b) in alone.scores.iter().zip(&choice.scores) {
                prop_assert!((a - b).abs() < 1e-5);
            }
            loss -= f64::from(choice.scores[1]).ln();
        }
        let evaluation = model.evaluate(&rows).expect("an evaluation");
        prop_assert!((evaluation.loss - loss / rows.len() as f64).abs() < 1e-4);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = of_transformers();
    let good = || example("a", &["b", "c"], None);
    for (row, expected) in [
        (
            example("a", &["b"], None),
            "row 1: field `endings`: expected at least 2 endings, found 1",
        ),
        (
            example("a", &["b", "c"], Some(2)),
            "row 1: field `endings`: label 2 of 2 endings, the first is 0",
        ),
    ] {
        let error = model
            .predict(&[good(), row])
            .expect_err("an unusable question");
        assert_eq!(error.to_string(), expected);
    }
    assert!(
        model.evaluate(&vec![good()]).is_err(),
        "nothing is known to be right"
    );
}
