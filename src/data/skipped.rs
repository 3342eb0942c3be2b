//! Rows that were left out of what was read because they cannot be used, so that they are
//! counted and named instead of lost.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::error::{Error, Result};

/// One row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedRow {
    /// The file that it stands in.
    pub file: PathBuf,
    /// The line on which it starts, from 1; `None` where the file does not go by lines.
    pub line: Option<u64>,
    /// Why it cannot be used.
    pub problem: String,
}

/// Collects the rows that readers leave out because they cannot be used, for
/// [`Table::skip_bad_rows`](crate::Table::skip_bad_rows) and its like. Clones share one list. A
/// row that is read twice is listed once.
///
/// ```no_run
/// # use bertfit::{SkippedRows, Table};
/// let skipped = SkippedRows::new();
/// let rows = Table::open("train.csv").skip_bad_rows(&skipped).read()?;
/// for row in skipped.rows() {
///     eprintln!("{}: {}", row.file.display(), row.problem);
/// }
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SkippedRows {
    rows: Arc<Mutex<Vec<SkippedRow>>>,
}

impl SkippedRows {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// All rows that were left out so far, by file and line.
    pub fn rows(&self) -> Vec<SkippedRow> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = rows.clone();
        rows.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        rows.dedup_by(|a, b| a.file == b.file && a.line == b.line && a.line.is_some() || a == b);
        rows
    }

    /// Takes the error of a row into the list.
    ///
    /// # Errors
    /// The error itself, where it is not about a single row.
    pub(crate) fn take(&self, error: Error) -> Result<()> {
        match error {
            Error::Line {
                path,
                line,
                problem,
            } => {
                self.add(path, Some(line), problem.to_string());
                Ok(())
            }
            other => Err(other),
        }
    }

    /// Adds a row of a file; `line` counts from 1, where the file goes by lines.
    pub(crate) fn add(&self, file: PathBuf, line: Option<u64>, problem: String) {
        let row = SkippedRow {
            file,
            line,
            problem,
        };
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push(row);
    }
}
