//! Files to predict whose labels are placeholders, rows that are left out, and labels that are not
//! written as they are meant.

use bertfit::{ChoiceFile, Dataset, Labels, SkippedRows, Table};

use super::{OneFile, refused};

fn labels() -> Labels {
    Labels::new(["0", "1"]).expect("two names")
}

#[test]
fn a_file_of_placeholders_has_no_labels() {
    for (name, content) in [
        ("a.csv", "text,label\na,\nb,\n"),
        ("a.csv", "text,label\na,-1\nb,-1\n"),
        ("a.csv", "text,label\na,?\nb,\n"),
        ("a.tsv", "text\tlabel\na\t-1\nb\tunknown\n"),
        (
            "a.jsonl",
            "{\"text\": \"a\", \"label\": null}\n{\"text\": \"b\"}\n",
        ),
        (
            "a.json",
            "[{\"text\": \"a\", \"label\": -1.0}, {\"text\": \"b\", \"label\": \"\"}]",
        ),
    ] {
        let file = OneFile::new(name, content);
        let table = file.table().known_labels(&labels());
        assert_eq!(table.read_if_labelled().expect("texts"), None, "{content}");
        assert_eq!(table.read_texts().expect("texts").len(), 2);
        assert!(table.read().is_err(), "{content}");
    }
}

#[test]
fn some_rows_without_a_label_are_an_error_that_names_the_first() {
    let file = OneFile::new("a.csv", "text,label\na,1\nb,-1\nc,\nd,0\n");
    let table = file.table().known_labels(&labels());
    let error = table
        .read_if_labelled()
        .expect_err("two rows without labels");
    assert_eq!(
        file.message(&error),
        "a.csv:3: label `-1` is not one of 0, 1"
    );
    let skipped = SkippedRows::new();
    let rows = table.skip_bad_rows(&skipped).read_if_labelled();
    let rows = rows.expect("rows").expect("labels");
    assert_eq!(rows.len(), 2);
    let lines: Vec<_> = skipped.rows().iter().map(|row| row.line).collect();
    assert_eq!(lines, [Some(3), Some(4)]);
    // What is wrong with a text is an error in any case.
    let file = OneFile::new("a.csv", "text,label\na,-1\nb\n");
    let error = file.table().read_if_labelled().expect_err("a short row");
    assert_eq!(file.message(&error), "a.csv:3: expected 2 columns, found 1");
}

#[test]
fn a_class_that_is_called_minus_one_is_a_label() {
    let file = OneFile::new("a.csv", "text,label\na,-1\nb,1\n");
    let known = Labels::new(["-1", "1"]).expect("two names");
    let rows = file.table().known_labels(&known).read_if_labelled();
    assert_eq!(rows.expect("rows").expect("labels").len(), 2);
}

#[test]
fn numbers_and_lists_may_be_placeholders_too() {
    let file = OneFile::new("a.csv", "text,label\na,-1\nb,-1.0\n");
    assert_eq!(
        file.table().read_numbers_if_labelled().expect("texts"),
        None
    );
    assert_eq!(
        file.table()
            .read_lists_if_labelled()
            .expect("lists")
            .map(|rows| rows.len()),
        Some(2)
    );
    let file = OneFile::new("a.csv", "text,label\na,-1\nb,0.5\n");
    let rows = file.table().read_numbers_if_labelled().expect("numbers");
    assert_eq!(rows.expect("numbers")[0].label, [-1.0]);
    let file = OneFile::new("a.csv", "text,label\na,\nb,\n");
    assert_eq!(file.table().read_lists_if_labelled().expect("texts"), None);
    // A row without classes is one where others have some.
    let file = OneFile::new("a.csv", "text,label\na,\nb,x\n");
    let rows = file.table().read_lists_if_labelled().expect("lists");
    assert_eq!(rows.expect("lists").len(), 2);
}

