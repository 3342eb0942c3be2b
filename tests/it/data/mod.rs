//! `src/data/`.

mod compressed;
mod dataset;
mod examples;
mod formats;
mod labels;
mod messages;
mod round_trip;
mod split;

use std::error::Error as _;
use std::path::{MAIN_SEPARATOR, PathBuf};

use bertfit::{Error, Example, Table};
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

/// Reads `content` under `name`, with text and label in columns of these names.
fn read(name: &str, content: impl AsRef<[u8]>) -> Vec<Example> {
    let file = OneFile::new(name, content);
    file.table()
        .read()
        .unwrap_or_else(|error| panic!("{}", file.message(&error)))
}

/// The message of reading `content` under `name` by `table`.
fn refused(name: &str, content: impl AsRef<[u8]>, table: impl Fn(Table) -> Table) -> String {
    let file = OneFile::new(name, content);
    match table(file.table()).read() {
        Ok(examples) => panic!("{name} should be refused, it gave {examples:?}"),
        Err(error) => file.message(&error),
    }
}
