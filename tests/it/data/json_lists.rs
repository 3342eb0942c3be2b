//! JSON that is one list of rows, or an object with such a list, instead of JSON lines.

use bertfit::{ChoiceFile, Dataset, Example, TaggedFile};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{OneFile, read, refused, rows};

fn objects() -> Vec<Value> {
    vec![
        json!({"text": "a, \"b\" [c] {d}\n\\", "label": 1, "other": [[], {}, {"data": [{}]}]}),
        json!({"label": 0, "text": "é \u{2028}😀"}),
        json!({"text": "", "label": 1.0}),
    ]
}

fn expected() -> Vec<Example> {
    vec![
        Example::new("a, \"b\" [c] {d}\n\\", "1"),
        Example::new("é \u{2028}😀", "0"),
        Example::new("", "1"),
    ]
}

#[test]
fn a_list_is_read_as_its_objects_would_be_on_lines_of_their_own() {
    let rows = Value::from(objects());
    let nested = json!({"version": "1", "data": rows, "more": {"data": [1]}});
    let lines: String = objects().iter().map(|row| format!("{row}\n")).collect();
    let spread: String = objects().iter().map(|row| format!("{row:#}\n")).collect();
    for content in [
        rows.to_string(),
        format!("{rows:#}"),
        format!("\u{feff}\n \r\n{rows:#}\r\n\n"),
        lines.trim_end().replace('\n', ",\n").replacen('{', "[{", 1) + "]",
        nested.to_string(),
        format!("{nested:#}"),
        lines,
        spread,
    ] {
        for name in ["a.json", "a.jsonl"] {
            assert_eq!(read(name, &content), expected(), "{content}");
        }
    }
}

/// `data` of a row is no list of rows.
#[test]
fn rows_may_have_a_field_that_is_called_data() {
    let row = |data: Value| json!({"text": "a", "label": 1, "data": data});
    for data in [json!([{"text": "b", "label": 2}]), json!([1]), json!("x")] {
        let lines = format!("{}\n{}\n", row(data.clone()), row(data));
        assert_eq!(read("a.jsonl", lines).len(), 2);
    }
}

#[test]
fn a_list_longer_than_every_buffer_is_read() {
    let long = "long ]}, \\\" text ".repeat(20_000);
    let rows = json!([{"text": long, "label": "x"}, {"text": "b", "label": "y"}]);
    let nested = json!({"data": rows});
    for content in [rows.to_string(), format!("{rows:#}"), nested.to_string()] {
        let rows = read("a.json", content);
        assert_eq!(rows, [Example::new(&long[..], "x"), Example::new("b", "y")]);
    }
}

#[test]
fn an_object_that_cannot_be_used_is_named_by_its_line() {
    let rows = json!([{"text": "a", "label": 1}, {"text": "b"}]);
    for (content, line) in [(rows.to_string(), 2), (format!("{rows:#}"), 6)] {
        assert_eq!(
            refused("a.json", content, |table| table),
            format!("a.json:{line}: field `label`: absent, the object has `text`")
        );
    }
    let problem = |content| refused("a.json", content, |table| table);
    assert_eq!(
        problem("[\n{\"text\": \"a\", \"label\": 1},\n3]"),
        "a.json:3: expected a JSON object, found a number"
    );
    assert_eq!(
        problem("[\n{\"text\": \"a\", \"label\" 1}]"),
        "a.json:2: not valid JSON: expected `:` (column 23)"
    );
}

#[test]
fn a_list_that_is_no_json_is_an_error_that_says_where() {
    let problem = |content: &str| refused("a.json", content, |table| table);
    let row = r#"{"text": "a", "label": 1}"#;
    for (content, expected) in [
        (
            format!("[{row}\n{row}]"),
            "line 2: expected `,` or `]` after an object of the list, found `{`",
        ),
        (format!("[{row},]"), "line 1: expected a value, found `]`"),
        (
            format!("[\n{row}"),
            "line 2: expected `,` or `]` after an object of the list, found the end of the file",
        ),
        (
            "[\n{\"text\": ".to_owned(),
            "line 2: expected the end of an object or a list, found the end of the file",
        ),
        (
            format!("[{row}]\n{row}"),
            "line 2: expected the end of the file after the list, found `{`",
        ),
        (
            format!("{{\n\"data\": [{row}]"),
            "line 2: expected `,` or `}` after the list, found the end of the file",
        ),
    ] {
        assert_eq!(
            problem(&content),
            format!("cannot read a.json: not valid JSON: {expected}"),
            "{content}"
        );
    }
    assert_eq!(problem("[]"), "a.json: the file is empty");
}

#[test]
fn tagged_words_and_choices_are_read_from_lists_too() {
    let tagged = json!([{"tokens": ["a", "b"], "ner_tags": ["O", "B-X"]}]);
    let file = OneFile::new("a.json", format!("{tagged:#}"));
    let sentences = TaggedFile::open(&file.path).read().expect("sentences");
    assert_eq!(sentences[0].tags, ["O", "B-X"]);
    let choices = json!({"data": [{"question": "a", "endings": ["b", "c"], "label": 1}]});
    let file = OneFile::new("a.json.gz", {
        use std::io::Write as _;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        write!(packed, "{choices:#}").expect("memory");
        packed.finish().expect("memory")
    });
    let questions = ChoiceFile::open(&file.path).read().expect("questions");
    assert_eq!(questions[0].label, Some(1));
}

#[test]
fn the_rows_of_a_list_stay_when_its_file_goes() {
    let file = OneFile::new("a.json", Value::from(objects()).to_string());
    let indexed = file.table().index().expect("rows");
    std::fs::write(&file.path, "[]").expect("the folder can be written");
    assert_eq!(indexed.get(1).expect("a row"), expected()[1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Both ways of reading agree on it (`rows` compares them), and neither panics.
    #[test]
    fn anything_like_a_list_gives_rows_or_an_error(
        start in prop::sample::select(vec!["[", "{\"data\":[", "{\n", "[\n{", "{\"text\":\"a\",\n"]),
        rest in "[\\[\\]{},:\"\\\\a1\n ]{0,40}",
    ) {
        let file = OneFile::new("a.json", format!("{start}{rest}"));
        let _ = rows(&file, &file.table());
    }
}
