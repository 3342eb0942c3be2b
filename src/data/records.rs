//! Lines to records: the fields of a TSV or CSV row, one JSON object, or a text. Any
//! buffered bytes will do as input, a whole file or a part that begins with a record.
//! Which field means what is not known here (see `columns`).

use std::io::BufRead;
use std::mem;
use std::path::Path;

use serde_json::{Map, Value};

use super::format::Syntax;
use super::lines::Lines;
use crate::error::{Error, Result, RowProblem};

/// One row, not yet interpreted.
pub(super) enum Record {
    /// The fields of a TSV or CSV row.
    Fields(Vec<String>),
    /// An object of JSON lines, or a line of text as `{"text": …}`.
    Object(Map<String, Value>),
}

/// The records of a stream, one at a time in one buffer.
pub(super) struct Records<R> {
    syntax: Syntax,
    lines: Lines<R>,
    record: Record,
    blanks: Blanks,
    /// Records that were begun, those that could not be read counted.
    begun: usize,
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
    /// The first line of `reader` has the number `first_line` in its file. `path` is
    /// for messages only.
    pub(super) fn new(reader: R, syntax: Syntax, first_line: u64, path: &Path) -> Self {
        let record = match syntax {
            Syntax::Columns { .. } => Record::Fields(Vec::new()),
            Syntax::JsonLines | Syntax::Text => Record::Object(Map::new()),
        };
        Self {
            syntax,
            lines: Lines::new(reader, first_line, path),
            record,
            blanks: Blanks::Unknown,
            begun: 0,
        }
    }

    /// The next record and the line on which it starts; `None` after the last. After an
    /// [`Error::Line`] the next record can be read.
    pub(super) fn read(&mut self) -> Result<Option<(u64, &Record)>> {
        let Some((line, blank)) = self.begin()? else {
            return Ok(None);
        };
        let record = match self.syntax {
            // A blank line is a row with one empty field.
            _ if blank => Ok(Record::Fields(vec![String::new()])),
            Syntax::Columns {
                delimiter,
                quoted: false,
            } => {
                let fields = self.lines.content().split(delimiter);
                Ok(Record::Fields(fields.map(str::to_owned).collect()))
            }
            Syntax::Columns { delimiter, .. } => self.read_quoted(delimiter)?.map(Record::Fields),
            Syntax::JsonLines => parse_object(self.lines.content()).map(Record::Object),
            Syntax::Text => {
                let text = Value::from(self.lines.content());
                Ok(Record::Object(Map::from_iter([("text".to_owned(), text)])))
            }
        };
        // Of blank rows the line is a later one.
        if !blank && let Some(error) = self.lines.take_bad() {
            return Err(error);
        }
        self.record = record.map_err(|problem| self.error(line, problem))?;
        Ok(Some((line, &self.record)))
    }

    /// The record that was read last.
    pub(super) fn current(&self) -> &Record {
        &self.record
    }

    /// Goes past the next record, which is looked into only as far as its end asks
    /// for; `false` if there is none.
    pub(super) fn skip(&mut self) -> Result<bool> {
        let Some((_, blank)) = self.begin()? else {
            return Ok(false);
        };
        if let Syntax::Columns {
            delimiter,
            quoted: true,
        } = self.syntax
            && !blank
        {
            let _ = self.read_quoted(delimiter)?;
        }
        if !blank {
            let _ = self.lines.take_bad();
        }
        Ok(true)
    }

    /// Number of records so far, those that could not be read or were gone past counted.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Number of lines read so far, those before the first one counted.
    pub(super) fn lines_read(&self) -> u64 {
        self.lines.number()
    }

    /// Number of bytes before the next record; `None` while what has been read of
    /// them holds blank rows that are still to be given.
    pub(super) fn bytes_read(&self) -> Option<u64> {
        match self.blanks {
            Blanks::Unknown => Some(self.lines.bytes_read()),
            Blanks::Before(_) => None,
        }
    }

    /// What the records come from.
    pub(super) fn reader_mut(&mut self) -> &mut R {
        self.lines.reader_mut()
    }

