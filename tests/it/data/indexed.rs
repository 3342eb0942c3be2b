//! Tables that stay in their files.

use bertfit::{Dataset, Example, IndexedTable, Labels, RowProblem, Table};
use bertfit::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;

use super::compressed::{gzip, xz};
use super::{OneFile, rows};

/// Rows for many blocks, with texts that formats trip over and three labels.
fn examples() -> Vec<Example> {
    let pieces = [
        "",
        "a",
        "\u{feff}b",
        "c \"d\"",
        "e,f",
        "'",
        "é😀",
        "\u{85}\u{2028}",
        "\\n",
        "{}",
        " g ",
    ];
    let text = |row: usize| {
        let words = (0..row % 23).map(|place| pieces[(row * 7 + place * 5) % pieces.len()]);
        words.collect::<Vec<_>>().join(" ")
    };
    let example = |row| {
        let first = pieces[row % pieces.len()];
        Example::new(format!("{first}{}", text(row)), ["x", "y", "10"][row % 3])
    };
    (0..600).map(example).collect()
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// How a file may be written in more ways than by its format.
#[derive(Debug, Clone, Copy)]
struct Style {
    header: bool,
    windows: bool,
    mark: bool,
    blanks: bool,
}

impl Style {
    fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|bits| Self {
            header: bits & 1 > 0,
            windows: bits & 2 > 0,
            mark: bits & 4 > 0,
            blanks: bits & 8 > 0,
        })
    }

    /// `examples` as a file, and the columns of text and label.
    fn write(self, ending: &str, examples: &[Example]) -> String {
        let line = |Example { text, label, .. }: &Example| match ending {
            "tsv" => format!("{text}\t{label}"),
            // Every third is as bare as it may be.
            "csv" if text.contains([',', '\n']) || text.starts_with('"') => {
                format!("{},{label}", quoted(text))
            }
            "csv" if text.len() % 3 > 0 => format!("{},{label}", quoted(text)),
            "csv" => format!("{text},{label}"),
            _ => serde_json::json!({"text": text, "label": label}).to_string(),
        };
        let mut lines: Vec<String> = examples.iter().map(line).collect();
        if self.header && ending != "jsonl" {
            lines.insert(
                0,
                if ending == "tsv" {
                    "text\tlabel"
                } else {
                    "text,label"
                }
                .to_owned(),
            );
        }
        let end = if self.windows { "\r\n" } else { "\n" };
        let between = match (self.blanks, ending) {
            (true, "jsonl") => format!("{end} {end}{end}"),
            _ => end.to_owned(),
        };
        let mark = if self.mark { "\u{feff}" } else { "" };
        let after = if self.blanks {
            end.repeat(3)
        } else {
            String::new()
        };
        format!("{mark}{}{after}", lines.join(&between))
    }

    fn table(self, ending: &str, file: &OneFile) -> Table {
        match self.header || ending == "jsonl" {
            true => file.table(),
            false => file.table().no_header().text(0).label(1),
        }
    }
}

#[test]
fn rows_are_those_of_reading_however_the_file_is_written() {
    let plain = examples();
    // In quotes a line break is text, and in JSON it is escaped.
    let mut broken = plain.clone();
    for (row, example) in broken
        .iter_mut()
        .enumerate()
        .filter(|(row, _)| row % 4 == 0)
    {
        example.text += ["\n", "\r\n", "\n\n\"", "\n\u{feff}"][row / 4 % 4];
    }
    for style in Style::all() {
        for (ending, examples) in [("tsv", &plain), ("csv", &broken), ("jsonl", &broken)] {
            let content = style.write(ending, examples);
            for (packing, bytes) in [
                ("", content.clone().into_bytes()),
                (".gz", gzip(&content)),
                (".xz", xz(&content)),
            ] {
                let file = OneFile::new(&format!("a.{ending}{packing}"), bytes);
                let table = style.table(ending, &file);
                let rows = rows(&file, &table).unwrap_or_else(|problem| panic!("{problem}"));
                assert!(&rows == examples, "{ending}{packing}, {style:?}");
            }
        }
    }
}

fn index(file: &OneFile) -> IndexedTable {
    let indexed = file.table().index();
    indexed.unwrap_or_else(|error| panic!("{}", file.message(&error)))
}

