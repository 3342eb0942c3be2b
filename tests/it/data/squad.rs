//! Files in SQuAD's form: what is read, and what is refused where.

use bertfit::{QaExample, SkippedRows, SquadFile};
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
    ]));
    let context = "Zoë likes good food.";
    let first = QaExample::new("1", "What?", context);
    assert_eq!(
        examples[0],
        first.with_answer("good food", 10).with_answer("food", 15)
    );
    assert_eq!(examples[1], QaExample::new("2", "Who?", context));
    let examples = read(json!([{"id": "3", "question": "To be predicted?"}]));
    let expected = QaExample::new("3", "To be predicted?", context);
    assert_eq!(examples, [expected]);
}

/// A key that is misspelt must not make its question one without an answer.
#[test]
fn a_question_without_the_key_of_answers_beside_others_is_refused() {
    let food = json!([{"text": "food", "answer_start": 15}]);
    let all = json!([
        {"id": "1", "question": "What?", "answers": food},
        {"id": "2", "question": "Who?", "answer": food},
        {"id": "3", "question": "Why?", "is_impossible": true},
    ]);
    let problem = "data[0].paragraphs[0].qas[1] (`2`): missing field `answers`, which other \
                   questions have; where there is no answer it is an empty list";
    let help = "(--on-bad-row skip leaves such questions out)";
    assert_eq!(refused(all.clone()), format!("a.json: {problem} {help}"));
    let file = file(all);
    let open = || SquadFile::open(&file.path);
    assert!(open().read_to_evaluate().is_err());
    assert_eq!(open().read_questions().expect("questions").len(), 3);
    let skipped = SkippedRows::new();
    let read = open().skip_bad_rows(&skipped).read().expect("questions");
    let ids: Vec<&str> = read.iter().map(|row| &row.id[..]).collect();
    assert_eq!(ids, ["1", "3"]);
    assert_eq!(skipped.rows()[0].problem, problem);
}

#[test]
fn each_question_that_cannot_be_used_is_named() {
    let question = |answers: Value| json!([{"id": "x", "question": "What?", "answers": answers}]);
    let place = "a.json: data[0].paragraphs[0].qas[0] (`x`): ";
    let help = " (--on-bad-row skip leaves such questions out)";
    let answer = |text: &str, start: i64| question(json!([{"text": text, "answer_start": start}]));
    let cases = [
        (
            answer("good food", 11),
            "the answer `good food` does not stand at character 11, but at 10",
            help,
        ),
        (
            answer("good food", 900),
            "the answer `good food` does not stand at character 900, but at 10",
            help,
        ),
        (
            answer("good food", -1),
            "the answer `good food` does not stand at character -1, but at 10",
            help,
        ),
        (
            answer("bad\nfood", 0),
            "the answer `bad\\nfood` does not stand in the context",
            help,
        ),
        (
            question(json!([{"text": "food"}])),
            "the answer `food` has no `answer_start`",
            help,
        ),
        (
            json!([{"id": "x", "question": " \n", "answers": []}]),
            "the question is empty",
            help,
        ),
    ];
    for (qas, expected, help) in cases {
        assert_eq!(refused(qas), format!("{place}{expected}{help}"));
    }
    let twice = json!([{"id": "x", "question": "What?"}, {"id": "x", "question": "Who?"}]);
    assert_eq!(
        refused(twice),
        format!(
            "a.json: data[0].paragraphs[0].qas[1] (`x`): an earlier question has the same id{help}"
        )
    );
    assert_eq!(refused(json!([])), "a.json: there are no questions");
}

/// The questions of the flat form, as `datasets` has SQuAD.
fn rows() -> Vec<Value> {
    let context = "Zoë likes good food.";
    vec![
        json!({"id": "1", "title": "t", "context": context, "question": "What?",
               "answers": {"text": ["good food", "food"], "answer_start": [10, 15]}}),
        json!({"id": 2, "context": context, "question": "Who?",
               "answers": {"text": [], "answer_start": []}}),
        json!({"id": 3, "context": context, "question": "Where?", "answers": null}),
    ]
}