#[test]
fn choices_may_have_placeholders() {
    let row =
        |label: &str| format!("{{\"question\": \"a\", \"endings\": [\"b\", \"c\"]{label}}}\n");
    for label in [
        "",
        ", \"label\": -1",
        ", \"label\": null",
        ", \"label\": \"\"",
        ", \"answerKey\": \"\"",
    ] {
        let file = OneFile::new("a.jsonl", row(label).repeat(2));
        let (rows, labelled) = ChoiceFile::open(&file.path)
            .read_if_labelled()
            .expect("questions");
        assert_eq!((rows.len(), labelled), (2, false), "{label}");
    }
    let file = OneFile::new("a.jsonl", row(", \"label\": 1") + &row(", \"label\": -1"));
    let choices = ChoiceFile::open(&file.path);
    let error = choices.read_if_labelled().expect_err("one label");
    assert_eq!(
        file.message(&error),
        "a.jsonl:2: field `label`: expected an index, found -1"
    );
    let skipped = SkippedRows::new();
    let (rows, labelled) = choices
        .skip_bad_rows(&skipped)
        .read_if_labelled()
        .expect("a question");
    assert_eq!((rows.len(), labelled, skipped.rows().len()), (1, true, 1));
}

/// Rows that are read at once and through an index are the same, and so is the list.
#[track_caller]
fn kept(
    name: &str,
    content: &[u8],
    of: impl Fn(Table) -> Table,
) -> (Vec<String>, Vec<(u64, String)>) {
    let file = OneFile::new(name, content);
    let (once, indexed) = (SkippedRows::new(), SkippedRows::new());
    let rows = of(file.table()).skip_bad_rows(&once).read().expect("rows");
    let index = of(file.table())
        .skip_bad_rows(&indexed)
        .index()
        .expect("rows");
    let again: Vec<_> = (0..index.len())
        .map(|row| index.get(row).expect("a row"))
        .collect();
    assert_eq!(rows, again);
    assert_eq!(once.rows(), indexed.rows());
    let skipped = once.rows().into_iter();
    let skipped = skipped.map(|row| (row.line.expect("a line"), row.problem));
    (
        rows.into_iter().map(|row| row.text).collect(),
        skipped.collect(),
    )
}

#[test]
fn rows_that_cannot_be_used_are_left_out_and_listed() {
    let (texts, skipped) = kept(
        "a.csv",
        b"text,label\na,0\nb\nc,\n\xff,1\n\"d\n\xff\",1\ne,1\nf,2\ng,0\n\"h,1\n",
        |table| table.known_labels(&labels()),
    );
    assert_eq!(texts, ["a", "e", "g"]);
    let problems = [
        (3, "expected 2 columns, found 1"),
        (4, "field `label`: the label is empty"),
        (5, "invalid UTF-8 at byte 0 of the line"),
        (7, "invalid UTF-8 at byte 0 of the line"),
        (9, "label `2` is not one of 0, 1"),
        (11, "a quoted field is still open at the end of the file"),
    ];
    let problems = problems.map(|(line, problem)| (line, problem.to_owned()));
    // An empty label is none of the known ones.
    assert_eq!(skipped, problems);

    let (texts, skipped) = kept(
        "a.jsonl",
        b"{\"text\": \"a\"\n{\"text\": \"b\", \"label\": 1}\n[]\n\n{\"text\": 3, \"label\": 1}\n\xff\n{\"text\": \"c\", \"label\": 0}\n",
        |table| table,
    );
    assert_eq!(texts, ["b", "c"]);
    let lines: Vec<u64> = skipped.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 3, 5, 6]);
}

/// So many that they lie in several blocks of the index.
#[test]
fn rows_between_others_are_found_in_every_block() {
    let mut content = "text\tlabel\n".to_owned();
    let mut expected = Vec::new();
    for row in 0..3000 {
        match row % 7 {
            0 | 3 => content += "short\n",
            1 if row > 1400 => content += &format!("{}\tx\ty\n", "long ".repeat(20)),
            _ => {
                content += &format!("row {row}\tx\n");
                expected.push(format!("row {row}"));
            }
        }
    }
    let (texts, skipped) = kept("a.tsv", content.as_bytes(), |table| table);
    assert_eq!(texts, expected);
    assert_eq!(texts.len() + skipped.len(), 3000);
    let (texts, _) = kept("a.tsv", content.as_bytes(), |table| {
        table.text(0).label(1).no_header()
    });
    assert_eq!(texts.len(), expected.len() + 1);
}

