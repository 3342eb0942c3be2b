//! Files in SQuAD's form: what is read, and what is refused where.

use bertfit::{QaExample, SquadFile};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::OneFile;

/// A file with these questions on "Zoë likes good food.".
fn file(qas: Value) -> OneFile {
    let paragraph = json!({"context": "Zoë likes good food.", "qas": qas});
    let content = json!({"version": "v2.0", "data": [{"title": "t", "paragraphs": [paragraph]}]});
    OneFile::new("a.json", content.to_string())
}

fn read(qas: Value) -> Vec<QaExample> {
    SquadFile::open(&file(qas).path).read().expect("questions")
}

fn refused(qas: Value) -> String {
    let file = file(qas);
    let error = SquadFile::open(&file.path).read();
    file.message(&error.expect_err("an unusable file"))
}

#[test]
fn both_versions_are_read() {
    let answers =
        json!([{"text": "good food", "answer_start": 10}, {"text": "food", "answer_start": 15}]);
    let examples = read(json!([
        {"id": "1", "question": "What?", "answers": answers},
        {"id": "2", "question": "Who?", "answers": [], "is_impossible": true, "plausible_answers": []},
        {"id": "3", "question": "To be predicted?"},
    ]));
    let context = "Zoë likes good food.";
    let first = QaExample::new("1", "What?", context);
    assert_eq!(
        examples[0],
        first.with_answer("good food", 10).with_answer("food", 15)
    );
    assert_eq!(examples[1], QaExample::new("2", "Who?", context));
    assert_eq!(
        examples[2],
        QaExample::new("3", "To be predicted?", context)
    );
}

#[test]
fn each_question_that_cannot_be_used_is_named() {
    let question = |answers: Value| json!([{"id": "x", "question": "What?", "answers": answers}]);
    let place = "a.json: data[0].paragraphs[0].qas[0] (`x`): ";
    let cases = [
        (
            question(json!([{"text": "good food", "answer_start": 11}])),
            "the answer `good food` does not stand at character 11, but at 10",
        ),
        (
            question(json!([{"text": "good food", "answer_start": 900}])),
            "the answer `good food` does not stand at character 900, but at 10",
        ),
        (
            question(json!([{"text": "bad food", "answer_start": 0}])),
            "the answer `bad food` does not stand in the context",
        ),
        (
            question(json!([{"text": "", "answer_start": 0}])),
            "an answer is empty",
        ),
        (
            json!([{"id": "x", "question": " \n", "answers": []}]),
            "the question is empty",
        ),
        (
            json!([{"id": "x", "question": "What?", "is_impossible": true,
                "answers": [{"text": "Zoë", "answer_start": 0}]}]),
            "it is impossible, but has answers",
        ),
    ];
    for (qas, expected) in cases {
        assert_eq!(refused(qas), format!("{place}{expected}"));
    }
    let twice = json!([{"id": "x", "question": "What?"}, {"id": "x", "question": "Who?"}]);
    assert_eq!(
        refused(twice),
        "a.json: data[0].paragraphs[0].qas[1] (`x`): an earlier question has the same id"
    );
    assert_eq!(refused(json!([])), "a.json: there are no questions");
}

#[test]
fn what_is_not_of_the_form_is_refused_with_its_place() {
    for (content, expected) in [
        (
            "",
            "a.json is not valid: EOF while parsing a value at line 1 column 0",
        ),
        (
            "{\"data\": [\n{}]}",
            "a.json is not valid: missing field `paragraphs` at line 2 column 2",
        ),
        (
            "{}",
            "a.json is not valid: missing field `data` at line 1 column 2",
        ),
    ] {
        let file = OneFile::new("a.json", content);
        let error = SquadFile::open(&file.path)
            .read()
            .expect_err("no questions");
        assert_eq!(file.message(&error), expected);
    }
    let negative =
        json!([{"id": "x", "question": "?", "answers": [{"text": "a", "answer_start": -1}]}]);
    assert!(refused(negative).contains("invalid value: integer `-1`"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_give_questions_or_an_error(content: Vec<u8>) {
        let file = OneFile::new("a.json", content);
        let _ = SquadFile::open(&file.path).read();
    }
}

#[test]
fn a_wrong_answer_that_stands_everywhere_is_refused_at_once() {
    // Each place was once counted from the start: hours for this file of a megabyte.
    let context = "é".repeat(500_000);
    let answers = json!([{"text": "é", "answer_start": 1_000_000_000}]);
    let paragraph = json!({"context": context,
                           "qas": [{"id": "1", "question": "q", "answers": answers}]});
    let content = json!({"data": [{"paragraphs": [paragraph]}]});
    let file = OneFile::new("a.json", content.to_string());
    let error = SquadFile::open(&file.path)
        .read()
        .expect_err("a wrong place");
    assert!(
        error
            .to_string()
            .ends_with("the answer `é` does not stand at character 1000000000, but at 499999")
    );
}