#[test]
fn rows_are_read_however_they_stand_in_the_file() {
    let rows = rows();
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    let context = "Zoë likes good food.";
    let first = QaExample::new("1", "What?", context);
    let expected = [
        first.with_answer("good food", 10).with_answer("food", 15),
        QaExample::new("2", "Who?", context),
        QaExample::new("3", "Where?", context),
    ];
    for (name, content) in [
        ("a.json", json!({"version": "1", "data": rows}).to_string()),
        ("a.json", json!(rows).to_string()),
        ("a.json", serde_json::to_string_pretty(&rows).expect("JSON")),
        ("a.jsonl", lines.join("\n")),
        ("a.jsonl", format!("\u{feff}\n{}\n\n", lines.join("\r\n"))),
        // Objects one after another, on any lines.
        ("a.json", lines.join(" ")),
    ] {
        let file = OneFile::new(name, &content);
        let read = SquadFile::open(&file.path).read();
        assert_eq!(read.expect("questions"), expected, "{content}");
    }
    // Articles and rows may stand side by side, and answers be objects in rows.
    let article = json!({"paragraphs": [{"context": context, "qas": [
        {"id": 1, "question": "What?", "answers": [{"text": "food", "answer_start": 15.0}]}]}]});
    let row = json!({"id": 2, "context": context, "question": "Who?",
                     "answers": [{"text": "Zoë", "answer_start": 0}]});
    let file = OneFile::new("a.json", json!([article, row]).to_string());
    let read = SquadFile::open(&file.path).read().expect("questions");
    assert_eq!(
        read,
        [
            QaExample::new("1", "What?", context).with_answer("food", 15),
            QaExample::new("2", "Who?", context).with_answer("Zoë", 0),
        ]
    );
}

#[test]
fn whole_numbers_are_ids() {
    let big = "18446744073709551615";
    let content = format!(
        r#"{{"data": [{{"paragraphs": [{{"context": "a", "qas": [
            {{"id": 7, "question": "b"}}, {{"id": -3, "question": "b"}},
            {{"id": {big}, "question": "b"}}]}}]}}]}}"#
    );
    let file = OneFile::new("a.json", content);
    let read = SquadFile::open(&file.path).read().expect("questions");
    let ids: Vec<&str> = read.iter().map(|question| question.id.as_str()).collect();
    assert_eq!(ids, ["7", "-3", big]);
    // The same id, written in two ways.
    let twice = json!([{"id": 1, "question": "a"}, {"id": "1", "question": "b"}]);
    assert!(refused(twice).contains("(`1`): an earlier question has the same id"));
}

#[test]
fn no_answer_is_written_in_many_ways() {
    let food = json!([{"text": "food", "answer_start": 15}]);
    for (answers, impossible) in [
        (json!([]), json!(null)),
        (json!(null), json!(true)),
        (json!([{"text": "", "answer_start": 0}]), json!(true)),
        (json!([{"text": "", "answer_start": -1}]), json!(true)),
        (json!([{"text": "", "answer_start": -1}]), json!(false)),
        (json!([{"text": "", "answer_start": null}]), json!(null)),
        (json!([{"text": null, "answer_start": -1}]), json!(null)),
        (
            json!([{"text": ""}, {"text": " ", "answer_start": 3}]),
            json!(null),
        ),
        (json!({"text": [""], "answer_start": [-1]}), json!(null)),
        (json!({"text": [], "answer_start": []}), json!(true)),
        (json!({"text": null, "answer_start": null}), json!(null)),
        // transformers' SquadV2Processor does not look at answers of such a question.
        (food.clone(), json!(true)),
        (
            json!([{"text": "nowhere", "answer_start": -1}]),
            json!(true),
        ),
    ] {
        let read = read(json!([{"id": "x", "question": "What?", "answers": answers,
                                "is_impossible": impossible}]));
        assert_eq!(read[0].answers, [], "{answers}");
    }
    let mut some = food.as_array().expect("a list").clone();
    some.push(json!({"text": "", "answer_start": 0}));
    let read = read(json!([{"id": "x", "question": "What?", "answers": some}]));
    assert_eq!(read[0].answers.len(), 1);
}

#[test]
fn to_evaluate_the_texts_of_answers_are_enough() {
    let of = |answer: Value| json!({"id": "x", "question": "What?", "answers": [answer]});
    for (answer, start) in [
        (json!({"text": "good food", "answer_start": 11}), Some(10)),
        (json!({"text": "good food", "answer_start": -1}), Some(10)),
        (json!({"text": "food"}), Some(15)),
        (json!({"text": "Good Food", "answer_start": 10}), None),
    ] {
        let file = file(json!([of(answer.clone())]));
        let file = SquadFile::open(&file.path);
        assert!(file.read().is_err(), "{answer}");
        let read = file.read_to_evaluate().expect("questions");
        assert_eq!(read[0].answers[0].text, answer["text"]);
        assert_eq!(read[0].answers[0].start, start, "{answer}");
        let read = file.read_questions().expect("questions");
        assert_eq!(read[0].answers, []);
    }
}

