//! Parquet files that pyarrow has written (`tests/data/parquet/make_parquet.py`), against
//! the same rows as JSON lines.

use std::path::PathBuf;

use bertfit::{ChoiceFile, Error, QaExample, SquadFile, Table, TaggedFile};

use super::{OneFile, refused, rows};
use crate::fixture::data;

const NAMES: [&str; 5] = [
    "rows.parquet",
    "rows-zstd.parquet",
    "rows-gzip.parquet",
    "rows-lz4.parquet",
    "rows-plain.parquet",
];

fn fixture(name: &str) -> PathBuf {
    data("parquet").join(name)
}

fn content(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).expect("a file")
}

#[test]
fn rows_are_those_of_the_same_table_in_json_lines() {
    let json = Table::open(fixture("rows.jsonl"));
    for name in NAMES {
        let file = OneFile::new(name, content(name));
        for label in ["label", "score", "single", "flag"] {
            let of = |table: Table| table.pair("pair").label(label);
            let expected = of(json.clone()).read().expect("rows");
            assert_eq!(rows(&file, &of(file.table())).as_ref(), Ok(&expected));
            assert_eq!(
                of(file.table()).problem_type().expect("a type"),
                of(json.clone()).problem_type().expect("a type")
            );
        }
        let tags = |table: Table| table.label("tags").read_lists().expect("lists");
        assert_eq!(tags(file.table()), tags(json.clone()));
        let numbers = |table: Table| table.label("numbers").read_numbers().expect("numbers");
        assert_eq!(numbers(file.table()), numbers(json.clone()));
        assert_eq!(file.table().has(&"pair".into()).ok(), Some(true));
        assert_eq!(file.table().has(&"pears".into()).ok(), Some(false));
    }
    let labels = Table::open(fixture("rows.parquet")).index();
    assert_eq!(labels.expect("rows").labels().names(), ["0", "1", "2"]);
}

#[test]
fn words_with_tags_and_endings_are_read_too() {
    for name in NAMES {
        let tagged = |name: &str| {
            TaggedFile::open(fixture(name))
                .tags("ner_tags")
                .read()
                .expect("words")
        };
        assert_eq!(tagged(name), tagged("rows.jsonl"));
        let choices = |name: &str| {
            let file = ChoiceFile::open(fixture(name)).question("text");
            file.read().expect("questions")
        };
        assert_eq!(choices(name), choices("rows.jsonl"));
    }
}

#[test]
fn other_kinds_of_columns_are_read_or_refused_by_name() {
    let file = OneFile::new("odd.parquet", content("odd.parquet"));
    let read = |label: &str| rows(&file, &file.table().label(label));
    let labels = |label| {
        let rows = read(label).expect("rows").into_iter();
        rows.map(|row| row.label).collect::<Vec<_>>()
    };
    assert_eq!(labels("label"), ["1", "2", "3"]);
    assert_eq!(labels("day"), ["1970-01-01", "1970-01-02", "2024-10-04"]);
    let of = |error: Error| file.message(&error);
    let error = read("picture").map(|_| ()).expect_err("bytes");
    let expected = "odd.parquet:1: field `picture`: expected a string, a number or a \
                    boolean, found an object";
    assert_eq!(error, expected);
    let error = file.table().text("empty").read_texts().map_err(of);
    let expected = "odd.parquet:2: field `empty`: expected a string, found null";
    assert_eq!(error.expect_err("a null"), expected);
    let error = file.table().text("words").read_texts().map_err(of);
    let error = error.expect_err("no such column");
    assert!(
        error.starts_with("odd.parquet:1: field `words`: absent"),
        "{error}"
    );
    assert_eq!(
        read("price").expect_err("a null").split(": ").next(),
        Some("odd.parquet:1")
    );
}

#[test]
fn files_that_are_none_or_say_one_thing_twice_are_refused() {
    let same = |table: Table| table;
    let message = refused("twice.parquet", content("twice.parquet"), same);
    assert_eq!(
        message,
        "cannot read twice.parquet: more than one column is called `text`"
    );
    let message = refused("none.parquet", content("none.parquet"), same);
    assert_eq!(message, "none.parquet: the file is empty");
    let message = refused("a.parquet", "text,label\na,1\n", same);
    assert!(message.starts_with("cannot read a.parquet: "), "{message}");
    let gzip = super::compressed::gzip("PAR1");
    let message = refused("a.parquet.gz", gzip, same);
    let rule = "`format` must be of a Parquet file that is not compressed as a whole, got ";
    assert!(message.starts_with(rule), "{message}");
}

#[test]
fn few_bytes_that_become_very_many_are_refused_unless_they_may() {
    // One text of 72 MiB in a page; six million numbers in one row.
    for name in ["long.parquet", "many.parquet"] {
        let file = OneFile::new(name, content(name));
        let texts = |table: Table| table.read_texts().map(|rows| rows[0].text.len());
        let message = file.message(&texts(file.table()).expect_err("a bomb"));
        let start = format!(
            "cannot read {name}: {} bytes of Parquet data became more than 64 MiB",
            content(name).len()
        );
        assert!(message.starts_with(&start), "{message}");
        let length = texts(file.table().unpack_everything()).expect("a row");
        let expected = if name == "long.parquet" { 72 << 20 } else { 1 };
        assert_eq!(length, expected);
    }
}

