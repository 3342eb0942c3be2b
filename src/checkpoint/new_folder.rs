//! Folders that are written whole or not at all: everything goes into a temporary
//! folder first, is flushed to the disk, and takes its name in the end.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::files_below;
use crate::error::{PathContext, Result};

/// A folder in the making. Dropped before [`commit`](Self::commit), it leaves
/// nothing behind.
pub(crate) struct NewFolder {
    target: PathBuf,
    draft: PathBuf,
}

impl NewFolder {
    /// Beside the target, so that the whole of it appears at once.
    pub(crate) fn create(target: &Path) -> Result<Self> {
        Self::with_draft(target, target.with_file_name(draft_name(target)))
    }

    /// In a target that exists, else beside it: where an existing folder is a link, or a file
    /// system of its own, files beside it could not be moved there.
    pub(crate) fn create_or_fill(target: &Path) -> Result<Self> {
        match target.is_dir() {
            true => Self::with_draft(target, target.join(draft_name(target))),
            false => Self::create(target),
        }
    }

    fn with_draft(target: &Path, draft: PathBuf) -> Result<Self> {
        if draft.exists() {
            fs::remove_dir_all(&draft).writing(&draft)?;
        }
        fs::create_dir_all(&draft).writing(&draft)?;
        Ok(Self {
            target: target.to_owned(),
            draft,
        })
    }

    /// Removes what a program that was killed has left in the making of `target`, which exists.
    pub(crate) fn remove_drafts(target: &Path) -> Result<()> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        for entry in fs::read_dir(target).reading(target)? {
            let entry = entry.reading(target)?;
            let file_name = entry.file_name();
            let id = file_name.to_str().and_then(|draft| {
                let rest = draft.strip_prefix(&format!(".{name}."))?;
                rest.strip_suffix(".tmp")?.parse::<u32>().ok()
            });
            if id.is_some() {
                fs::remove_dir_all(entry.path()).writing(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Where to write the files.
    pub(crate) fn path(&self) -> &Path {
        &self.draft
    }

    /// Gives the folder its name. Where one of that name exists, each file takes
    /// its place in it, one by one; other files there are left alone.
    pub(crate) fn commit(self) -> Result<()> {
        let files = files_below(&self.draft)?;
        for name in &files {
            let file = self.draft.join(name);
            open_to_flush(&file)
                .and_then(|opened| opened.sync_all())
                .writing(&file)?;
        }
        if !self.target.exists() {
            fs::rename(&self.draft, &self.target).writing(&self.target)?;
        } else {
            for name in &files {
                let place = self.target.join(name);
                let parent = place.parent().unwrap_or(&self.target);
                fs::create_dir_all(parent).writing(parent)?;
                fs::rename(self.draft.join(name), &place).writing(&place)?;
            }
        }
        // The names are on the disk once their folder is.
        let places = files.iter().map(|name| self.target.join(name));
        let folders = places.chain([self.target.clone()]).filter_map(|place| {
            let parent = place.parent()?;
            let here = parent.as_os_str().is_empty();
            Some(if here { ".".into() } else { parent.to_owned() })
        });
        for folder in folders.collect::<BTreeSet<PathBuf>>() {
            sync_folder(&folder)?;
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

fn draft_name(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.{}.tmp", std::process::id())
}

/// Windows flushes only what is open for writing.
fn open_to_flush(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(file)
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
    use std::io::Write;

    use super::*;

    #[test]
    fn files_are_flushed_through_a_handle_for_writing_and_stay_as_they_are() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("file");
        fs::write(&path, "content").expect("a file");
        let mut file = open_to_flush(&path).expect("an open file");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "content");
        // A handle for reading would refuse it.
        file.write_all(b"C").expect("a handle for writing");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "Content");
    }

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
    fn what_a_killed_program_has_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("model");
        for name in [".model.77.tmp", ".model.mine.tmp", ".other.77.tmp", "mine"] {
            fs::create_dir_all(target.join(name)).expect("a folder");
        }
        NewFolder::remove_drafts(&target).expect("a clean folder");
        assert!(!target.join(".model.77.tmp").exists());
        assert_eq!(fs::read_dir(&target).expect("a folder").count(), 3);
    }

    #[test]
    fn a_committed_folder_replaces_its_own_files_only() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("model");
        for content in ["old", "new"] {
            let folder = NewFolder::create_or_fill(&target).expect("a new folder");
            let is_inside = folder.path().starts_with(&target);
            assert_eq!(is_inside, target.exists(), "{}", folder.path().display());
            fs::create_dir(folder.path().join("part")).expect("a folder");
            for name in ["config.json", "part/config.json"] {
                fs::write(folder.path().join(name), content).expect("a file");
            }
            folder.commit().expect("a commit");
            for name in ["notes.txt", "part/notes.txt"] {
                fs::write(target.join(name), "mine").expect("a file");
            }
        }
        let content = |name: &str| fs::read_to_string(target.join(name)).expect("a file");
        assert_eq!(content("config.json"), "new");
        assert_eq!(content("part/config.json"), "new");
        assert_eq!(content("notes.txt"), "mine");
        assert_eq!(content("part/notes.txt"), "mine");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
        assert_eq!(fs::read_dir(&target).expect("a folder").count(), 3);
    }
}
