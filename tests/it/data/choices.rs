//! Files of questions with endings: what is read, and what is refused where.

use bertfit::{ChoiceExample, ChoiceFile};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::OneFile;

#[test]
fn json_lines_are_read() {
    let content = r#"{"question": "a", "endings": ["b", "c"], "label": 1}
{"sent1": "d", "choices": ["e", "", "g"], "label": "0"}

{"context": "h", "endings": ["i", "j"], "label": 1, "id": 7}
"#;
    let file = OneFile::new("a.jsonl", content);
    let read = ChoiceFile::open(&file.path).read().expect("questions");
    let example = |question: &str, endings: &[&str], label| ChoiceExample {
        question: question.to_owned(),
        endings: endings.iter().map(|ending| (*ending).to_owned()).collect(),
        label,
    };
    let expected = [
        example("a", &["b", "c"], Some(1)),
        example("d", &["e", "", "g"], Some(0)),
        example("h", &["i", "j"], Some(1)),
    ];
    assert_eq!(read, expected);
    let questions = ChoiceFile::open(&file.path).read_questions();
    let unlabelled = expected.map(|example| ChoiceExample {
        label: None,
        ..example
    });
    assert_eq!(questions.expect("questions"), unlabelled);
    let file = OneFile::new("a.jsonl", r#"{"q": "a", "e": ["b", "c"], "l": 1}"#);
    let read = ChoiceFile::open(&file.path)
        .question("q")
        .endings("e")
        .label("l")
        .read();
    assert_eq!(
        read.expect("questions"),
        [example("a", &["b", "c"], Some(1))]
    );
}

#[test]
fn a_file_to_predict_needs_no_labels() {
    for (content, labelled) in [
        (
            r#"{"question": "a", "endings": ["b", "c"], "label": 0}"#,
            true,
        ),
        (r#"{"question": "a", "endings": ["b", "c"]}"#, false),
        ("", false),
    ] {
        let file = OneFile::new("a.jsonl", content);
        let file = ChoiceFile::open(&file.path);
        assert_eq!(file.has_label().expect("a file"), labelled, "{content}");
        assert_eq!(file.read().is_ok(), labelled, "{content}");
        assert_eq!(file.read_questions().is_ok(), !content.is_empty());
    }
}

#[test]
fn each_line_that_cannot_be_used_is_named() {
    for (content, expected) in [
        ("", "a.jsonl: there are no questions"),
        (
            r#"{"endings": ["b", "c"]}"#,
            "a.jsonl:1: field `question`: absent, the object has `endings`",
        ),
        (
            r#"{"question": "a"}"#,
            "a.jsonl:1: field `endings`: absent, the object has `question`",
        ),
        (
            r#"{"question": 1, "endings": ["b", "c"]}"#,
            "a.jsonl:1: field `question`: expected a string, found a number",
        ),
        (
            "\n{\"question\": \"a\", \"endings\": [\"b\", 1]}",
            "a.jsonl:2: field `endings`: expected a list of strings, found a number in it",
        ),
        (
            r#"{"question": "a", "endings": "b"}"#,
            "a.jsonl:1: field `endings`: expected a list of strings, found a string",
        ),
        (
            "{\"question\": \"a\", \"endings\": [\"b\", \"c\"], \"label\": 0}\n\
             {\"question\": \"a\", \"endings\": [\"b\", \"c\"]}",
            "a.jsonl:2: field `label`: absent, the object has `question`, `endings`",
        ),
        (
            r#"{"question": "a", "endings": ["b"], "label": 0}"#,
            "a.jsonl:1: field `endings`: expected at least 2 endings, found 1",
        ),
        (
            r#"{"question": "a", "endings": ["b", "c"], "label": 2}"#,
            "a.jsonl:1: field `endings`: label 2 of 2 endings, the first is 0",
        ),
        (
            r#"{"question": "a", "endings": ["b", "c"], "label": "x"}"#,
            "a.jsonl:1: field `label`: expected an index, found \"x\"",
        ),
    ] {
        let file = OneFile::new("a.jsonl", content);
        let error = ChoiceFile::open(&file.path)
            .read()
            .expect_err("an unusable file");
        assert_eq!(file.message(&error), expected, "{content}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_give_questions_or_an_error(content: Vec<u8>) {
        let file = OneFile::new("a.jsonl", content);
        let _ = ChoiceFile::open(&file.path).read();
    }
}

/// Pairs as the usual scripts make them; see `tests/data/choices/make_pairs.py`.
#[test]
fn published_forms_are_paired_as_their_scripts_do() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/choices/pairs.json");
    let cases = std::fs::read_to_string(path).expect("the reference");
    let cases: Vec<Value> = serde_json::from_str(&cases).expect("JSON");
    for case in cases {
        let file = OneFile::new("a.jsonl", case["row"].to_string());
        let read = ChoiceFile::open(&file.path).read();
        let name = &case["name"];
        let rows = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        let pairs: Vec<_> = rows[0]
            .endings
            .iter()
            .map(|ending| json!([rows[0].question, ending]))
            .collect();
        assert_eq!(Value::from(pairs), case["pairs"], "{name}");
        assert_eq!(json!(rows[0].label), case["label"], "{name}");
    }
}

#[test]
fn a_text_that_would_not_be_read_is_refused() {
    let row = |key: &str| {
        json!({
            key: "Tom left the house in the evening.", "question": "Who left?",
            "endings": ["Tom", "Ann"], "label": 0, "id": "a-1", "url": "https://a.example/b",
        })
    };
    let read = |key: &str, of: fn(ChoiceFile) -> ChoiceFile| {
        let file = OneFile::new("a.jsonl", row(key).to_string());
        let rows = of(ChoiceFile::open(&file.path)).read();
        rows.map(|mut rows| rows.remove(0))
            .map_err(|error| file.message(&error))
    };
    for key in ["context", "article", "passage", "premise", "text"] {
        let row = read(key, |file| file).expect("a question");
        assert_eq!(row.question, "Tom left the house in the evening.", "{key}");
        assert_eq!(row.endings, ["Who left? Tom", "Who left? Ann"], "{key}");
    }
    for key in ["story", "my notes", "第"] {
        let problem = read(key, |file| file).expect_err("a text that is not read");
        assert_eq!(
            problem,
            format!(
                "a.jsonl:1: field `{key}`: it looks like a text that the question is about, but \
                 would not be read: name it as the `context` (--context-column), or say that there \
                 is none (--context-column none)"
            )
        );
    }
    let row = read("story", |file| file.context(Some("story"))).expect("a question");
    assert_eq!(row.endings, ["Who left? Tom", "Who left? Ann"]);
    for key in ["story", "context"] {
        let row = read(key, |file| file.context(None)).expect("a question");
        assert_eq!(
            (&row.question[..], &row.endings[0][..]),
            ("Who left?", "Tom")
        );
    }
    // What says why the answer is right must not be read.
    let row = read("explanation", |file| file).expect("a question");
    assert_eq!(row.question, "Who left?");
}

#[test]
fn an_object_may_have_several_questions_about_its_text() {
    let row = |answers: Value| {
        json!({
            "article": "Tom left. Ann came.", "questions": ["Who left?", "It was _ who came."],
            "options": [["Tom", "Ann"], ["Tom", "Ann"]], "answers": answers, "id": "high1.txt",
        })
    };
    let read = |answers: Value| {
        let file = OneFile::new("a.jsonl", row(answers).to_string());
        let rows = ChoiceFile::open(&file.path);
        assert!(rows.has_label().expect("a file") || rows.read().is_err());
        rows.read().map_err(|error| file.message(&error))
    };
    let rows = read(json!(["A", "B"])).expect("questions");
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (&row.question[..], &row.endings[1][..], row.label))
        .collect();
    let text = "Tom left. Ann came.";
    let expected = [
        (text, "Who left? Ann", Some(0)),
        (text, "It was Ann who came.", Some(1)),
    ];
    assert_eq!(rows, expected);
    for (answers, problem) in [
        (
            json!(["A"]),
            "field `questions`: expected as many as there are `options` and `answers`",
        ),
        (
            json!(["A", "E"]),
            "field `answer`: expected an index, found \"E\"",
        ),
    ] {
        let found = read(answers).expect_err("a problem");
        assert_eq!(found, format!("a.jsonl:1: {problem}"));
    }
}

/// MedQA has its endings so.
#[test]
fn endings_may_be_letters_with_texts() {
    let row = json!({
        "question": "Who left?", "options": {"B": "Ann", "A": "Tom"}, "answer": "Ann",
        "answer_idx": "B",
    });
    let file = OneFile::new("a.jsonl", row.to_string());
    let rows = ChoiceFile::open(&file.path).read().expect("a question");
    let label = rows[0].label.expect("a label");
    assert_eq!(rows[0].endings[label], "Ann");
}

#[test]
fn a_table_is_refused_and_a_label_that_is_no_ending_is_a_placeholder() {
    let file = OneFile::new("a.csv", "question,ending0,ending1,label\na,b,c,0\n");
    let error = ChoiceFile::open(&file.path).read().expect_err("a table");
    assert_eq!(
        file.message(&error),
        "a.csv: tables have no lists of endings: write it as JSON lines, a list of objects, or \
         Parquet"
    );
    let row = json!({"question": "a", "endings": ["b", "c"], "label": 2});
    let file = OneFile::new("a.jsonl", row.to_string());
    let read = ChoiceFile::open(&file.path).read_if_labelled();
    let (rows, labelled) = read.expect("a question");
    assert_eq!((rows[0].label, labelled), (None, false));
}
