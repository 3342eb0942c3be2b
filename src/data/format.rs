//! How a file of rows is written, and how its name says so.

use std::path::Path;

use crate::error::{Error, Result};

/// How a file of rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Columns between tabs, one row a line (`.tsv`). There is no quoting and no
    /// escape: a `"` is text.
    Tsv,
    /// Columns between commas, quoted as in RFC 4180 (`.csv`): a field in quotes
    /// may hold commas, line breaks and doubled quotes.
    Csv,
    /// One JSON object a line (`.jsonl`, `.ndjson`, `.json`). A Parquet file (`.parquet`, with
    /// the feature `parquet`) is read as one, its rows as lines.
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
