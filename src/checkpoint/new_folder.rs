//! Folders that are written whole or not at all: everything goes into a temporary
//! sibling first, is flushed to the disk, and takes its name in the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{PathContext, Result};

/// A folder in the making. Dropped before [`commit`](Self::commit), it leaves
/// nothing behind.
pub(crate) struct NewFolder {
    target: PathBuf,
    draft: PathBuf,
}

impl NewFolder {
    pub(crate) fn create(target: &Path) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let draft = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        if draft.exists() {
            fs::remove_dir_all(&draft).writing(&draft)?;
        }
        fs::create_dir_all(&draft).writing(&draft)?;
        Ok(Self {
            target: target.to_owned(),
            draft,
        })
    }

    /// Where to write the files.
    pub(crate) fn path(&self) -> &Path {
        &self.draft
    }

    /// Gives the folder its name. Where one of that name exists, each file takes
    /// its place in it, one by one; other files there are left alone.
    pub(crate) fn commit(self) -> Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.draft).reading(&self.draft)? {
            files.push(entry.reading(&self.draft)?.path());
        }
        files.sort();
        for file in &files {
            File::open(file)
                .and_then(|opened| opened.sync_all())
                .writing(file)?;
        }
        if !self.target.exists() {
            fs::rename(&self.draft, &self.target).writing(&self.target)?;
        } else {
            for file in &files {
                let place = self.target.join(file.file_name().unwrap_or_default());
                fs::rename(file, &place).writing(&place)?;
            }
        }
        // The names are on the disk once their folder is.
        let parent = self
            .target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        for folder in [self.target.as_path(), parent.unwrap_or(Path::new("."))] {
            sync_folder(folder)?;
        }
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After a commit there is at most an empty folder; a failure to remove it
        // harms nobody and has nowhere to go.
        let _ = fs::remove_dir_all(&self.draft);
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .writing(folder)
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> Result<()> {
    Ok(()) // Folders cannot be flushed there; the file system journals their names.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_folder_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("model");
        let folder = NewFolder::create(&target).expect("a new folder");
        fs::write(folder.path().join("config.json"), "{}").expect("a file");
        drop(folder);
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_committed_folder_replaces_its_own_files_only() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("model");
        for content in ["old", "new"] {
            let folder = NewFolder::create(&target).expect("a new folder");
            fs::write(folder.path().join("config.json"), content).expect("a file");
            folder.commit().expect("a commit");
            fs::write(target.join("notes.txt"), "mine").expect("a file");
        }
        assert_eq!(
            fs::read_to_string(target.join("config.json")).expect("a file"),
            "new"
        );
        assert_eq!(
            fs::read_to_string(target.join("notes.txt")).expect("a file"),
            "mine"
        );
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}
