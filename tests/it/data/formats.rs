//! What TSV, CSV and JSON lines may hold.

use bertfit::{Example, Format, Labels, Table, Text};

use super::{OneFile, read};

fn rows(rows: &[(&str, &str)]) -> Vec<Example> {
    rows.iter()
        .map(|&(text, label)| Example::new(text, label))
        .collect()
}

#[test]
fn tsv_takes_quotes_as_text_and_ends_lines_at_newlines_only() {
    let content = "text\tlabel\n\"a\t1\nb\u{85}c\u{2028}d\re\u{b}f\t0\n\\t\\n\t1\n";
    let expected = rows(&[
        ("\"a", "1"),
        ("b\u{85}c\u{2028}d\re\u{b}f", "0"),
        ("\\t\\n", "1"),
    ]);
    assert_eq!(read("a.tsv", content), expected);
}

#[test]
fn csv_takes_commas_quotes_and_line_breaks_inside_quotes() {
    let content = "label,text\n1,\"a, \"\"b\"\"\n\r\nc\"\n0,d \"e\"\n\"2\",\"\"\n";
    let expected = rows(&[("a, \"b\"\n\r\nc", "1"), ("d \"e\"", "0"), ("", "2")]);
    assert_eq!(read("a.csv", content), expected);
}

#[test]
fn json_lines_take_any_order_other_fields_and_plain_labels() {
    let content = r#"
{"label": 1, "text": "a\n\"b\" \u00e9 \ud83d\ude00", "other": [null]}

{"text": "", "label": true}
{"text": "c", "label": 2.5}
{"text": "d", "label": "x"}
   "#;
    let expected = rows(&[
        ("a\n\"b\" é 😀", "1"),
        ("", "True"),
        ("c", "2.5"),
        ("d", "x"),
    ]);
    assert_eq!(read("a.jsonl", content), expected);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    for (name, content) in [
        ("a.tsv", "text\tlabel\na\t1\nb\t\"0\"\n"),
        ("a.csv", "text,label\na,1\nb,\"\"\"0\"\"\"\n"),
        (
            "a.jsonl",
            "{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":\"\\\"0\\\"\"}\n",
        ),
    ] {
        let expected = rows(&[("a", "1"), ("b", "\"0\"")]);
        assert_eq!(read(name, content), expected);
        let windows = content.replace('\n', "\r\n");
        assert_eq!(read(name, &windows), expected);
        assert_eq!(read(name, format!("\u{feff}{windows}")), expected);
        let unended = windows.strip_suffix("\r\n").expect("a last line end");
        assert_eq!(read(name, unended), expected);
        assert_eq!(read(name, format!("{content}\n\r\n\n")), expected);
    }
}

/// The carriage return of a line end is no text; one in quotes is.
#[test]
fn only_the_carriage_return_of_a_line_end_is_dropped() {
    assert_eq!(read("a.csv", "label,text\n1,\"a\r\"\n1,b\r\r\n"), {
        rows(&[("a\r", "1"), ("b\r", "1")])
    });
    assert_eq!(
        read("a.tsv", "label\ttext\n1\tb\r\r\n"),
        rows(&[("b\r", "1")])
    );
}

#[test]
fn in_a_table_of_one_column_a_blank_line_is_an_empty_text() {
    for name in ["a.tsv", "a.csv"] {
        let file = OneFile::new(name, "text\n\na\n\n\nb\n\n\n");
        let texts = file.table().read_texts().expect("texts");
        let texts: Vec<&str> = texts.iter().map(|row| row.text()).collect();
        assert_eq!(texts, ["", "a", "", "", "b"], "{name}");
    }
}

#[test]
fn prediction_needs_no_label_column() {
    for (name, content) in [
        ("a.tsv", "id\tfirst\tsecond\n7\ta\tb\n8\t\tc\n"),
        ("a.csv", "id,first,second\n7,a,b\n8,,c\n"),
        (
            "a.json",
            "{\"first\":\"a\",\"second\":\"b\"}\n{\"second\":\"c\",\"first\":\"\"}\n",
        ),
    ] {
        let file = OneFile::new(name, content);
        let pairs = file
            .table()
            .text("first")
            .pair("second")
            .read_texts()
            .expect("pairs");
        let pairs: Vec<_> = pairs.iter().map(|row| (row.text(), row.pair())).collect();
        assert_eq!(pairs, [("a", Some("b")), ("", Some("c"))], "{name}");
    }
}

#[test]
fn columns_go_by_index_with_and_without_a_header() {
    let file = OneFile::new("a.tsv", "x\t0\ta\tb\ny\t1\tc\td\n");
    let table = file.table().text(2).pair(3).label(1);
    let first = Example::new("a", "0").with_pair("b");
    let second = Example::new("c", "1").with_pair("d");
    assert_eq!(
        table.clone().no_header().read().expect("two rows"),
        [first, second.clone()]
    );
    assert_eq!(table.read().expect("one row"), [second]);
}

#[test]
fn the_name_of_a_file_says_its_format_unless_it_is_given() {
    let expected = rows(&[("a", "1")]);
    for name in ["A.TSV", "b.c.tsv", "d.tsv.old"] {
        let file = OneFile::new(name, "text\tlabel\na\t1\n");
        assert_eq!(
            file.table().format(Format::Tsv).read().expect("a TSV file"),
            expected
        );
    }
    assert_eq!(read("A.TSV", "text\tlabel\na\t1\n"), expected);
    assert_eq!(
        read("a.ndjson", "{\"text\":\"a\",\"label\":\"1\"}"),
        expected
    );
    let file = OneFile::new("a.csv", "text\tlabel\na\t1\n");
    assert_eq!(
        file.table().format(Format::Tsv).read().expect("a TSV file"),
        expected
    );
}

#[test]
fn lines_of_text_are_texts_whatever_is_in_them() {
    let file = OneFile::new(
        "a.txt",
        "\u{feff}one\ttwo, \"three\"\r\n\n  \n{four}\n five",
    );
    let texts = file.table().read_texts().expect("texts");
    let texts: Vec<&str> = texts.iter().map(|row| &row.text[..]).collect();
    assert_eq!(texts, ["one\ttwo, \"three\"", "{four}", " five"]);
}

#[test]
fn known_labels_are_let_through() {
    let labels = Labels::new(["0", "1"]).expect("two names");
    let file = OneFile::new("a.tsv", "text\tlabel\na\t1\n");
    let read = file.table().known_labels(&labels).read();
    assert_eq!(read.expect("all labels are known"), rows(&[("a", "1")]));
}

#[test]
fn a_line_longer_than_every_buffer_is_one_row() {
    let long = "long \"\" text, ".repeat(20_000);
    let tsv = format!("text\tlabel\n{long}\t1\nb\t0\n");
    assert_eq!(read("a.tsv", tsv), rows(&[(&long, "1"), ("b", "0")]));
    let csv = format!("text,label\n\"{}\",1\nb,0\n", long.replace('"', "\"\""));
    assert_eq!(read("a.csv", csv), rows(&[(&long, "1"), ("b", "0")]));
}

#[test]
fn tables_can_be_made_on_one_thread_and_read_on_another() {
    fn crosses_threads<T: Send + Sync + 'static>() {}
    crosses_threads::<Table>();
}
