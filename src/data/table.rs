//! Files of rows to examples: TSV, CSV, JSON lines and Parquet, plain or compressed. Every
//! failure names the file, the line and the field. Rows stream through, so that
//! besides the result only one is in memory; `index` keeps none (see `indexed`).

mod interpret;

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::class_names::class_names;
use super::columns::{self, Column, Columns, Layout, Row};
use super::decompress::{Unpack, open_rows};
use super::example::Example;
use super::format::{Format, Quoting, Syntax};
use super::indexed::IndexedTable;
use super::labels::Labels;
use super::quotes::Quotes;
use super::raw_label::RawLabel;
use super::records::{Record, Records};
use super::skipped::SkippedRows;
use crate::error::{Error, Result, RowProblem};

/// A file with one example a row, and which of its columns are wanted.
///
/// The name says how the file is written: `.tsv`, `.csv`, `.jsonl`, `.ndjson`, `.json` or
/// `.txt` ([`Format`]), each also with `.gz` or `.xz` after it, or `.parquet`, of which a row
/// counts as a line. All are UTF-8,
/// with or without a byte-order mark, and have a header (JSON has keys
/// instead; lines of text are the column `text`). A text may be empty, a label may not. Numbers and
/// truth values of JSON are labels too: `1.0` is the same as `1`, and `true` is `True`, as
/// transformers calls it.
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
    delimiter: Option<char>,
    quoting: Quoting,
    header: bool,
    columns: Columns,
    label: Column,
    label_delimiter: Option<char>,
    known: Option<Labels>,
    /// Numbers of a row.
    pub(super) count: Option<usize>,
    pub(super) skipped: Option<SkippedRows>,
}

impl Table {
    /// The file at `path`, with the text in column `text` and the label in column
    /// `label` unless said otherwise. It is opened when it is read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            unpack: Unpack::default(),
            format: None,
            delimiter: None,
            quoting: Quoting::default(),
            header: true,
            columns: Columns {
                text: "text".into(),
                pair: None,
                negative: None,
                label: None,
            },
            label: "label".into(),
            label_delimiter: None,
            known: None,
            count: None,
            skipped: None,
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

    /// What stands between columns; default a tab in `.tsv` and a comma in `.csv`. With it, files
    /// of any name have columns, but for those of JSON.
    pub fn delimiter(mut self, delimiter: char) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// What quotes mean; default [`Quoting::Auto`].
    pub fn quoting(mut self, quoting: Quoting) -> Self {
        self.quoting = quoting;
        self
    }

    /// What stands between several labels or numbers of a row; default a comma. Lists of JSON need
    /// none.
    pub fn label_delimiter(mut self, delimiter: char) -> Self {
        self.label_delimiter = Some(delimiter);
        self
    }

    /// Leaves out rows that cannot be used, and adds them to `skipped`; by default the first of
    /// them is an error. A file of which no row can be used is one all the same.
    pub fn skip_bad_rows(mut self, skipped: &SkippedRows) -> Self {
        self.skipped = Some(skipped.clone());
        self
    }

    /// A label that stands for none of these ([`Labels::resolve`]) is an error at its line, and any
    /// other is read as the name that it stands for.
    pub fn known_labels(mut self, labels: &Labels) -> Self {
        self.known = Some(labels.clone());
        self
    }

