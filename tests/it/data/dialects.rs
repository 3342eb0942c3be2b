//! Tables with other delimiters, with and without quotes, and columns by index.

use bertfit::{Example, Quoting, Table};

use super::{OneFile, refused, rows};

#[track_caller]
fn table(name: &str, content: &str, of: impl Fn(Table) -> Table) -> Vec<(String, String)> {
    let file = OneFile::new(name, content);
    let rows = rows(&file, &of(file.table())).unwrap_or_else(|message| panic!("{message}"));
    rows.into_iter().map(|row| (row.text, row.label)).collect()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(text, label): &(&str, &str)| (text.to_owned(), label.to_owned());
    rows.iter().map(owned).collect()
}

#[test]
fn any_character_may_stand_between_columns() {
    for delimiter in [';', '|', ',', '\t', '§'] {
        let content =
            "text;label\n\"a; \"\"b\"\"\nc\";x\nd \"e\";y\n".replace(';', &delimiter.to_string());
        let expected = format!("a{delimiter} \"b\"\nc");
        for name in ["a.csv", "a.txt", "a.dat", "a"] {
            let rows = table(name, &content, |table| {
                table.delimiter(delimiter).quoting(Quoting::Minimal)
            });
            assert_eq!(
                rows,
                pairs(&[(&expected, "x"), ("d \"e\"", "y")]),
                "{delimiter}"
            );
        }
    }
}

#[test]
fn quotes_mean_what_is_asked_for() {
    let content = "text\tlabel\n\"he said \"\"hi\"\"\"\tx\nb\t\"y\"\n";
    let text = pairs(&[("\"he said \"\"hi\"\"\"", "x"), ("b", "\"y\"")]);
    let quoted = pairs(&[("he said \"hi\"", "x"), ("b", "y")]);
    assert_eq!(table("a.tsv", content, |table| table), text);
    assert_eq!(
        table("a.tsv", content, |table| table.quoting(Quoting::None)),
        text
    );
    assert_eq!(
        table("a.tsv", content, |table| table.quoting(Quoting::Minimal)),
        quoted
    );
    let commas = content.replace('\t', ",");
    assert_eq!(table("a.csv", &commas, |table| table), quoted);
    assert_eq!(
        table("a.csv", &commas, |table| table.quoting(Quoting::None)),
        text
    );
    let semicolons = content.replace('\t', ";");
    assert_eq!(
        table("a.csv", &semicolons, |table| table.delimiter(';')),
        quoted
    );
    // Without quoting a field has no line break.
    let broken = "text\tlabel\n\"a\nb\"\tx\n";
    assert_eq!(
        table("a.tsv", broken, |table| table.quoting(Quoting::Minimal)),
        pairs(&[("a\nb", "x")])
    );
}

#[test]
fn a_header_that_is_written_in_another_way_is_recognised() {
    for (content, hint) in [
        (
            "text;label\na;x\n",
            ": say that ';' is the `delimiter` (--delimiter), if it stands between columns",
        ),
        (
            "text|label\na|x\n",
            ": say that '|' is the `delimiter` (--delimiter), if it stands between columns",
        ),
    ] {
        let header = content.lines().next().expect("a header");
        assert_eq!(
            refused("a.csv", content, |table| table),
            format!("a.csv: no column `text`, the header has `{header}`{hint}")
        );
    }
    assert_eq!(
        refused("a.tsv", "\"text\"\t\"label\"\na\tx\n", |table| table),
        "a.tsv: no column `text`, the header has `\"text\"`, `\"label\"`: names in quotes need \
         `quoting` minimal (--quoting minimal)"
    );
}