#[test]
fn questions_that_cannot_be_used_are_left_out_and_listed() {
    let at = |id: &str, start: i64| json!({"id": id, "question": "What?", "answers": [{"text": "food", "answer_start": start}]});
    let file = file(json!([at("a", 15), at("b", 14), at("a", 15), at("c", 15)]));
    let skipped = SkippedRows::new();
    let reader = SquadFile::open(&file.path).skip_bad_rows(&skipped);
    let ids = |read: Vec<QaExample>| read.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(reader.read().expect("questions")), ["a", "c"]);
    let problems: Vec<String> = skipped.rows().into_iter().map(|row| row.problem).collect();
    assert_eq!(
        problems,
        [
            "data[0].paragraphs[0].qas[1] (`b`): the answer `food` does not stand at character \
             14, but at 15",
            "data[0].paragraphs[0].qas[2] (`a`): an earlier question has the same id",
        ]
    );
    let rows = [
        json!({"id": 1, "context": "a", "question": ""}),
        rows().remove(0),
    ];
    let lines = OneFile::new("a.jsonl", format!("{}\n{}\n", rows[0], rows[1]));
    let skipped = SkippedRows::new();
    let reader = SquadFile::open(&lines.path).skip_bad_rows(&skipped);
    assert_eq!(ids(reader.read().expect("questions")), ["1"]);
    assert_eq!(skipped.rows()[0].line, Some(1));
    // Where none is left there is nothing to go on with.
    let none = OneFile::new("a.jsonl", rows[0].to_string());
    let error = SquadFile::open(&none.path).skip_bad_rows(&skipped).read();
    assert_eq!(
        none.message(&error.expect_err("no questions")),
        "a.jsonl: no question can be used, the first is line 1 (`1`): the question is empty"
    );
}

#[test]
fn what_is_no_question_is_left_out_and_listed() {
    let context = "Zoë likes good food.";
    let rows = [
        rows().remove(0),
        json!({"context": context, "question": "What?", "answers": []}),
        json!({"id": 3, "context": context, "question": "Who?", "answers": 4}),
        json!([1]),
    ];
    for rows in [json!(rows), json!({ "data": rows })] {
        let list = OneFile::new("a.json", rows.to_string());
        let skipped = SkippedRows::new();
        let reader = SquadFile::open(&list.path).skip_bad_rows(&skipped);
        assert_eq!(reader.read().expect("questions").len(), 1);
        assert_eq!(skipped.rows().len(), 3);
    }
}

#[test]
fn what_is_not_of_the_form_is_refused_with_its_place() {
    let forms = "expected `paragraphs`, as in SQuAD's own form, or a row with `id`, `context`, \
                 `question` and `answers`";
    let help = " (--on-bad-row skip leaves such questions out)";
    for (content, expected) in [
        ("", "a.json: there are no questions".to_owned()),
        (
            "{\"data\": [\n{}]}",
            format!("a.json: data[0]: {forms}{help}"),
        ),
        ("{}", format!("a.json: line 1: {forms}{help}")),
        (
            "{\"data\": [{\"context\": \"a\",\n\"question\": \"b\"}]}",
            format!("a.json: data[0]: missing field `id`{help}"),
        ),
        (
            "{\"data\": [{\"paragraphs\": [{\"context\": \"a\", \"qas\": [{\"id\": 1}]}]}]}",
            format!("a.json: data[0].paragraphs[0].qas[0]: missing field `question`{help}"),
        ),
        (
            "{\"id\": 1, \"context\": \"a\", \"question\": \"b\",\n\
             \"answers\": {\"text\": [\"c\"], \"answer_start\": []}}",
            format!("a.json: line 1: `answers` has 1 in `text`, but 0 in `answer_start`{help}"),
        ),
        (
            "{\"id\": 1.5, \"context\": \"a\", \"question\": \"b\"}",
            format!(
                "a.json: line 1: invalid type: floating point `1.5`, expected an id: a string or \
                 a whole number{help}"
            ),
        ),
        (
            "[1]",
            format!(
                "a.json: [0]: invalid type: integer `1`, expected an object with questions{help}"
            ),
        ),
    ] {
        let file = OneFile::new("a.json", content);
        let error = SquadFile::open(&file.path)
            .read()
            .expect_err("no questions");
        assert_eq!(file.message(&error), expected);
    }
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
            .contains("the answer `é` does not stand at character 1000000000, but at 499999")
    );
}
