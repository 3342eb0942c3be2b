//! A stream of bytes as numbered lines of UTF-8. Lines end in `\n` alone: other
//! characters that some readers take for line ends (U+0085, U+2028, a lone `\r`)
//! are text. A byte-order mark at the start of the file is dropped.

use std::io::BufRead;
use std::mem;
use std::path::{Path, PathBuf};

use crate::error::{Error, PathContext, Result, RowProblem};

/// The lines of a file, one at a time in one buffer.
pub(super) struct Lines<R> {
    reader: R,
    path: PathBuf,
    line: String,
    number: u64,
    bytes_read: u64,
    /// The first line since [`take_bad`](Self::take_bad) that is not UTF-8, and the first bad byte.
    bad: Option<(u64, usize)>,
}

impl<R: BufRead> Lines<R> {
    /// The first line of `reader` has the number `first`, which is 1 at the start of
    /// a file. `path` is for messages only.
    pub(super) fn new(reader: R, first: u64, path: &Path) -> Self {
        Self {
            reader,
            path: path.to_owned(),
            line: String::new(),
            number: first - 1,
            bytes_read: 0,
            bad: None,
        }
    }

    /// Goes to the next line; `false` after the last one.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let more = self.advance_lossy()?;
        match self.take_bad() {
            Some(error) => Err(error),
            None => Ok(more),
        }
    }

    /// The same, with other characters for what is not UTF-8, so that a reader can first go to the
    /// end of the record; [`take_bad`](Self::take_bad) then has the error.
    pub(super) fn advance_lossy(&mut self) -> Result<bool> {
        let mut bytes = mem::take(&mut self.line).into_bytes();
        bytes.clear();
        let read = self.reader.read_until(b'\n', &mut bytes);
        let read = read.reading(&self.path)?;
        if read == 0 {
            return Ok(false);
        }
        self.number += 1;
        self.bytes_read += read as u64;
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        self.line = String::from_utf8(bytes).unwrap_or_else(|error| {
            let byte = error.utf8_error().valid_up_to();
            self.bad.get_or_insert((self.number, byte));
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        });
        if self.number == 1 && self.line.starts_with('\u{feff}') {
            self.line.remove(0);
        }
        Ok(true)
    }

    /// The error of a line since this was last called that is not UTF-8.
    pub(super) fn take_bad(&mut self) -> Option<Error> {
        let (line, byte) = self.bad.take()?;
        Some(self.error(line, RowProblem::Utf8 { byte }))
    }

    /// The line with its end, which is `\n` or `\r\n` (`\n` also where the file
    /// ends without one).
    pub(super) fn raw(&self) -> &str {
        &self.line
    }

    /// The line without its end.
    pub(super) fn content(&self) -> &str {
        let line = self.line.strip_suffix('\n').unwrap_or(&self.line);
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// Number of the line, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Number of bytes in the lines so far, with their ends.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// What the lines come from; it has given no byte after the current line.
    pub(super) fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// A problem with line `line`.
    pub(super) fn error(&self, line: u64, problem: RowProblem) -> Error {
        Error::Line {
            path: self.path.clone(),
            line,
            problem,
        }
    }
}
