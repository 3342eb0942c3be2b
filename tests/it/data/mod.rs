//! `src/data/`.

mod choices;
mod compressed;
mod conll_u;
mod dataset;
mod dialects;
mod examples;
mod formats;
mod indexed;
mod json_lists;
mod labels;
mod messages;
mod pairs;
#[cfg(feature = "parquet")]
mod parquet;
mod round_trip;
mod split;
mod squad;
mod tagged;
mod test_rows;

use std::error::Error as _;
use std::path::{MAIN_SEPARATOR, PathBuf};

use bertfit::{Dataset, Error, Example, Result, Table};
use tempfile::TempDir;

/// A folder with one file, which goes when this is dropped.
struct OneFile {
    dir: TempDir,
    path: PathBuf,
}

impl OneFile {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("the folder can be written");
        Self { dir, path }
    }

    fn table(&self) -> Table {
        Table::open(&self.path)
    }

    /// The message of an error and of what caused it, without the folder.
    fn message(&self, error: &Error) -> String {
        let mut message = error.to_string();
        if let Some(source) = error.source() {
            message = format!("{message}: {source}");
        }
        let folder = format!("{}{MAIN_SEPARATOR}", self.dir.path().display());
        message.replace(&folder, "")
    }
}

/// The rows of `file` by `table`, or why it is refused: read at once and through an
/// index, which must come to the same.
fn rows(file: &OneFile, table: &Table) -> Result<Vec<Example>, String> {
    let read = table.read().map_err(|error| file.message(&error));
    let indexed = table.index().and_then(|indexed| {
        let rows = 0..indexed.len();
        rows.map(|row| indexed.get(row)).collect()
    });
    let indexed = indexed.map_err(|error| file.message(&error));
    assert!(read == indexed, "read: {read:?}\nindexed: {indexed:?}");
    read
}

/// Reads `content` under `name`, with text and label in columns of these names.
fn read(name: &str, content: impl AsRef<[u8]>) -> Vec<Example> {
    let file = OneFile::new(name, content);
    rows(&file, &file.table()).unwrap_or_else(|message| panic!("{message}"))
}

/// The message of reading `content` under `name` by `table`.
fn refused(name: &str, content: impl AsRef<[u8]>, table: impl Fn(Table) -> Table) -> String {
    let file = OneFile::new(name, content);
    match rows(&file, &table(file.table())) {
        Ok(examples) => panic!("{name} should be refused, it gave {examples:?}"),
        Err(message) => message,
    }
}
