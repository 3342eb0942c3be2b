//! What is in a folder and in the folders in it.

use std::fs;
use std::path::Path;

use crate::error::{PathContext, Result};

/// The files below `dir` by their paths from there, with `/` between the names, in
/// alphabetical order.
pub(super) fn files_below(dir: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).reading(dir)? {
        let path = entry.reading(dir)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match path.is_dir() {
            true => files.extend(
                files_below(&path)?
                    .iter()
                    .map(|file| format!("{name}/{file}")),
            ),
            false => files.push(name.into_owned()),
        }
    }
    files.sort();
    Ok(files)
}