#[test]
fn a_page_that_asks_for_very_much_is_refused_before_it_is_unpacked() {
    let mut content = content("long.parquet");
    let middle = content.len() / 2;
    content[middle..middle + 64].fill(0xff); // in the packed text
    let message = refused("a.parquet", content, |table| table);
    assert!(message.contains("became more than 64 MiB"), "{message}");
}

#[test]
fn a_date_that_no_calendar_has_is_an_error_of_its_row() {
    let message = refused("far.parquet", content("far.parquet"), |table| table);
    assert!(message.contains("far.parquet"), "{message}");
    assert!(message.contains("panicked"), "{message}");
}

/// Each byte changed, and the file cut at each place: rows or an error that names the file.
#[test]
fn a_damaged_file_is_read_or_refused() {
    let whole = content("rows-zstd.parquet");
    let (mut read, mut refused) = (0, 0);
    let mut check = |content: &[u8]| {
        let file = OneFile::new("a.parquet", content);
        match rows(&file, &file.table()) {
            Ok(_) => read += 1,
            Err(message) => {
                assert!(message.contains("a.parquet"), "{message}");
                refused += 1;
            }
        }
    };
    for place in 0..whole.len() {
        let mut content = whole.clone();
        content[place] ^= 1 << (place % 8);
        check(&content);
    }
    for end in (0..whole.len()).step_by(7) {
        check(&whole[..end]);
    }
    assert!(
        read > 0 && refused > whole.len() / 7,
        "{read} read, {refused} refused"
    );
}

#[test]
fn tags_have_the_names_that_datasets_has_given_them() {
    // `tests/data/parquet/make_datasets.py`
    let names = ["O", "B-PER", "I-PER", "B-ORG"];
    for name in ["tagged.parquet", "tagged-older.parquet"] {
        let file = TaggedFile::open(fixture(name));
        let labels = file.class_names().expect("a file").expect("names");
        assert_eq!(labels.names(), names);
        let tags: Vec<_> = file
            .read()
            .expect("words")
            .into_iter()
            .map(|row| row.tags)
            .collect();
        assert_eq!(tags, [vec!["B-ORG", "O"], vec!["B-PER", "I-PER", "O"]]);
        assert!(file.has_usable_tags().expect("a file"));
        // Another column has no names.
        let file = file.tags("pos_tags");
        assert_eq!(file.class_names().expect("a file"), None);
        assert_eq!(file.read().expect("words")[0].tags, ["0", "1"]);
    }
    let plain = TaggedFile::open(fixture("tagged-plain.parquet"));
    assert_eq!(plain.class_names().expect("a file"), None);
    assert_eq!(plain.read().expect("words")[0].tags, ["3", "0"]);
    assert_eq!(
        TaggedFile::open("a.conll").class_names().expect("no file"),
        None
    );
}

#[test]
fn questions_are_read_as_datasets_has_them() {
    let context = "Zoë likes good food.";
    let read = SquadFile::open(fixture("squad.parquet")).read();
    assert_eq!(
        read.expect("questions"),
        [
            QaExample::new("a", "What?", context)
                .with_answer("good food", 10)
                .with_answer("food", 15),
            QaExample::new("b", "Who else?", context),
        ]
    );
}

/// As `datasets` has exported it (`tests/data/parquet/make_class_names.py`).
#[test]
fn ids_of_classes_are_read_as_their_names() {
    let expected: serde_json::Value =
        serde_json::from_slice(&content("class_names.json")).expect("JSON");
    let name = "class_names.parquet";
    let file = OneFile::new(name, content(name));
    let labels = file.table().class_names().expect("a file").expect("names");
    assert_eq!(serde_json::json!(labels.names()), expected["label"]);
    let labels_of = |column: &str| -> Vec<&serde_json::Value> {
        let rows = expected["rows"].as_array().expect("rows").iter();
        rows.map(|row| &row[column]).collect()
    };
    let texts = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let found = rows(&file, &file.table()).expect("rows");
    let found: Vec<String> = found.into_iter().map(|row| row.label).collect();
    let names: Vec<String> = labels_of("label").into_iter().map(texts).collect();
    assert_eq!(found, names);
    let topics = file.table().label("topics").read_lists().expect("lists");
    let topics: Vec<_> = topics.into_iter().map(|row| row.label).collect();
    assert_eq!(
        serde_json::json!(topics),
        serde_json::json!(labels_of("topics"))
    );
    // A number is none of a class.
    let count = file.table().label("count");
    assert_eq!(count.class_names().expect("a file"), None);
    let numbers = count.read_numbers().expect("numbers");
    assert_eq!(numbers[3].label, [1.0]);
    let tags = TaggedFile::open(fixture(name)).read().expect("words");
    let tags: Vec<_> = tags.into_iter().map(|sentence| sentence.tags).collect();
    assert_eq!(
        serde_json::json!(tags),
        serde_json::json!(labels_of("ner_tags"))
    );
    // -1 is none of the classes.
    assert_eq!(
        refused(name, content(name), |table| table.known_labels(&labels)),
        "class_names.parquet:3: label `-1` is not one of neutral, contradiction, entailment, 10"
    );
    // Other files say no names.
    assert_eq!(
        Table::open(fixture("rows.parquet"))
            .class_names()
            .expect("a file"),
        None
    );
}
