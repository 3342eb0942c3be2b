//! Files of rows to examples: TSV, CSV, JSON lines and Parquet, plain or compressed. Every
//! failure names the file, the line and the field. Rows stream through, so that
//! besides the result only one is in memory; `index` keeps none (see `indexed`).

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::columns::{self, Column, Columns, Layout, Row};
use super::decompress::{Unpack, open};
use super::example::Example;
use super::format::Format;
use super::indexed::IndexedTable;
use super::labels::Labels;
use super::raw_label::RawLabel;
use super::records::Records;
use crate::error::{Error, Result, RowProblem};

/// A file with one example a row, and which of its columns are wanted.
///
/// The name says how the file is written: `.tsv`, `.csv`, `.jsonl`, `.ndjson`, `.json` or
/// `.txt` ([`Format`]), each also with `.gz` or `.xz` after it, or `.parquet`, of which a row
/// counts as a line. All are UTF-8,
/// with or without a byte-order mark, and have a header (JSON lines have keys
/// instead; lines of text are the column `text`). A text may be empty, a label may not.
/// Blank lines are ignored at the end of a file and anywhere in JSON lines and `.txt`;
/// elsewhere they are rows.
///
/// ```
/// # use bertfit::Table;
/// let train = Table::open("examples/data/train.tsv").text("sentence").label("label").read()?;
/// assert_eq!(train.len(), 2403);
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    unpack: Unpack,
    format: Option<Format>,
    header: bool,
    columns: Columns,
    label: Column,
    known: Option<Labels>,
}