fn long_csv() -> (OneFile, Vec<Example>) {
    let examples = examples();
    let style = Style {
        header: true,
        windows: false,
        mark: false,
        blanks: false,
    };
    (
        OneFile::new("a.csv", style.write("csv", &examples)),
        examples,
    )
}

#[test]
fn rows_come_in_any_order_and_from_several_threads() {
    let (file, examples) = long_csv();
    let indexed = index(&file);
    assert_eq!(indexed.len(), examples.len());
    assert!(!indexed.is_empty());
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (indexed, examples) = (&indexed, &examples);
            scope.spawn(move || {
                let mut order: Vec<usize> = (0..examples.len()).collect();
                order.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
                for row in order {
                    assert_eq!(indexed.get(row).expect("a row"), examples[row]);
                }
            });
        }
    });
}

#[test]
fn labels_are_those_of_the_rows_in_sorted_order() {
    let (file, examples) = long_csv();
    let labels = Labels::sorted(examples.iter().map(|example| &example.label));
    assert_eq!(index(&file).labels(), &labels.expect("labels"));
    let known = Labels::new(["y", "10", "x", "z"]).expect("four names");
    let indexed = file
        .table()
        .known_labels(&known)
        .index()
        .expect("known labels");
    assert_eq!(indexed.labels().names(), ["10", "x", "y"]);
}

#[test]
fn rows_longer_than_a_block_are_read_whole() {
    let long = "long \"\" text, ".repeat(2_000);
    let text = |row: usize| {
        if row.is_multiple_of(3) {
            long.as_str()
        } else {
            "short"
        }
    };
    let examples: Vec<Example> = (0..20).map(|row| Example::new(text(row), "x")).collect();
    let lines: Vec<String> = examples
        .iter()
        .map(|example| format!("{},x\n", quoted(&example.text)))
        .collect();
    let file = OneFile::new("a.csv", lines.concat());
    let table = file.table().no_header().text(0).label(1);
    assert_eq!(rows(&file, &table).expect("rows"), examples);
}

#[test]
fn error_in_the_last_of_many_rows() {
    let (file, _) = long_csv();
    let content = std::fs::read_to_string(&file.path).expect("the file");
    let lines = content.lines().count();
    for (row, problem) in [
        ("a\n", "expected 2 columns, found 1"),
        (
            "a,\"x\n\n",
            "a quoted field is still open at the end of the file",
        ),
        ("a,\n", "field `label`: the label is empty"),
    ] {
        let file = OneFile::new("a.csv", format!("{content}\n{row}"));
        let message = rows(&file, &file.table()).expect_err("a bad row");
        assert_eq!(message, format!("a.csv:{}: {problem}", lines + 1));
    }
}

#[test]
#[should_panic(expected = "index out of bounds: the table has 600 rows, but the index is 600")]
fn asking_for_a_row_past_the_end_panics() {
    let (file, _) = long_csv();
    let _ = index(&file).get(600);
}

/// Rows that are still right, or the messages for those that are not.
fn each_row(file: &OneFile, indexed: &IndexedTable) -> Vec<Result<Example, String>> {
    let row = |row| match indexed.get(row) {
        Err(Error::Line {
            path,
            line,
            problem: RowProblem::Changed,
        }) => {
            assert_eq!(path, file.path);
            Err(format!("line {line}"))
        }
        other => other.map_err(|error| panic!("{}", file.message(&error))),
    };
    (0..indexed.len()).map(row).collect()
}

/// 1000 lines of 20 bytes: a block has 205 of them.
fn even_tsv() -> OneFile {
    let line = |row| format!("this is row {row:05}\t{}\n", row % 2);
    let lines: Vec<String> = (0..1000).map(line).collect();
    OneFile::new(
        "a.tsv",
        ["text\tlabel\n".to_owned(), lines.concat()].concat(),
    )
}

