//! The data set of the examples.

use std::collections::BTreeSet;

use bertfit::{Example, Labels, Table};

fn read(part: &str) -> Vec<Example> {
    let path = format!("examples/data/{part}.tsv");
    Table::open(path)
        .text("sentence")
        .read()
        .expect("the file is whole")
}

#[test]
fn the_parts_have_their_rows_and_share_no_sentence() {
    let parts = [("train", 2403), ("dev", 300), ("test", 297)];
    let mut seen = BTreeSet::new();
    for (part, rows) in parts {
        let examples = read(part);
        assert_eq!(examples.len(), rows);
        let labels = Labels::sorted(examples.iter().map(|example| &example.label));
        assert_eq!(labels.expect("labels").names(), ["0", "1"]);
        let own: BTreeSet<String> = examples.into_iter().map(|example| example.text).collect();
        assert!(
            seen.is_disjoint(&own),
            "{part} repeats a sentence of a part before it"
        );
        seen.extend(own);
    }
}

/// A reader that takes `"` for quoting would merge rows.
#[test]
fn quotes_are_text() {
    let all = [read("train"), read("dev"), read("test")].concat();
    assert_eq!(all.iter().filter(|row| row.text.contains('"')).count(), 66);
}