    /// Rows have so many numbers as labels; default as many as the first one.
    pub fn numbers(mut self, count: usize) -> Self {
        self.count = Some(count);
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
    /// [`label_delimiter`](Self::label_delimiter)s, or lists in JSON.
    ///
    /// # Errors
    /// As [`read`](Self::read), but a row may have no label; none of them may stand there
    /// twice. [`Error::File`] where all rows have a 0 or 1 for each class instead of names.
    pub fn read_lists(&self) -> Result<Vec<Example<Vec<String>>>> {
        let mut one_hot = true;
        let rows = self.rows(&self.labelled_columns(), |row| {
            self.listed(row, &mut one_hot)
        })?;
        self.refuse_one_hot(one_hot)?;
        Ok(rows)
    }

    /// All rows with numbers instead of labels, for regression: one each, or as many as
    /// the first row has, between [`label_delimiter`](Self::label_delimiter)s or in lists of JSON.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Line`] where a number is none or not finite, or
    /// there are more or fewer than in the first row.
    pub fn read_numbers(&self) -> Result<Vec<Example<Vec<f32>>>> {
        let (mut expected, mut texts) = (self.count, false);
        let rows = self.rows(&self.labelled_columns(), |row| {
            texts |= matches!(row.label, Some(Ok(RawLabel::Text(_))));
            self.numbered(row, &mut expected)
        })?;
        if texts {
            self.warn_of_commas(expected.unwrap_or(1));
        }
        Ok(rows)
    }

    /// Each row of these columns as `interpret` reads it.
    pub(super) fn rows<T>(
        &self,
        columns: &Columns,
        mut interpret: impl FnMut(Row) -> Result<T, RowProblem>,
    ) -> Result<Vec<T>> {
        let mut examples = Vec::new();
        let (mut records, header) = self.records()?;
        self.scan(&mut records, header, columns, |_, _, row| {
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

    /// The names of the label column's classes, in the order of their ids, where the file is a
    /// Parquet file that Hugging Face's `datasets` has written and the column a `ClassLabel` of
    /// it. Rows have these names for labels then, and not the ids that stand in the file.
    ///
    /// # Errors
    /// When the file cannot be read, or is no Parquet file despite its name.
    pub fn class_names(&self) -> Result<Option<Labels>> {
        class_names(&self.path, &self.label.to_string())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn unpack(&self) -> Unpack {
        self.unpack
    }

    /// How the file is written, and whether its first record is a header.
    pub(super) fn written(&self) -> Result<(Syntax, bool)> {
        let by_name = || Format::of(&self.path);
        let format = match (self.format, self.delimiter) {
            (Some(format), _) => Some(format),
            // It says how the file is written, but for JSON.
            (None, Some(_)) => by_name().ok(),
            (None, None) => Some(by_name()?),
        };
        let syntax = Syntax::new(format, self.delimiter, self.quoting)?;
        let columns = matches!(syntax, Syntax::Columns { .. });
        Ok((syntax, self.header && columns))
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

    /// The file's records, and whether the first of them is a header.
    pub(super) fn records(&self) -> Result<(Records<impl BufRead + use<>>, bool)> {
        let (syntax, header) = self.written()?;
        let content = open_rows(&self.path, self.unpack, syntax)?;
        Ok((Records::new(content, syntax, 1, &self.path), header))
    }

    /// Gives each row and its line to `take`, whose problem ends the reading at that row unless
    /// such rows are left out. The records are then those after it.
    pub(super) fn scan<R: BufRead>(
        &self,
        records: &mut Records<R>,
        header: bool,
        columns: &Columns,
        mut take: impl FnMut(&mut Records<R>, u64, Row) -> Result<(), RowProblem>,
    ) -> Result<Layout> {
        let mut layout: Option<Layout> = None;
        let (mut rows, mut skipped) = (0_u64, 0_u64);
        let mut quotes = self.watched_quotes()?;
        loop {
            let read = match records.read() {
                Ok(None) => break,
                Ok(Some((line, record))) => {
                    if let (Some(quotes), Record::Fields(fields)) = (&mut quotes, record) {
                        quotes.see(fields);
                    }
                    let found = match &layout {
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
                    let row = found.pick(record);
                    row.and_then(|row| take(records, line, row))
                        .map_err(|problem| records.error(line, problem))
                }
                // Without a header nothing can be read.
                Err(error) if header && layout.is_none() => return Err(error),
                Err(error) => Err(error),
            };
            match (read, &self.skipped) {
                (Ok(()), _) => rows += 1,
                (Err(error), Some(list)) => {
                    list.take(error)?;
                    skipped += 1;
                }
                (Err(error), None) => return Err(error),
            }
        }
        if let Some(example) = quotes.as_ref().and_then(Quotes::example) {
            log::warn!(
                "{}: the quotes around fields such as `{example}` are read as text: if they are \
                 not, ask for `quoting` minimal (--quoting minimal)",
                self.path.display()
            );
        }
        let problem = match (rows, layout, records.lines_read()) {
            (1.., Some(layout), _) => return Ok(layout),
            _ if skipped > 0 => "no row can be used",
            (_, Some(_), _) => "there are no rows after the header",
            (_, None, 0) => "the file is empty",
            (_, None, _) => "the file has only blank lines",
        };
        Err(Error::File {
            path: self.path.clone(),
            problem: problem.to_owned(),
        })
    }

    /// What counts quotes, where they are taken for text without having been asked for.
    fn watched_quotes(&self) -> Result<Option<Quotes>> {
        let unquoted = matches!(self.written()?.0, Syntax::Columns { quoted: false, .. });
        Ok((unquoted && self.quoting == Quoting::Auto).then(Quotes::default))
    }
}
