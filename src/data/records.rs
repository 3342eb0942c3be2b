//! Lines to records: the fields of a TSV or CSV row, or one JSON object. Any
//! buffered bytes will do as input, a whole file or the bytes of a single record.
//! Which field means what is not known here (see `columns`).

use std::io::{self, BufRead, Read};
use std::path::Path;

use csv::StringRecord;
use serde_json::{Map, Value};

use super::format::Format;
use super::lines::Lines;
use crate::error::{Error, Result, RowProblem};

/// One row, not yet interpreted.
pub(super) enum Record {
    /// The fields of a TSV or CSV row.
    Fields(StringRecord),
    /// An object of JSON lines.
    Object(Map<String, Value>),
}

/// The records of a stream, one at a time in one buffer.
pub(super) struct Records<R> {
    format: Format,
    csv: csv::Reader<CsvInput<R>>,
    record: Record,
    blanks: Blanks,
}

/// Blank lines are rows only where something follows them, so the reader must
/// look past them first.
#[derive(Clone, Copy)]
enum Blanks {
    /// The next line has not been looked at.
    Unknown,
    /// This many blank lines come before the line that the reader holds.
    Before(u64),
}

impl<R: BufRead> Records<R> {
    /// `path` is for messages only.
    pub(super) fn new(reader: R, format: Format, path: &Path) -> Self {
        let lines = Lines::new(reader, path);
        let csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            // `\r` is dealt with below: by default it would end a row on its own.
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(CsvInput {
                lines,
                offset: 0,
                ended: false,
                failure: None,
            });
        let record = match format {
            Format::Tsv | Format::Csv => Record::Fields(StringRecord::new()),
            Format::JsonLines => Record::Object(Map::new()),
        };
        Self {
            format,
            csv,
            record,
            blanks: Blanks::Unknown,
        }
    }

    /// The next record and the line on which it starts; `None` after the last.
    pub(super) fn read(&mut self) -> Result<Option<(u64, &Record)>> {
        let Some(blanks) = self.skip_blanks()? else {
            return Ok(None);
        };
        let line = self.lines().number() - blanks;
        if blanks > 0 {
            self.blanks = Blanks::Before(blanks - 1);
            // A blank line is a row with one empty field.
            self.record = Record::Fields(StringRecord::from(vec![""]));
            return Ok(Some((line, &self.record)));
        }
        self.blanks = Blanks::Unknown;
        self.record = match self.format {
            Format::Tsv => Record::Fields(self.lines().content().split('\t').collect()),
            Format::Csv => Record::Fields(self.read_csv(line)?),
            Format::JsonLines => {
                let object = parse_object(self.lines().content());
                Record::Object(object.map_err(|problem| self.error(line, problem))?)
            }
        };
        Ok(Some((line, &self.record)))
    }

    /// Number of lines read so far.
    pub(super) fn lines_read(&self) -> u64 {
        self.lines().number()
    }

    /// A problem with the record that starts on `line`.
    pub(super) fn error(&self, line: u64, problem: RowProblem) -> Error {
        self.lines().error(line, problem)
    }

    fn lines(&self) -> &Lines<R> {
        &self.csv.get_ref().lines
    }

    /// Goes to the next line that is not blank and returns how many blank rows
    /// are to be given before it; `None` if there is no such line.
    fn skip_blanks(&mut self) -> Result<Option<u64>> {
        if let Blanks::Before(blanks) = self.blanks {
            return Ok(Some(blanks));
        }
        let mut blanks = 0;
        loop {
            let input = self.csv.get_mut();
            if !input.lines.advance()? {
                return Ok(None);
            }
            input.offset = 0;
            let content = input.lines.content();
            match self.format {
                Format::Tsv | Format::Csv if content.is_empty() => blanks += 1,
                Format::JsonLines if content.trim_ascii().is_empty() => {}
                _ => return Ok(Some(blanks)),
            }
        }
    }

    /// The CSV record that starts on the current line.
    fn read_csv(&mut self, line: u64) -> Result<StringRecord> {
        let mut record = StringRecord::new();
        let read = self.csv.read_record(&mut record);
        if let Some(failure) = self.csv.get_mut().failure.take() {
            return Err(failure);
        }
        read.map_err(|error| self.error(line, RowProblem::Syntax(error.to_string())))?;
        // Each line comes with its end, so only open quotes ask for more than all.
        if self.csv.get_ref().ended {
            let problem = "a quoted field is still open at the end of the file";
            return Err(self.error(line, RowProblem::Syntax(problem.to_owned())));
        }
        // This `\r` is outside quotes, as the `\n` after it is.
        if self.lines().raw().ends_with("\r\n")
            && let Some(last) = record.len().checked_sub(1)
        {
            let field = record[last]
                .strip_suffix('\r')
                .unwrap_or(&record[last])
                .to_owned();
            record.truncate(last);
            record.push_field(&field);
        }
        Ok(record)
    }
}

/// Gives the CSV reader one line at a time, so that it never reads past the
/// record that is asked for and lines can be counted.
struct CsvInput<R> {
    lines: Lines<R>,
    /// Bytes of the current line that have been given.
    offset: usize,
    /// Whether more was asked for after the last line.
    ended: bool,
    /// What stopped the reading: an `io::Error` cannot carry it as it is.
    failure: Option<Error>,
}

impl<R: BufRead> Read for CsvInput<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.offset == self.lines.raw().len() {
            match self.lines.advance() {
                Ok(true) => self.offset = 0,
                Ok(false) => {
                    self.ended = true;
                    return Ok(0);
                }
                Err(failure) => {
                    self.failure = Some(failure);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        let rest = &self.lines.raw().as_bytes()[self.offset..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.offset += length;
        Ok(length)
    }
}

/// One line of JSON lines.
fn parse_object(line: &str) -> Result<Map<String, Value>, RowProblem> {
    let value = serde_json::from_str(line).map_err(|error| RowProblem::Syntax(explain(&error)))?;
    match value {
        Value::Object(object) => Ok(object),
        other => Err(RowProblem::Syntax(format!(
            "expected a JSON object, found {}",
            kind(&other)
        ))),
    }
}

/// What is wrong with a line of JSON, without the line number 1 that the parser
/// counts for each of them.
fn explain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = match message.strip_suffix(&place).unwrap_or(&message) {
        // The parser has these two words for an escape like \ud800 without its half.
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "a surrogate escape without its other half is no character"
        }
        what => what,
    };
    format!("not valid JSON: {what} (column {})", error.column())
}

/// What a JSON value is, for a message.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
