//! Whatever texts a format can hold come back from it.

use bertfit::{Example, Table};
use proptest::prelude::*;
use serde_json::json;

use super::{OneFile, rows};

/// Texts with much of what formats trip over.
fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "\"", "\"\"", ",", "\t", "\n", "\r", "\r\n", "\\", "\\n", "'", "#", " ", "", "\u{85}",
        "\u{2028}", "\u{b}", "\u{c}", "\0", "\u{feff}", "{", "}", "é", "e\u{301}", "😀", "null",
    ])
    .prop_map(str::to_owned);
    let piece = prop_oneof![3 => odd, 1 => ".{0,6}"];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn examples() -> impl Strategy<Value = Vec<Example>> {
    let example = (text(), text(), text())
        .prop_map(|(text, pair, label)| Example::new(text, format!("{label}.")).with_pair(pair));
    prop::collection::vec(example, 1..12)
}

/// Enough rows for more than one block of an index.
fn many() -> impl Strategy<Value = Vec<Example>> {
    (examples(), 1..80_usize).prop_map(|(examples, times)| {
        let rows = examples.len() * times;
        examples.into_iter().cycle().take(rows).collect()
    })
}

/// With `\n`, `\r\n` or (after the last line) no line end.
fn joined(lines: &[String], windows: bool, ended: bool) -> String {
    let end = if windows { "\r\n" } else { "\n" };
    lines.join(end) + if ended { end } else { "" }
}

fn assert_back(file: &OneFile, table: Table, examples: &[Example]) {
    match rows(file, &table.text("the text").pair("pair").label("label")) {
        Ok(back) => assert_eq!(back, examples),
        Err(message) => panic!("{message}"),
    }
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// As bare as it may be.
fn sparing(field: &str) -> String {
    let bare = !field.starts_with('"') && !field.contains([',', '\n']) && !field.ends_with('\r');
    if bare {
        field.to_owned()
    } else {
        quoted(field)
    }
}

proptest! {
    #[test]
    fn tsv(mut examples in many(), windows: bool, ended: bool) {
        let mut lines = vec!["the text\tpair\tlabel".to_owned()];
        for Example { text, pair, label } in &mut examples {
            let pair = pair.as_mut().expect("all have one");
            for field in [&mut *text, pair, label] {
                *field = field.replace(['\t', '\n'], " ");
            }
            lines.push([text.as_str(), pair, label].join("\t"));
        }
        let file = OneFile::new("a.tsv", joined(&lines, windows, ended));
        assert_back(&file, file.table(), &examples);
    }

    #[test]
    fn csv(examples in many(), windows: bool, ended: bool, all_quoted: bool) {
        let write = if all_quoted { quoted } else { sparing };
        let mut lines = vec!["pair,label,the text".to_owned()];
        for Example { text, pair, label } in &examples {
            let pair = pair.as_ref().expect("all have one");
            lines.push([pair, label, text].map(|field| write(field)).join(","));
        }
        let file = OneFile::new("a.csv", joined(&lines, windows, ended));
        assert_back(&file, file.table(), &examples);
    }

    #[test]
    fn json_lines(examples in many(), windows: bool, ended: bool) {
        let lines: Vec<String> = examples
            .iter()
            .map(|Example { text, pair, label }| {
                json!({ "pair": pair, "label": label, "the text": text }).to_string()
            })
            .collect();
        let file = OneFile::new("a.jsonl", joined(&lines, windows, ended));
        assert_back(&file, file.table(), &examples);
    }

    /// What the rows look like to another reader of RFC 4180, records as they
    /// come: the number of fields is not checked by it, so one column is read.
    #[test]
    fn csv_rows_are_those_of_the_csv_crate(texts in prop::collection::vec(text(), 1..12)) {
        let content: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        let content = content.join("\n");
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(content.as_bytes());
        let expected: Vec<String> = reader
            .records()
            .map(|record| record.expect("quoted text")[0].to_owned())
            .collect();
        let file = OneFile::new("a.csv", &content);
        let ours = file.table().no_header().text(0).read_texts().expect("quoted text");
        let ours: Vec<String> = ours.into_iter().map(|row| row.text).collect();
        prop_assert_eq!(&ours, &texts);
        prop_assert_eq!(ours, expected);
    }

    /// Quotes where they should not be, too: none, or as that reader takes them.
    #[test]
    fn csv_of_any_kind_is_read_as_by_the_csv_crate(
        pieces in prop::collection::vec(prop::sample::select(vec!["\"", "\"\"", ",", "a", " é"]), 1..9),
        rows in 1..3_usize,
    ) {
        let content = vec![pieces.concat(); rows].join("\n");
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(content.as_bytes());
        let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("fields")).collect();
        let file = OneFile::new("a.csv", &content);
        for column in 0..records[0].len() {
            match file.table().no_header().text(column).read_texts() {
                Ok(ours) => {
                    let ours: Vec<String> = ours.into_iter().map(|row| row.text).collect();
                    let theirs: Vec<&str> = records.iter().map(|record| &record[column]).collect();
                    prop_assert_eq!(ours, theirs);
                }
                // That reader lets it pass.
                Err(error) => {
                    let open = error.to_string().ends_with("still open at the end of the file");
                    prop_assert!(open || records.iter().any(|record| record.len() != records[0].len()));
                }
            }
        }
    }
}
