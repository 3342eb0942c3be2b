//! Each way in which a table can be refused, by its whole message.

use std::path::Path;

use bertfit::{Labels, Table};

use super::{OneFile, refused};

/// The message with text and label in columns of these names.
fn plain(name: &str, content: impl AsRef<[u8]>) -> String {
    refused(name, content, |table| table)
}

/// What the system says of reading `path`, which differs between systems.
fn system_message(path: &Path) -> String {
    std::fs::read(path)
        .expect_err("this cannot be read")
        .to_string()
}

#[test]
fn error_of_a_file_that_is_not_there() {
    for name in ["b.tsv", "b.tsv.gz", "b.jsonl.xz"] {
        let file = OneFile::new("a.tsv", "");
        let path = file.path.with_file_name(name);
        let error = Table::open(&path).read().expect_err("no such file");
        let expected = format!("cannot read {name}: {}", system_message(&path));
        assert_eq!(file.message(&error), expected);
    }
}

#[test]
fn error_of_a_folder_in_place_of_a_file() {
    for name in ["b.tsv", "b.tsv.gz", "b.csv.xz"] {
        let file = OneFile::new("a.tsv", "");
        let path = file.path.with_file_name(name);
        std::fs::create_dir(&path).expect("the folder can be made");
        let error = Table::open(&path).read().expect_err("a folder");
        let expected = format!("cannot read {name}: {}", system_message(&path));
        assert_eq!(file.message(&error), expected);
    }
}

#[test]
fn error_of_a_name_that_says_no_format() {
    for name in ["a.doc", "a", ".tsv.zip", "tsv", "a.gz", "a.doc.xz"] {
        let expected = format!(
            "`format` must be named for a file that ends in none of .tsv, .csv, .jsonl, \
             .ndjson, .json, .txt (and then .gz or .xz), .parquet, got {name}"
        );
        assert_eq!(plain(name, "text\tlabel\na\t1\n"), expected);
    }
}

#[test]
fn error_of_a_file_without_rows() {
    for name in ["a.tsv", "a.csv", "a.jsonl"] {
        assert_eq!(plain(name, ""), format!("{name}: the file is empty"));
        let expected = format!("{name}: the file has only blank lines");
        assert_eq!(plain(name, "\n\r\n\n"), expected);
        assert_eq!(plain(name, "\u{feff}"), expected);
        assert_eq!(
            refused(name, "", |table| table.no_header()),
            format!("{name}: the file is empty")
        );
    }
    let expected = "a.tsv: there are no rows after the header";
    assert_eq!(plain("a.tsv", "text\tlabel\n"), expected);
    assert_eq!(plain("a.tsv", "text\tlabel\n\n\n"), expected);
    let expected = "a.csv: there are no rows after the header";
    assert_eq!(plain("a.csv", "text,label"), expected);
}

#[test]
fn error_of_a_wrong_number_of_columns() {
    let expected = "a.tsv:3: expected 2 columns, found 3";
    assert_eq!(plain("a.tsv", "text\tlabel\na\t1\nb\t0\t\n"), expected);
    let expected = "a.tsv:2: expected 2 columns, found 1";
    assert_eq!(plain("a.tsv", "text\tlabel\na\n"), expected);
    let expected = "a.csv:5: expected 2 columns, found 3";
    assert_eq!(plain("a.csv", "text,label\n\"a\n\n\",1\nb,c,0\n"), expected);
    let table = |table: Table| table.no_header().text(0).label(1);
    let expected = "a.tsv:2: expected 2 columns, found 1";
    assert_eq!(refused("a.tsv", "a\t1\nb\n", table), expected);
}

#[test]
fn error_of_a_blank_line_between_rows() {
    let expected = "a.tsv:3: expected 2 columns, found 1";
    assert_eq!(plain("a.tsv", "text\tlabel\na\t1\n\n\r\nb\t1\n"), expected);
    let expected = "a.csv:3: expected 2 columns, found 1";
    assert_eq!(plain("a.csv", "text,label\na,1\n\n\nb,1\n"), expected);
}

#[test]
fn error_of_a_column_that_is_not_there() {
    let expected = "a.tsv: no column `text`, the header has `sentence`, `label`, `source`";
    assert_eq!(
        plain("a.tsv", "sentence\tlabel\tsource\na\t1\tx\n"),
        expected
    );
    let expected = "a.csv: no column `second`, the header has `text`, `label`";
    assert_eq!(
        refused("a.csv", "text,label\na,1\n", |table| table.pair("second")),
        expected
    );
    let expected = "a.tsv: no column `label`, the header has `text`, `Label`";
    assert_eq!(plain("a.tsv", "text\tLabel\na\t1\n"), expected);
    let expected = "a.jsonl:2: field `text`: absent, the object has `label`, `texts`";
    let content = "{\"text\":\"a\",\"label\":1}\n{\"label\":1,\"texts\":\"b\"}\n";
    assert_eq!(plain("a.jsonl", content), expected);
    let expected = "a.jsonl:1: field `text`: absent, the object has no fields";
    assert_eq!(plain("a.jsonl", "{}"), expected);
}

#[test]
fn error_of_two_columns_of_one_name() {
    let expected = "a.tsv: more than one column is called `text`";
    assert_eq!(plain("a.tsv", "text\tlabel\ttext\na\t1\tb\n"), expected);
}

#[test]
fn error_of_a_column_index_out_of_range() {
    for (name, content) in [("a.tsv", "a\t1\n"), ("a.csv", "a,1\n")] {
        let expected = format!(
            "{name}: column index 2 is out of range, there are 2 columns and the first is 0"
        );
        let message = refused(name, content, |table| table.no_header().text(0).label(2));
        assert_eq!(message, expected);
        let with_header = refused(name, content, |table| table.text(2).label(1));
        assert_eq!(with_header, expected);
    }
}

