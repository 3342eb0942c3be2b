//! A Parquet file as JSON lines, one for each row, so that every reader of those reads
//! it too: a row's number is its line.

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Map, Value, json};

use super::class_names::{named, names_of};
use super::decompress::{Unpack, is_much, too_much};

/// Bytes of the file that a value in memory is counted as: it takes 40 there, and more while a
/// list grows, but no text has a value in each byte.
const VALUE: u64 = 16;

/// The JSON lines of a file, made row by row.
pub(super) struct JsonLines {
    rows: RowIter<'static>,
    /// Of columns that have ids of classes.
    names: BTreeMap<String, Vec<String>>,
    line: Vec<u8>,
    /// Bytes of the line that have been read.
    read: usize,
}

impl JsonLines {
    /// # Errors
    /// When it is no Parquet file, one with two columns of one name, of which JSON would lose
    /// one, or, where that is limited, one whose pages say that they hold far more than text
    /// does.
    pub(super) fn new(file: File, unpack: Unpack) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let copy = file.try_clone()?;
        let reader = caught(|| SerializedFileReader::new(file))?;
        if unpack == Unpack::Limited {
            let held = caught(|| Ok(pages::held(&copy, reader.metadata())?))?;
            let bytes = held.bytes.max(held.values.saturating_mul(VALUE));
            if is_much(bytes, size) {
                return Err(too_much("Parquet", size));
            }
        }
        let schema = reader.metadata().file_metadata().schema();
        let mut names = BTreeSet::new();
        for column in schema.get_fields() {
            if !names.insert(column.name()) {
                let problem = format!("more than one column is called `{}`", column.name());
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
        }
        let features = features_in(reader.metadata()).unwrap_or_default();
        let names = features.iter().filter_map(|(column, feature)| {
            let names = names_of(feature)?;
            Some((column.clone(), names))
        });
        Ok(Self {
            names: names.collect(),
            rows: caught(|| Ok(reader.into_iter()))?,
            line: Vec::new(),
            read: 0,
        })
    }
}

impl Read for JsonLines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.line.len() {
            let next = || Ok(self.rows.next().transpose()?.as_ref().map(object));
            let Some(mut row) = caught(next)? else {
                return Ok(0);
            };
            for (column, names) in &self.names {
                if let Some(value) = row.get_mut(column) {
                    *value = named(value.take(), names);
                }
            }
            self.line.clear();
            self.read = 0;
            serde_json::to_writer(&mut self.line, &row)?;
            self.line.push(b'\n');
        }
        let read = (&self.line[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

/// What the parquet crate does with a file that may be damaged: it panics on some.
fn caught<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    let problem = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(ParquetError::External(error))) => match error.downcast::<io::Error>() {
            Ok(error) => return Err(*error),
            Err(error) => error.to_string(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "its reader panicked".to_owned(),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, problem))
}

/// What `datasets` says of the columns of a file, if it has written it.
///
/// # Errors
/// When it is no Parquet file.
pub(super) fn features(file: File) -> io::Result<Option<Map<String, Value>>> {
    let reader = caught(|| SerializedFileReader::new(file))?;
    Ok(features_in(reader.metadata()))
}

fn features_in(metadata: &ParquetMetaData) -> Option<Map<String, Value>> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    let entry = entries.iter().find(|entry| entry.key == "huggingface")?;
    let mut description: Value = serde_json::from_str(entry.value.as_deref()?).ok()?;
    match description.get_mut("info")?.get_mut("features")?.take() {
        Value::Object(features) => Some(features),
        _ => None,
    }
}

fn object(row: &Row) -> Value {
    let columns = row.get_column_iter();
    let columns = columns.map(|(name, field)| (name.clone(), value(field)));
    Value::Object(Map::from_iter(columns))
}

/// A field as JSON says it. Bytes that are no text become an object, so that a column of
/// them is refused where a text is expected, and no matter elsewhere.
fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Byte(value) => json!(value),
        Field::Short(value) => json!(value),
        Field::Int(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::UByte(value) => json!(value),
        Field::UShort(value) => json!(value),
        Field::UInt(value) => json!(value),
        Field::ULong(value) => json!(value),
        Field::Float16(value) => shortest(value),
        Field::Float(value) => shortest(value),
        Field::Double(value) => json!(value),
        Field::Str(value) => json!(value),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => json!(text),
            Err(_) => json!({"bytes": bytes.len()}),
        },
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            entries
                .map(|(key, content)| json!([value(key), value(content)]))
                .collect()
        }
        Field::Decimal(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_) => json!(field.to_string()),
    }
}

/// A number of few digits with these digits alone, which it would not have as a double.
fn shortest(number: &impl ToString) -> Value {
    number
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, |number| json!(number))
}
