//! The parts of documents that commands write, each between two marks.

use std::fs;
use std::path::PathBuf;

use crate::Result;
use crate::environment::Workspace;

/// A part of the file, and what stands around it.
pub struct Block {
    path: PathBuf,
    before: String,
    text: String,
    after: String,
}

impl Block {
    /// Reads what stands between two marks, which are whole lines, in a file of the
    /// workspace.
    pub fn open(workspace: &Workspace, file: &str, start: &str, end: &str) -> Result<Self> {
        let path = workspace.root().join(file);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lost = || format!("{file} has lost a mark: {}", start.trim_end());
        let (before, rest) = text.split_once(start).ok_or_else(lost)?;
        let (text, after) = rest.split_once(end).ok_or_else(lost)?;
        Ok(Self {
            before: format!("{before}{start}"),
            after: format!("{end}{after}"),
            text: text.to_owned(),
            path,
        })
    }

    /// What stands there.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes other text there.
    pub fn replace(&self, text: &str) -> Result<()> {
        let whole = format!("{}{text}{}", self.before, self.after);
        fs::write(&self.path, whole).map_err(|error| format!("{}: {error}", self.path.display()))
    }
}