#[test]
fn error_of_names_without_a_header_and_indexes_without_an_order() {
    let message =
        |table: fn(Table) -> Table| refused("a.tsv", "a\t1\n", |own| table(own.no_header()));
    let rule = "must be an index in a file without a header";
    assert_eq!(
        message(|table| table),
        format!("`text column` {rule}, got `text`")
    );
    let expected = format!("`label column` {rule}, got `label`");
    assert_eq!(message(|table| table.text(0)), expected);
    let expected = format!("`pair column` {rule}, got `b`");
    assert_eq!(message(|table| table.text(0).pair("b")), expected);

    let content = "{\"text\":\"a\",\"label\":1}";
    let expected = "`label column` must be a name in JSON lines and Parquet files, got 1";
    assert_eq!(
        refused("a.jsonl", content, |table| table.label(1)),
        expected
    );
}

#[test]
fn error_of_an_empty_label() {
    let expected = "a.tsv:2: field `label`: the label is empty";
    assert_eq!(plain("a.tsv", "text\tlabel\na\t\n"), expected);
    let expected = "a.csv:3: field `label`: the label is empty";
    assert_eq!(plain("a.csv", "text,label\na,1\nb,\"\"\r\n"), expected);
    let expected = "a.jsonl:1: field `label`: the label is empty";
    assert_eq!(
        plain("a.jsonl", "{\"text\":\"a\",\"label\":\"\"}"),
        expected
    );
    let expected = "a.tsv:1: field `1`: the label is empty";
    let message = refused("a.tsv", "a\t\n", |table| table.no_header().text(0).label(1));
    assert_eq!(message, expected);
}

#[test]
fn error_of_an_unknown_label() {
    let labels = Labels::new(["no", "yes"]).expect("two names");
    let expected = "a.csv:4: label `maybe` is not one of no, yes";
    let content = "text,label\n\"a\nb\",yes\nc,maybe\n";
    assert_eq!(
        refused("a.csv", content, |table| table.known_labels(&labels)),
        expected
    );
}

#[test]
fn error_of_bytes_that_are_not_utf_8() {
    let expected = "a.tsv:3: invalid UTF-8 at byte 5 of the line";
    assert_eq!(
        plain("a.tsv", b"text\tlabel\na\t1\n\xc3\xa9\x09ab\xff\n"),
        expected
    );
    let expected = "a.csv:4: invalid UTF-8 at byte 2 of the line";
    assert_eq!(
        plain("a.csv", b"text,label\na,1\n\"b\nc,\xe2\x82\n\",1\n"),
        expected
    );
    let expected = "a.jsonl:1: invalid UTF-8 at byte 9 of the line";
    assert_eq!(plain("a.jsonl", b"{\"text\":\"\xe9\"}"), expected);
    let expected = "a.tsv:1: invalid UTF-8 at byte 0 of the line";
    assert_eq!(plain("a.tsv", b"\xff\xfet\0e\0x\0t\0"), expected);
}

#[test]
fn error_of_quotes_that_never_close() {
    let expected = "a.csv:3: a quoted field is still open at the end of the file";
    assert_eq!(
        plain("a.csv", "text,label\na,1\n\"b,0\nc,1\n\nd,0\n"),
        expected
    );
    assert_eq!(plain("a.csv", "text,label\na,1\nb,\""), expected);
}

#[test]
fn error_of_a_json_field_that_is_not_a_text() {
    for (value, kind) in [
        ("null", "null"),
        ("true", "a boolean"),
        ("1", "a number"),
        ("[\"a\"]", "an array"),
        ("{}", "an object"),
    ] {
        let expected = format!("a.jsonl:1: field `text`: expected a string, found {kind}");
        assert_eq!(
            plain("a.jsonl", format!("{{\"text\":{value},\"label\":1}}")),
            expected
        );
        if matches!(kind, "null" | "an array" | "an object") {
            let expected = format!(
                "a.jsonl:1: field `label`: expected a string, a number or a boolean, found {kind}"
            );
            assert_eq!(
                plain("a.jsonl", format!("{{\"text\":\"\",\"label\":{value}}}")),
                expected
            );
        }
    }
}

#[test]
fn error_of_a_line_that_is_no_json_object() {
    let second = |line: &str| {
        plain(
            "a.jsonl",
            format!("{{\"text\":\"a\",\"label\":1}}\n{line}\n"),
        )
    };
    assert_eq!(
        second("[1]"),
        "a.jsonl:2: expected a JSON object, found an array"
    );
    assert_eq!(
        second("\"a\""),
        "a.jsonl:2: expected a JSON object, found a string"
    );
    let invalid = |what, column| format!("a.jsonl:2: not valid JSON: {what} (column {column})");
    assert_eq!(
        second("{\"text\": "),
        invalid("EOF while parsing a value", 9)
    );
    assert_eq!(second("{\"text\": 'a'}"), invalid("expected value", 10));
    assert_eq!(second("{} {}"), invalid("trailing characters", 4));
}

#[test]
fn error_of_a_lone_surrogate() {
    for (escape, column) in [
        ("\\ud83d", 16),
        ("\\ude00", 15),
        ("\\ud83d\\u0041", 21),
        ("\\ud83d\\n", 17),
    ] {
        let line = format!("{{\"text\":\"{escape}\",\"label\":1}}");
        let expected = format!(
            "a.jsonl:1: not valid JSON: a surrogate escape without its other half is no \
             character (column {column})"
        );
        assert_eq!(plain("a.jsonl", &line), expected);
    }
}