    /// A problem with the record that starts on `line`.
    pub(super) fn error(&self, line: u64, problem: RowProblem) -> Error {
        self.lines.error(line, problem)
    }

    /// Goes to the next record; returns the line on which it starts, and whether it is
    /// a blank row.
    fn begin(&mut self) -> Result<Option<(u64, bool)>> {
        let Some(blanks) = self.skip_blanks()? else {
            return Ok(None);
        };
        self.blanks = match blanks {
            0 => Blanks::Unknown,
            _ => Blanks::Before(blanks - 1),
        };
        self.begun += 1;
        Ok(Some((self.lines.number() - blanks, blanks > 0)))
    }

    /// Goes to the next line that is not blank and returns how many blank rows
    /// are to be given before it; `None` if there is no such line.
    fn skip_blanks(&mut self) -> Result<Option<u64>> {
        if let Blanks::Before(blanks) = self.blanks {
            return Ok(Some(blanks));
        }
        let mut blanks = 0;
        loop {
            if !self.lines.advance_lossy()? {
                return Ok(None);
            }
            let content = self.lines.content();
            match self.syntax {
                Syntax::Columns { .. } if content.is_empty() => blanks += 1,
                Syntax::JsonLines | Syntax::Text if content.trim_ascii().is_empty() => {}
                _ => return Ok(Some(blanks)),
            }
        }
    }

    /// The record with quotes that starts on the current line.
    fn read_quoted(&mut self, delimiter: char) -> Result<Result<Vec<String>, RowProblem>> {
        let mut fields = Vec::new();
        let mut field = String::new();
        let mut place = Place::Start;
        loop {
            let raw = self.lines.raw();
            let mut rest = raw;
            loop {
                // Most text ends nothing: it is copied at once, for speed.
                let run = match place {
                    Place::Start | Place::Quote => Some(0),
                    Place::Bare => rest.find([delimiter, '\n']),
                    Place::Quoted => rest.find('"'),
                };
                let (text, after) = rest.split_at(run.unwrap_or(rest.len()));
                field.push_str(text);
                let mut characters = after.chars();
                let Some(character) = characters.next() else {
                    break;
                };
                rest = characters.as_str();
                place = match (place, character) {
                    (Place::Start, '"') => Place::Quoted,
                    (Place::Quoted, '"') => Place::Quote,
                    (Place::Quote, '"') | (Place::Quoted, _) => {
                        field.push(character);
                        Place::Quoted
                    }
                    (_, end) if end == delimiter => {
                        fields.push(mem::take(&mut field));
                        Place::Start
                    }
                    (_, '\n') => {
                        // This `\r` is outside quotes, as the `\n` after it is.
                        if raw.ends_with("\r\n") {
                            field.pop();
                        }
                        fields.push(field);
                        return Ok(Ok(fields));
                    }
                    _ => {
                        field.push(character);
                        Place::Bare
                    }
                };
            }
            if !self.lines.advance_lossy()? {
                let problem = "a quoted field is still open at the end of the file";
                return Ok(Err(RowProblem::Syntax(problem.to_owned())));
            }
        }
    }
}

/// Where in a field that may have quotes the reader is. After a quote that closes, and in a field that
/// does not begin with one, quotes are text, as most readers have it.
#[derive(Clone, Copy)]
enum Place {
    Start,
    Bare,
    Quoted,
    /// After a quote in quotes, which closes them or is the first half of one.
    Quote,
}

/// One line of JSON lines.
fn parse_object(line: &str) -> Result<Map<String, Value>, RowProblem> {
    let syntax = |error: serde_json::Error| RowProblem::Syntax(explain(&error, line));
    let value = serde_json::from_str(line).map_err(syntax)?;
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
fn explain(error: &serde_json::Error, line: &str) -> String {
    // As Python writes floats that are no numbers.
    let from = line
        .get(error.column().saturating_sub(1)..)
        .unwrap_or_default();
    if let Some(word) = ["NaN", "Infinity"]
        .into_iter()
        .find(|word| from.starts_with(word))
    {
        return format!(
            "not valid JSON: {word} is none: write null (column {})",
            error.column()
        );
    }
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
