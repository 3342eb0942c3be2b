//! Pairs, pairs with scores and triplets in tables.

use bertfit::{Column, EmbeddingExample, Table};

use super::OneFile;

fn named(table: Table) -> Table {
    table.text("a").pair("b").label("score")
}

fn no() -> Column {
    Column::from("no")
}

#[test]
fn every_format_holds_pairs_scores_and_negatives() {
    let expected = [
        EmbeddingExample {
            score: Some(4.5),
            ..EmbeddingExample::triplet("x, \"y\"", "", "z")
        },
        EmbeddingExample {
            score: Some(-1.0),
            ..EmbeddingExample::triplet("u", "v", "u")
        },
    ];
    for (name, content) in [
        (
            "a.tsv",
            "no\ta\tscore\tb\nz\tx, \"y\"\t4.5\t\nu\tu\t-1\tv\n",
        ),
        ("a.csv", "no,a,score,b\nz,\"x, \"\"y\"\"\",4.5,\nu,u,-1,v\n"),
        (
            "a.jsonl",
            "{\"no\": \"z\", \"a\": \"x, \\\"y\\\"\", \"score\": 4.5, \"b\": \"\"}\n\
             {\"no\": \"u\", \"a\": \"u\", \"score\": \"-1\", \"b\": \"v\", \"more\": null}\n",
        ),
    ] {
        let file = OneFile::new(name, content);
        let table = named(file.table());
        let all = table.read_scored_pairs(Some(&no())).expect("rows");
        assert_eq!(all, expected, "{name}");
        let scored = table.read_scored_pairs(None).expect("rows");
        let pairs = table.read_pairs(None).expect("rows");
        let triplets = table.read_pairs(Some(&no())).expect("rows");
        for (row, full) in expected.iter().enumerate() {
            let (negative, score) = (None, None);
            assert_eq!(
                scored[row],
                EmbeddingExample {
                    negative,
                    ..full.clone()
                }
            );
            assert_eq!(
                triplets[row],
                EmbeddingExample {
                    score,
                    ..full.clone()
                }
            );
            let negative = None;
            assert_eq!(
                pairs[row],
                EmbeddingExample {
                    negative,
                    score,
                    ..full.clone()
                }
            );
        }
        for (column, there) in [("no", true), ("b", true), ("yes", false)] {
            assert_eq!(
                table.has(&column.into()).expect("a header"),
                there,
                "{name}"
            );
        }
    }
    let file = OneFile::new("a.tsv", "u\tv\t1\tw\n");
    let table = file.table().no_header().text(0).pair(1).label(2);
    let rows = table.read_scored_pairs(Some(&3.into())).expect("rows");
    let expected = EmbeddingExample::triplet("u", "v", "w");
    assert_eq!(
        rows,
        [EmbeddingExample {
            score: Some(1.0),
            ..expected
        }]
    );
}

#[test]
fn what_is_missing_is_named_with_its_line() {
    let refused = |name: &str, content: &str| {
        let file = OneFile::new(name, content);
        let error = named(file.table()).read_scored_pairs(Some(&no()));
        file.message(&error.expect_err("an unusable table"))
    };
    let header = "a\tb\tno\tscore\n";
    for (row, expected) in [
        (
            "x\ty\tz\t\n",
            "field `score`: expected a finite number, found ``",
        ),
        (
            "x\ty\tz\tNaN\n",
            "field `score`: expected a finite number, found `NaN`",
        ),
        (
            "x\ty\tz\t1,2\n",
            "field `score`: expected one number, found 2: a decimal comma must be a point",
        ),
        ("x\ty\t1\n", "expected 4 columns, found 3"),
    ] {
        let content = format!("{header}u\tv\tw\t1\n{row}");
        assert_eq!(refused("a.tsv", &content), format!("a.tsv:3: {expected}"));
    }
    assert_eq!(
        refused("a.tsv", "a\tb\tscore\nx\ty\t1\n"),
        "a.tsv: no column `no`, the header has `a`, `b`, `score`"
    );
    for (line, expected) in [
        (
            "{\"a\": \"x\", \"b\": \"y\", \"no\": \"z\", \"score\": null}",
            "field `score`: expected a string, a number or a boolean, found null",
        ),
        (
            "{\"a\": \"x\", \"b\": \"y\", \"score\": 1}",
            "field `no`: absent, the object has `a`, `b`, `score`",
        ),
        (
            "{\"a\": \"x\", \"b\": 3, \"no\": \"z\", \"score\": 1}",
            "field `b`: expected a string, found a number",
        ),
    ] {
        assert_eq!(refused("a.jsonl", line), format!("a.jsonl:1: {expected}"));
    }
    let file = OneFile::new("a.tsv", header);
    let error = file
        .table()
        .text("a")
        .read_pairs(None)
        .expect_err("no pair");
    let expected =
        "`pair column` must be named, since texts are compared with each other, got none";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_column_of_negatives_is_looked_for_only_where_it_is_named() {
    let file = OneFile::new("a.tsv", "a\tb\tscore\nx\ty\t1\n");
    let table = named(file.table());
    assert_eq!(table.read().expect("rows").len(), 1);
    assert_eq!(table.read_texts().expect("rows").len(), 1);
}
