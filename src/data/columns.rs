//! Which columns hold the texts of a row and its label, and how they are taken
//! out of a record. Records come from `records`; files are not touched here.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};

use super::quotes::looks_quoted;
use super::raw_label::RawLabel;
use super::records::{Record, kind};
use crate::error::{Error, Result, RowProblem, listed, shown};

/// A column of a table: `"sentence"` and `3` both convert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// By its name in the header, or by its key in JSON lines. A whole number that is no name in
    /// the header counts columns, as `Index` does.
    Name(String),
    /// By its place from the left, from 0.
    Index(usize),
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Column {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for Column {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => index.fmt(f),
        }
    }
}

/// The columns that are wanted of each row.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) text: Column,
    pub(super) pair: Option<Column>,
    pub(super) negative: Option<Column>,
    pub(super) label: Option<Column>,
}

/// A row as its columns hold it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) pair: Option<String>,
    pub(super) negative: Option<String>,
    /// Apart from the texts, since a row may be of use without its label.
    pub(super) label: Option<Result<RawLabel, RowProblem>>,
}

/// Where the wanted columns are in the records of one file.
#[derive(Debug)]
pub(super) struct Layout {
    /// Number of fields in each row; none in JSON lines.
    width: Option<usize>,
    text: Place,
    pair: Option<Place>,
    negative: Option<Place>,
    label: Option<Place>,
}

/// A column that has been found.
#[derive(Debug)]
struct Place {
    column: Column,
    /// Where it is among the fields; unused in JSON lines.
    position: usize,
}

impl Layout {
    /// Finds the columns by the first record of a file, which is its header if
    /// `header` is true.
    pub(super) fn new(
        columns: &Columns,
        first: &Record,
        header: bool,
        path: &Path,
    ) -> Result<Self> {
        let place = |column: &Column, role: &'static str| {
            let position = match first {
                Record::Fields(fields) => find(column, fields, header, role, path)?,
                Record::Object(_) => key_only(column, role)?,
            };
            Ok::<_, Error>(Place {
                column: column.clone(),
                position,
            })
        };
        let optional = |column: &Option<Column>, role| {
            column
                .as_ref()
                .map(|column| place(column, role))
                .transpose()
        };
        let width = match first {
            Record::Fields(fields) => Some(fields.len()),
            Record::Object(_) => None,
        };
        Ok(Self {
            width,
            text: place(&columns.text, "text column")?,
            pair: optional(&columns.pair, "pair column")?,
            negative: optional(&columns.negative, "negative column")?,
            label: optional(&columns.label, "label column")?,
        })
    }

    /// The wanted fields of one record.
    pub(super) fn pick(&self, record: &Record) -> Result<Row, RowProblem> {
        if let (Some(expected), Record::Fields(fields)) = (self.width, record)
            && fields.len() != expected
        {
            return Err(RowProblem::Columns {
                expected,
                found: fields.len(),
            });
        }
        let text = |place: &Option<Place>| {
            let place = place.as_ref();
            place.map(|place| place.text(record)).transpose()
        };
        Ok(Row {
            text: self.text.text(record)?,
            pair: text(&self.pair)?,
            negative: text(&self.negative)?,
            label: self.label.as_ref().map(|place| place.label(record)),
        })
    }
}

impl Place {
    /// The column as a text, which may be empty.
    fn text(&self, record: &Record) -> Result<String, RowProblem> {
        match record {
            Record::Fields(fields) => Ok(fields[self.position].to_owned()),
            Record::Object(object) => match self.value(object)? {
                Value::String(text) => Ok(text.clone()),
                other => Err(self.problem(format!("expected a string, found {}", kind(other)))),
            },
        }
    }

    /// The column as a label.
    fn label(&self, record: &Record) -> Result<RawLabel, RowProblem> {
        match record {
            Record::Fields(fields) => Ok(RawLabel::Text(fields[self.position].to_owned())),
            Record::Object(object) => {
                RawLabel::of(self.value(object)?).map_err(|problem| self.problem(problem))
            }
        }
    }

    fn value<'a>(&self, object: &'a Map<String, Value>) -> Result<&'a Value, RowProblem> {
        object.get(&self.column.to_string()).ok_or_else(|| {
            self.problem(format!("absent, the object has {}", quoted(object.keys())))
        })
    }

    fn problem(&self, problem: String) -> RowProblem {
        RowProblem::Field {
            field: self.column.to_string(),
            problem,
        }
    }
}

/// Whether the first record of a file, or its header, has a column.
pub(super) fn has(column: &Column, first: &Record, header: bool) -> bool {
    match (first, column) {
        (Record::Fields(fields), Column::Name(name)) => {
            header && (fields.contains(name) || counted(name, fields).is_some())
        }
        (Record::Fields(fields), Column::Index(index)) => *index < fields.len(),
        (Record::Object(object), Column::Name(name)) => object.contains_key(name),
        (Record::Object(_), Column::Index(_)) => false,
    }
}

/// The place of `column` among `fields`, the header or the first row.
fn find(
    column: &Column,
    fields: &[String],
    header: bool,
    role: &'static str,
    path: &Path,
) -> Result<usize> {
    let refuse = |problem| {
        Err(Error::File {
            path: path.to_owned(),
            problem,
        })
    };
    match column {
        Column::Index(index) if *index < fields.len() => Ok(*index),
        Column::Index(index) => refuse(format!(
            "column index {index} is out of range, there are {} columns and the first is 0",
            fields.len()
        )),
        Column::Name(name) if !header => {
            let rule = "an index in a file without a header".to_owned();
            Err(Error::config(role, rule, format!("`{name}`")))
        }
        Column::Name(name) => {
            let mut places = (0..fields.len()).filter(|&place| fields[place] == *name);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                (Some(_), Some(_)) => {
                    refuse(format!("more than one column is called `{}`", shown(name)))
                }
                (None, _) => counted(name, fields).map_or_else(
                    || {
                        refuse(format!(
                            "no column `{}`, the header has {}{}",
                            shown(name),
                            quoted(fields),
                            header_hint(fields)
                        ))
                    },
                    Ok,
                ),
            }
        }
    }
}

/// The place that a name without a column says.
fn counted(name: &str, fields: &[String]) -> Option<usize> {
    name.parse()
        .ok()
        .filter(|&place: &usize| place < fields.len())
}

/// What is probably meant where a header has not the columns that are wanted.
fn header_hint(fields: &[String]) -> String {
    if fields.iter().all(|field| looks_quoted(field)) {
        return ": names in quotes need `quoting` minimal (--quoting minimal)".to_owned();
    }
    let delimiter = match fields {
        [one] => ['\t', ';', '|', ',']
            .into_iter()
            .find(|&delimiter| one.contains(delimiter)),
        _ => None,
    };
    delimiter.map_or_else(String::new, |delimiter| {
        format!(": say that {delimiter:?} is the `delimiter` (--delimiter), if it stands between columns")
    })
}

/// In JSON lines a column has a name and no place.
fn key_only(column: &Column, role: &'static str) -> Result<usize> {
    match column {
        Column::Name(_) => Ok(0),
        Column::Index(index) => {
            let rule = "a name in JSON lines and Parquet files".to_owned();
            Err(Error::config(role, rule, index))
        }
    }
}

/// Names for a message, in the order of the file.
fn quoted<'a>(names: impl IntoIterator<Item: AsRef<str> + 'a>) -> String {
    let names: Vec<_> = names
        .into_iter()
        .map(|name| format!("`{}`", shown(name.as_ref())))
        .collect();
    match names.is_empty() {
        true => "no fields".to_owned(),
        false => listed(&names),
    }
}
