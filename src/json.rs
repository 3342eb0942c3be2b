//! JSON files, with the file's name in every error.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, PathContext, Result};
use crate::whole_file;

/// Reads a whole file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = whole_file::read(path)?;
    serde_json::from_slice(&text).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file for people to read.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })?;
    fs::write(path, json + "\n").writing(path)
}