#[test]
fn a_row_of_a_file_that_was_changed_in_place_is_an_error_with_its_line() {
    let file = even_tsv();
    let content = std::fs::read(&file.path).expect("the file");
    let expected = file.table().read().expect("rows");
    let indexed = index(&file);
    let modified = std::fs::metadata(&file.path).and_then(|data| data.modified());
    // Another number in row 500, of the same length, at the same time: a row as good.
    let place = 11 + 500 * 20 + 15;
    let mut other = content.clone();
    other[place] = b'9';
    std::fs::write(&file.path, &other).expect("the file");
    let open = std::fs::File::options()
        .write(true)
        .open(&file.path)
        .expect("the file");
    open.set_modified(modified.expect("a time"))
        .expect("the file");
    let rows = each_row(&file, &indexed);
    let wrong: Vec<usize> = (0..1000).filter(|&row| rows[row].is_err()).collect();
    assert!(wrong.contains(&500) && wrong.len() < 250, "{wrong:?}");
    for (row, got) in rows.iter().enumerate() {
        match got {
            Ok(example) => assert_eq!(example, &expected[row]),
            // The first line of a block: the header is line 1.
            Err(line) => assert_eq!(line, &format!("line {}", wrong[0] + 2)),
        }
    }
    let error = indexed.get(500).expect_err("another row");
    assert_eq!(
        file.message(&error),
        format!(
            "a.tsv:{}: the file has changed, here or a little after, since it was indexed",
            wrong[0] + 2
        )
    );
    // What is right again is read again.
    std::fs::write(&file.path, &content).expect("the file");
    assert_eq!(indexed.get(500).expect("a row"), expected[500]);
}

#[test]
fn a_row_of_a_file_that_was_cut_or_shifted_is_an_error() {
    let file = even_tsv();
    let content = std::fs::read(&file.path).expect("the file");
    let expected = file.table().read().expect("rows");
    let indexed = index(&file);
    let cut = 11 + 700 * 20;
    let one_more = [&content[..cut], b"x\t1\n", &content[cut..]].concat();
    let garbage = [&content[..cut], &[0xff; 100][..], &content[cut + 100..]].concat();
    for changed in [&content[..cut], &one_more, &garbage, b""] {
        std::fs::write(&file.path, changed).expect("the file");
        let rows = each_row(&file, &indexed);
        assert!(rows[700].is_err());
        for (row, got) in rows.iter().enumerate() {
            assert!(got.as_ref().map_or(true, |got| got == &expected[row]));
            // Blocks before the change are as they were.
            assert!(row > 450 || changed.is_empty() || got.is_ok());
        }
    }
}

#[test]
fn rows_added_to_the_file_are_not_seen() {
    let file = even_tsv();
    let expected = file.table().read().expect("rows");
    let indexed = index(&file);
    let mut open = std::fs::File::options()
        .append(true)
        .open(&file.path)
        .expect("the file");
    std::io::Write::write_all(&mut open, b"one more\t1\nand a bad one").expect("the file");
    assert_eq!(indexed.len(), 1000);
    for (row, got) in each_row(&file, &indexed).into_iter().enumerate() {
        assert_eq!(got.expect("a row"), expected[row]);
    }
}

#[cfg(unix)]
#[test]
fn a_file_may_be_replaced_or_deleted_once_it_is_indexed() {
    for name in ["a.tsv", "a.tsv.gz"] {
        let content = "text\tlabel\na\t1\nb\t0\n";
        let bytes = match name {
            "a.tsv" => content.into(),
            _ => gzip(content),
        };
        let file = OneFile::new(name, bytes);
        let indexed = index(&file);
        std::fs::remove_file(&file.path).expect("the file");
        assert_eq!(indexed.get(0).expect("a row"), Example::new("a", "1"));
        std::fs::write(&file.path, "others").expect("the file");
        assert_eq!(indexed.get(1).expect("a row"), Example::new("b", "0"));
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_once() {
    let file = even_tsv();
    let expected = file.table().read().expect("rows");
    let content = std::fs::read(&file.path).expect("the file");
    std::fs::remove_file(&file.path).expect("the file");
    let made = std::process::Command::new("mkfifo")
        .arg(&file.path)
        .status();
    assert!(made.expect("mkfifo").success());
    let indexed = std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&file.path, &content).expect("the pipe"));
        index(&file)
    });
    assert_eq!(
        each_row(&file, &indexed),
        expected.into_iter().map(Ok).collect::<Vec<_>>()
    );
}

#[test]
fn an_index_can_be_made_on_one_thread_and_used_on_another() {
    fn crosses_threads<T: Send + Sync + 'static>() {}
    crosses_threads::<IndexedTable>();
}