#[test]
fn a_file_of_which_no_row_can_be_used_is_an_error() {
    let skipped = SkippedRows::new();
    let problem = refused("a.csv", "text,label\na\nb\n", |table| {
        table.skip_bad_rows(&skipped)
    });
    assert_eq!(problem, "a.csv: no row can be used");
    // Neither is a header left out, nor a column that is not there.
    let problem = refused("a.csv", "texts,label\na,b\n", |table| {
        table.skip_bad_rows(&skipped)
    });
    assert_eq!(
        problem,
        "a.csv: no column `text`, the header has `texts`, `label`"
    );
}

#[test]
fn labels_for_each_class_are_refused_with_the_right_form() {
    let form = "labels that are 0 or 1 for each class are not read; write the names of the classes \
                that the row has, such as [\"a\", \"c\"]";
    let lists = |name: &str, content: &str| {
        let file = OneFile::new(name, content);
        let error = file.table().read_lists().expect_err("no names");
        file.message(&error)
    };
    assert_eq!(
        lists("a.jsonl", "{\"text\": \"a\", \"label\": [0, 1, 0]}\n"),
        format!("a.jsonl:1: field `label`: the label `0` stands there twice: {form}")
    );
    assert_eq!(
        lists(
            "a.jsonl",
            "{\"text\": \"a\", \"label\": [0.0, 1.0]}\n{\"text\": \"a\", \"label\": [1.0, 0.0]}\n"
        ),
        format!("a.jsonl: {form}")
    );
    let truths = "{\"text\": \"a\", \"label\": [true, false]}\n";
    assert_eq!(lists("a.jsonl", truths), format!("a.jsonl: {form}"));
    // Numbers that are ids of classes do not make them lists of names.
    let file = OneFile::new("a.jsonl", "{\"text\": \"a\", \"label\": [1, 0]}\n");
    let known = Labels::new(["x", "y"]).expect("labels").or_ids();
    let error = file.table().known_labels(&known).read_lists();
    let error = file.message(&error.expect_err("no names"));
    assert_eq!(error, format!("a.jsonl: {form}"));
    assert_eq!(
        lists("a.csv", "text,label\na,\"0,1,0\"\n"),
        format!("a.csv:2: field `label`: the label `0` stands there twice: {form}")
    );
    // Ids of classes are no such thing.
    let file = OneFile::new(
        "a.jsonl",
        "{\"text\": \"a\", \"label\": [0, 1]}\n{\"text\": \"a\", \"label\": [1]}\n",
    );
    assert_eq!(file.table().read_lists().expect("ids").len(), 2);
}

#[test]
fn a_decimal_comma_is_recognised() {
    let numbers = |content: &str, of: fn(Table) -> Table| {
        let file = OneFile::new("a.tsv", content);
        let error = of(file.table()).read_numbers().expect_err("no number");
        file.message(&error)
    };
    let comma = "text\tlabel\na\t5\nb\t5,5\n";
    assert_eq!(
        numbers(comma, |table| table),
        "a.tsv:3: field `label`: 2 numbers, the first row has 1: a decimal comma must be a point"
    );
    assert_eq!(
        numbers(comma, |table| table.label_delimiter(';')),
        "a.tsv:3: field `label`: expected a finite number, found `5,5`: write a decimal point for \
         the comma"
    );
    let kind = |content: &str| {
        let file = OneFile::new("a.tsv", content);
        let kind = file.table().problem_type();
        kind.map_err(|error| file.message(&error))
    };
    let undecided = kind(comma).expect_err("one number or two");
    assert!(
        undecided.starts_with(
            "a.tsv: labels such as `5,5` may be numbers with a decimal comma (write a point)"
        ),
        "{undecided}"
    );
    assert!(kind("text\tlabel\na\t0,1,0\n").is_err());
    assert_eq!(
        kind("text\tlabel\na\tArts, Crafts\n"),
        Ok("single_label_classification")
    );
}

