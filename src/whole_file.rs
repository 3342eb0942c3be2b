//! The files of model folders and checkpoints, read at once. What is no regular file is
//! refused: a pipe would be waited for, and a device may have no end.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{PathContext, Result};

/// The bytes of the file at `path`, or of the one that a link there leads to.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let kind = fs::metadata(path).reading(path)?;
    if !kind.is_file() {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(problem).reading(path);
    }
    fs::read(path).reading(path)
}
