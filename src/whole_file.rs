//! The files of model folders and checkpoints. What is no regular file is refused: a pipe
//! would be waited for, and a device may have no end.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::error::{PathContext, Result};

/// The bytes of the file at `path`, or of the one that a link there leads to.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    length(path)?;
    fs::read(path).reading(path)
}

/// The same file to be read in parts, and how many bytes it has.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let length = length(path)?;
    let file = File::open(path).reading(path)?;
    Ok((file, length))
}

fn length(path: &Path) -> Result<u64> {
    let kind = fs::metadata(path).reading(path)?;
    if !kind.is_file() {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(problem).reading(path);
    }
    Ok(kind.len())
}