#[test]
fn a_column_of_a_header_may_be_counted() {
    let content = "id,1,sentence\n7,x,a\n8,y,b\n";
    let rows = |text: &'static str, label: &'static str| {
        table("a.csv", content, |table| table.text(text).label(label))
    };
    assert_eq!(rows("2", "1"), pairs(&[("a", "x"), ("b", "y")]));
    assert_eq!(rows("sentence", "0"), pairs(&[("a", "7"), ("b", "8")]));
    let file = OneFile::new("a.csv", content);
    assert!(file.table().has(&"2".into()).expect("a header"));
    assert!(!file.table().has(&"3".into()).expect("a header"));
    assert_eq!(
        refused("a.csv", content, |table| table.text("3")),
        "a.csv: no column `3`, the header has `id`, `1`, `sentence`"
    );
    // JSON has no order.
    assert_eq!(
        refused("a.jsonl", "{\"a\": \"b\", \"label\": 1}", |table| table
            .text("0")),
        "a.jsonl:1: field `0`: absent, the object has `a`, `label`"
    );
}

#[test]
fn what_cannot_stand_between_columns_is_refused() {
    for delimiter in ['"', '\n', '\r'] {
        let problem = refused("a.csv", "text\n", |table| table.delimiter(delimiter));
        assert!(
            problem.starts_with("`delimiter` must be no quote and no line end"),
            "{problem}"
        );
    }
    let problem = refused("a.jsonl", "{}", |table| table.delimiter(';'));
    assert!(
        problem.starts_with("`delimiter` must be none for a file that has no columns"),
        "{problem}"
    );
}

#[test]
fn names_from_a_file_cannot_act_on_a_terminal() {
    let content = format!("te\u{1b}[2Jxt\tlabel\t{}\n", "long ".repeat(100));
    let problem = refused("a.tsv", content, |table| table);
    assert!(
        !problem.contains('\u{1b}') && problem.contains("te\\u{1b}[2Jxt"),
        "{problem}"
    );
    assert!(problem.len() < 250, "{problem}");
}

/// As rows of a file in columns, and as fields of objects.
#[test]
fn one_class_may_be_written_in_several_ways() {
    let labels = |names: &[&str]| bertfit::Labels::new(names.iter().copied()).expect("names");
    let read = |name: &str, content: &str, known: &bertfit::Labels| {
        let file = OneFile::new(name, content);
        let table = file.table().known_labels(known);
        let rows: Vec<Example> = rows(&file, &table).unwrap_or_else(|message| panic!("{message}"));
        rows.into_iter().map(|row| row.label).collect::<Vec<_>>()
    };
    let json = "{\"text\": \"\", \"label\": 1}\n{\"text\": \"\", \"label\": 1.0}\n{\"text\": \"\", \"label\": \"1\"}\n";
    assert_eq!(read("a.jsonl", json, &labels(&["0", "1"])), ["1", "1", "1"]);
    assert_eq!(
        read("a.jsonl", json, &labels(&["0.0", "1.0"])),
        ["1.0", "1.0", "1.0"]
    );
    let csv = "text,label\na,1\nb,1.0\n";
    assert_eq!(read("a.csv", csv, &labels(&["0", "1"])), ["1", "1"]);
    let truths = "{\"text\": \"\", \"label\": true}\n{\"text\": \"\", \"label\": \"True\"}\n";
    assert_eq!(
        read("a.jsonl", truths, &labels(&["False", "True"])),
        ["True", "True"]
    );
    assert_eq!(
        read("a.jsonl", truths, &labels(&["false", "true"])),
        ["true", "true"]
    );
    // Ids of classes without names, and of such as may have ids.
    assert_eq!(
        read("a.csv", csv, &labels(&["LABEL_0", "LABEL_1"])),
        ["LABEL_1", "LABEL_1"]
    );
    assert_eq!(
        read("a.csv", csv, &labels(&["no", "yes"]).or_ids()),
        ["yes", "yes"]
    );
    assert_eq!(
        refused("a.csv", csv, |table| table
            .known_labels(&labels(&["no", "yes"]))),
        "a.csv:2: label `1` is not one of no, yes"
    );
    assert_eq!(
        refused("a.csv", "text,label\na,2\n", |table| {
            table.known_labels(&labels(&["no", "yes"]).or_ids())
        }),
        "a.csv:2: label `2` is not one of no, yes"
    );
}