impl Table {
    /// The file at `path`, with the text in column `text` and the label in column
    /// `label` unless said otherwise. It is opened when it is read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            unpack: Unpack::default(),
            format: None,
            header: true,
            columns: Columns {
                text: "text".into(),
                pair: None,
                negative: None,
                label: None,
            },
            label: "label".into(),
            known: None,
        }
    }

    /// The column with the text, or with the first text of a pair; default
    /// `text`.
    pub fn text(mut self, column: impl Into<Column>) -> Self {
        self.columns.text = column.into();
        self
    }

    /// The column with the second text of a pair; default none.
    pub fn pair(mut self, column: impl Into<Column>) -> Self {
        self.columns.pair = Some(column.into());
        self
    }

    /// The column with the label; default `label`.
    pub fn label(mut self, column: impl Into<Column>) -> Self {
        self.label = column.into();
        self
    }

    /// The first line is a row, not a header; columns then go by index. JSON
    /// lines have no header in any case.
    pub fn no_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// How the file is written, whatever its name says; `.gz` and `.xz` count all
    /// the same.
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// A label that is not one of these is an error at its line.
    pub fn known_labels(mut self, labels: &Labels) -> Self {
        self.known = Some(labels.clone());
        self
    }

    /// Lifts the limits of a compressed file, for one that you trust: by default it may not
    /// become more than 64 MiB and 200 times its size, nor ask for more than 256 MiB of memory.
    pub fn unpack_everything(mut self) -> Self {
        self.unpack = Unpack::Everything;
        self
    }

    /// All rows with their labels, in the order of the file.
    ///
    /// # Errors
    /// - [`Error::Read`]: the file cannot be opened, read or decompressed.
    /// - [`Error::File`]: it has no rows, or not the wanted columns.
    /// - [`Error::Line`]: a line is not UTF-8 or not a row of the format, has a
    ///   wrong number of columns, or lacks a wanted field; a label is empty or not
    ///   a known one.
    /// - [`Error::Config`]: the format is unknown, a column is named where there
    ///   are no names, or counted where there is no order.
    pub fn read(&self) -> Result<Vec<Example>> {
        self.rows(&self.labelled_columns(), |row| self.labelled(row))
    }

    /// All rows with any number of labels each, for several classes a row: names between
    /// `separator`s, or lists in JSON lines.
    ///
    /// # Errors
    /// As [`read`](Self::read), but a row may have no label; none of them may stand there
    /// twice.
    pub fn read_lists(&self, separator: char) -> Result<Vec<Example<Vec<String>>>> {
        self.rows(&self.labelled_columns(), |row| {
            let row = self.interpreted(row, |label| label.names(separator))?;
            row.label.iter().try_for_each(|label| self.check(label))?;
            Ok(row)
        })
    }

    /// All rows with numbers instead of labels, for regression: one each, or as many as
    /// the first row has, between commas or in lists of JSON lines.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Line`] where a number is none or not finite, or
    /// there are more or fewer than in the first row.
    pub fn read_numbers(&self) -> Result<Vec<Example<Vec<f32>>>> {
        let mut expected = None;
        self.rows(&self.labelled_columns(), |row| {
            let row = self.interpreted(row, RawLabel::numbers)?;
            let found = row.label.len();
            match *expected.get_or_insert(found) {
                expected if expected == found => Ok(row),
                expected => {
                    let problem = format!("{found} numbers, the first row has {expected}");
                    Err(self.label_problem(problem))
                }
            }
        })
    }

    /// Each row of these columns as `interpret` reads it.
    pub(super) fn rows<T>(
        &self,
        columns: &Columns,
        mut interpret: impl FnMut(Row) -> Result<T, RowProblem>,
    ) -> Result<Vec<T>> {
        let mut examples = Vec::new();
        let (mut records, header) = self.records()?;
        self.scan(&mut records, header, columns, |_, row| {
            examples.push(interpret(row)?);
            Ok(())
        })?;
        Ok(examples)
    }

    /// The same rows without keeping them: all are read and checked now, and each is
    /// read again from the file when it is asked for.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Read`] also when a compressed file cannot be
    /// unpacked into a temporary one.
    pub fn index(&self) -> Result<IndexedTable> {
        IndexedTable::new(self)
    }

    /// All texts or pairs, in the order of the file, for prediction: no label
    /// column is looked for.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what concerns labels.
    pub fn read_texts(&self) -> Result<Vec<Example<()>>> {
        self.rows(&self.columns, |row| {
            let Row { text, pair, .. } = row;
            Ok(Example {
                text,
                pair,
                label: (),
            })
        })
    }

    /// Whether the file has the label column, as its header or its first row tells;
    /// a file to predict may lack it.
    ///
    /// # Errors
    /// When the file cannot be opened, read or decompressed, or its format is
    /// unknown.
    pub fn has_label(&self) -> Result<bool> {
        self.has(&self.label)
    }

    /// Whether the file has a column, as [`has_label`](Self::has_label).
    ///
    /// # Errors
    /// As [`has_label`](Self::has_label).
    pub fn has(&self, column: &Column) -> Result<bool> {
        let (mut records, header) = self.records()?;
        let first = records.read()?;
        Ok(first.is_some_and(|(_, first)| columns::has(column, first, header)))
    }

    /// What the labels look like, by Hugging Face's names: `multi_label_classification`
    /// if the first one is a list, `regression` if the first 1,000 are all numbers and not
    /// all of them whole, else `single_label_classification`.
    ///
    /// # Errors
    /// As [`read`](Self::read), for the rows that are looked at.
    pub fn problem_type(&self) -> Result<&'static str> {
        const LOOKED_AT: usize = 1000;
        let (mut records, header) = self.records()?;
        let columns = self.labelled_columns();
        let mut layout = None;
        let mut labels = Vec::new();
        while labels.len() < LOOKED_AT
            && let Some((line, record)) = records.read()?
        {
            let layout = match &layout {
                Some(layout) => layout,
                None => {
                    let found = layout.insert(Layout::new(&columns, record, header, &self.path)?);
                    if header {
                        continue;
                    }
                    found
                }
            };
            let row = layout.pick(record);
            let row = row.map_err(|problem| records.error(line, problem))?;
            labels.extend(row.label);
        }
        if matches!(labels.first(), Some(RawLabel::List(_))) {
            return Ok("multi_label_classification");
        }
        let number = |label: RawLabel| label.name().ok()?.parse::<f64>().ok();
        let numbers: Option<Vec<f64>> = labels.into_iter().map(number).collect();
        let fraction = |number: &f64| number.fract() != 0.0;
        Ok(match numbers {
            Some(numbers) if numbers.iter().any(fraction) => "regression",
            _ => "single_label_classification",
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn unpack(&self) -> Unpack {
        self.unpack
    }

    /// How the file is written, and whether its first record is a header.
    pub(super) fn written(&self) -> Result<(Format, bool)> {
        let format = self.format.map_or_else(|| Format::of(&self.path), Ok)?;
        let columns = matches!(format, Format::Tsv | Format::Csv);
        Ok((format, self.header && columns))
    }

    /// The columns of texts.
    pub(super) fn text_columns(&self) -> &Columns {
        &self.columns
    }

    /// The columns of a row for training.
    pub(super) fn labelled_columns(&self) -> Columns {
        Columns {
            label: Some(self.label.clone()),
            ..self.columns.clone()
        }
    }

    /// A row of these columns, if its label is a known one.
    pub(super) fn labelled(&self, row: Row) -> Result<Example, RowProblem> {
        let row = self.interpreted(row, RawLabel::name)?;
        self.check(&row.label)?;
        Ok(row)
    }

    /// A row with its label as `interpret` reads it.
    fn interpreted<L>(
        &self,
        row: Row,
        interpret: impl Fn(RawLabel) -> Result<L, String>,
    ) -> Result<Example<L>, RowProblem> {
        let Row {
            text, pair, label, ..
        } = row;
        let label = interpret(label.expect("the layout has a label column"));
        let label = label.map_err(|problem| self.label_problem(problem))?;
        Ok(Example { text, pair, label })
    }

    pub(super) fn label_problem(&self, problem: String) -> RowProblem {
        RowProblem::Field {
            field: self.label.to_string(),
            problem,
        }
    }

    fn check(&self, label: &str) -> Result<(), RowProblem> {
        match &self.known {
            Some(known) if known.get(label).is_none() => Err(RowProblem::UnknownLabel {
                label: label.to_owned(),
                known: known.names().to_vec(),
            }),
            _ => Ok(()),
        }
    }

    /// The file's records, and whether the first of them is a header.
    fn records(&self) -> Result<(Records<impl BufRead + use<>>, bool)> {
        let (format, header) = self.written()?;
        let records = Records::new(open(&self.path, self.unpack)?, format, 1, &self.path);
        Ok((records, header))
    }

    /// Gives each row to `take`, whose problem ends the reading at that row. The
    /// records are then those after it.
    pub(super) fn scan<R: BufRead>(
        &self,
        records: &mut Records<R>,
        header: bool,
        columns: &Columns,
        mut take: impl FnMut(&mut Records<R>, Row) -> Result<(), RowProblem>,
    ) -> Result<Layout> {
        let mut layout = None;
        let mut rows = 0_u64;
        while let Some((line, record)) = records.read()? {
            let layout = match &layout {
                Some(layout) => layout,
                None => {
                    let found = Layout::new(columns, record, header, &self.path)?;
                    let found = layout.insert(found);
                    if header {
                        continue;
                    }
                    found
                }
            };
            layout
                .pick(record)
                .and_then(|row| take(records, row))
                .map_err(|problem| records.error(line, problem))?;
            rows += 1;
        }
        let problem = match (rows, layout, records.lines_read()) {
            (1.., Some(layout), _) => return Ok(layout),
            (_, Some(_), _) => "there are no rows after the header",
            (_, None, 0) => "the file is empty",
            (_, None, _) => "the file has only blank lines",
        };
        Err(Error::File {
            path: self.path.clone(),
            problem: problem.to_owned(),
        })
    }
}