/// run_glue.py and run_classification.py take each column of floats for regression.
#[test]
fn whole_numbers_that_are_written_as_floats_are_numbers() {
    let kind = |name: &str, content: &str| {
        let file = OneFile::new(name, content);
        file.table().problem_type().expect("a type")
    };
    let json = |label: &str| format!("{{\"text\": \"a\", \"label\": {label}}}\n");
    for (label, expected) in [
        ("5.0", "regression"),
        ("0.5", "regression"),
        ("1e1", "regression"),
        ("5", "single_label_classification"),
        ("true", "single_label_classification"),
        ("\"a\"", "single_label_classification"),
        ("[\"a\"]", "multi_label_classification"),
    ] {
        assert_eq!(kind("a.jsonl", &json(label).repeat(2)), expected, "{label}");
    }
    assert_eq!(kind("a.csv", "text,label\na,5.0\nb,10.0\n"), "regression");
    assert_eq!(
        kind("a.csv", "text,label\na,5\nb,10\n"),
        "single_label_classification"
    );
    // As classes they are in the order of numbers, and called as whole ones are.
    let file = OneFile::new("a.jsonl", json("10.0") + &json("2.0") + &json("1"));
    assert_eq!(
        file.table().index().expect("rows").labels().names(),
        ["1", "2", "10"]
    );
    let file = OneFile::new("a.csv", "text,label\na,10.0\nb,2.5\nc,1.0\n");
    assert_eq!(
        file.table().index().expect("rows").labels().names(),
        ["1.0", "2.5", "10.0"]
    );
}

#[test]
fn several_labels_may_stand_between_anything() {
    let file = OneFile::new("a.csv", "text,label\na,\"Arts, Crafts|Books\"\nb,Books\n");
    let table = file.table().label_delimiter('|');
    let rows = table.read_lists().expect("lists");
    assert_eq!(rows[0].label, ["Arts, Crafts", "Books"]);
    assert_eq!(
        table.problem_type().expect("a type"),
        "multi_label_classification"
    );
    assert_eq!(
        file.table().problem_type().expect("a type"),
        "single_label_classification"
    );
    let file = OneFile::new("a.csv", "text,label\na,1;2.5\n");
    let rows = file
        .table()
        .label_delimiter(';')
        .read_numbers()
        .expect("numbers");
    assert_eq!(rows[0].label, [1.0, 2.5]);
}

/// As data frames are saved with lists in them.
#[test]
fn lists_that_are_written_as_text_are_refused() {
    for list in ["['x', 'y']", "[\"x\"]", "[1, 0]", "[]"] {
        let file = OneFile::new(
            "a.csv",
            format!("text,label\na,\"{}\"\n", list.replace('"', "\"\"")),
        );
        let problem = format!(
            "`{list}` is a list that is written as text: write the names with a delimiter between \
             them, or the table as JSON lines"
        );
        let error = file.table().read_lists().expect_err("no names");
        assert_eq!(
            file.message(&error),
            format!("a.csv:2: field `label`: {problem}")
        );
        let error = file.table().problem_type().expect_err("no names");
        assert_eq!(file.message(&error), format!("a.csv: {problem}"));
    }
    let file = OneFile::new("a.csv", "text,label\na,[x]\n");
    assert_eq!(file.table().read_lists().expect("a row")[0].label, ["[x]"]);
}

#[test]
fn rows_have_as_many_numbers_as_are_asked_for() {
    let file = OneFile::new("a.csv", "text,label\na,\"0.5,1\"\n");
    assert_eq!(
        file.table().numbers(2).read_numbers().expect("rows").len(),
        1
    );
    let error = file.table().numbers(1).read_numbers().expect_err("two");
    assert_eq!(
        file.message(&error),
        "a.csv:2: field `label`: 2 numbers, the model has 1: a decimal comma must be a point"
    );
}

#[test]
fn what_python_writes_for_no_number_is_named() {
    for (written, word, column) in [("NaN", "NaN", 24), ("-Infinity", "Infinity", 25)] {
        let file = OneFile::new(
            "a.jsonl",
            format!("{{\"text\": \"a\", \"label\": {written}}}\n"),
        );
        let error = file.table().read().expect_err("no JSON");
        assert_eq!(
            file.message(&error),
            format!("a.jsonl:1: not valid JSON: {word} is none: write null (column {column})")
        );
    }
}
