//! How a file of rows is written, and how its name says so.

use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};

/// How a file of rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Columns between tabs, one row a line (`.tsv`). Unless [`Quoting::Minimal`] is asked for,
    /// there is no quoting and no escape: a `"` is text.
    Tsv,
    /// Columns between commas, quoted as in RFC 4180 (`.csv`): a field in quotes
    /// may hold commas, line breaks and doubled quotes.
    Csv,
    /// One JSON object a line (`.jsonl`, `.ndjson`, `.json`). A file that is one list of objects,
    /// or one object with such a list under `data`, is read as if each of them had a line. A
    /// Parquet file (`.parquet`, with the feature `parquet`) is read so too, its rows as lines.
    JsonLines,
    /// One text a line (`.txt`), in a column called `text`.
    Text,
}

impl Format {
    /// The format that a file's name ends in, before a `.gz` or `.xz`.
    ///
    /// # Errors
    /// [`Error::Config`] when the name ends in none of the known ways.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let plain = ["gz", "xz"]
            .into_iter()
            .find_map(|ending| before(&name, ending));
        let (_, ending) = plain.unwrap_or(&name).rsplit_once('.').unwrap_or_default();
        let refuse = |rule| Err(Error::config("format", rule, path.display().to_string()));
        match ending {
            "tsv" => Ok(Self::Tsv),
            "csv" => Ok(Self::Csv),
            "jsonl" | "ndjson" | "json" => Ok(Self::JsonLines),
            "txt" => Ok(Self::Text),
            "parquet" if cfg!(not(feature = "parquet")) => {
                refuse("of another file than .parquet, or bertfit built with its feature `parquet`")
            }
            "parquet" if plain.is_some() => {
                refuse("of a Parquet file that is not compressed as a whole")
            }
            "parquet" => Ok(Self::JsonLines),
            _ => refuse(
                "named for a file that ends in none of .tsv, .csv, .jsonl, .ndjson, \
                 .json, .txt (and then .gz or .xz), .parquet",
            ),
        }
    }
}

/// `name` without `.ending`, if it ends so.
fn before<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    name.strip_suffix(ending)?.strip_suffix('.')
}

/// What quotes mean in a table with columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quoting {
    /// Nothing between tabs, as in GLUE's files, with a warning where most fields of a column stand
    /// in quotes; else as `Minimal`.
    #[default]
    Auto,
    /// Nothing: a quote is text.
    None,
    /// As in RFC 4180, and as spreadsheets and pandas write it: a field may stand in quotes, and
    /// then hold delimiters, line breaks and doubled quotes.
    Minimal,
}

impl FromStr for Quoting {
    type Err = Error;

    /// `auto`, `none` or `minimal`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "minimal" => Ok(Self::Minimal),
            _ => Err(Error::config("quoting", "auto, none or minimal", name)),
        }
    }
}

/// How the records of a file are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Columns { delimiter: char, quoted: bool },
    JsonLines,
    Text,
}

impl Syntax {
    /// Of a file in this format, or in columns between `delimiter`.
    ///
    /// # Errors
    /// When no columns can stand between it.
    pub(super) fn new(
        format: Option<Format>,
        delimiter: Option<char>,
        quoting: Quoting,
    ) -> Result<Self> {
        let delimiter = match (format, delimiter) {
            (Some(Format::JsonLines), Some(_)) => {
                let rule = "none for a file that has no columns between it";
                return Err(Error::config("delimiter", rule, "one for JSON"));
            }
            (_, Some(delimiter)) if "\"\n\r".contains(delimiter) => {
                let rule = "no quote and no line end";
                return Err(Error::config("delimiter", rule, format!("{delimiter:?}")));
            }
            (_, Some(delimiter)) => delimiter,
            (Some(Format::JsonLines), None) => return Ok(Self::JsonLines),
            (Some(Format::Tsv), None) => '\t',
            (Some(Format::Csv), None) => ',',
            (Some(Format::Text) | None, None) => return Ok(Self::Text),
        };
        let quoted = match quoting {
            Quoting::Auto => delimiter != '\t',
            Quoting::None => false,
            Quoting::Minimal => true,
        };
        Ok(Self::Columns { delimiter, quoted })
    }
}
