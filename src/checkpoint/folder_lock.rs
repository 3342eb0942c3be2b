//! One writer in a folder at a time: a lock that ends with its process, however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, PathContext, Result};

/// What is written into a folder under a lock. Each has a lock of its own, so that a run which
/// holds its folder may write checkpoints there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    Results,
    Checkpoints,
}

impl Writes {
    /// The name of the lock's file.
    fn file_name(self) -> &'static str {
        match self {
            Self::Results => ".run.lock",
            Self::Checkpoints => ".checkpoints.lock",
        }
    }
}

/// While it lives, nobody else can take the same lock of the folder, in this process or another
/// one. The file is removed with it; one that a killed process has left is no lock.
#[derive(Debug)]
pub(crate) struct FolderLock {
    path: PathBuf,
    /// None where the file system has no locks.
    file: Option<File>,
}

impl FolderLock {
    /// Locks `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::InUse`] where it is locked already; when the folder cannot be written.
    pub(crate) fn take(folder: &Path, what: Writes) -> Result<Self> {
        fs::create_dir_all(folder).writing(folder)?;
        let path = folder.join(what.file_name());
        loop {
            let mut options = OpenOptions::new();
            let opened = options.write(true).create(true).truncate(false).open(&path);
            let file = match opened {
                Ok(file) => file,
                Err(error) if nothing_can_be_written(error.kind(), &path) => {
                    return Ok(Self { path, file: None });
                }
                Err(error) => return Err(error).writing(&path),
            };
            if !judge(file.try_lock(), folder)? {
                return Ok(Self { path, file: None });
            }
            // The holder before may have removed the file after it was opened here; then others
            // would lock another one.
            if is_at(&file, &path) {
                let file = Some(file);
                return Ok(Self { path, file });
            }
        }
    }

    /// Whether a file of this name is a lock, and not what somebody keeps in the folder.
    pub(crate) fn is_lock(name: &std::ffi::OsStr) -> bool {
        let mut all = [Writes::Results, Writes::Checkpoints].into_iter();
        all.any(|what| name == what.file_name())
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // While it is still locked; where that fails, a file is left that nobody has locked.
        if cfg!(unix) && self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether no file can be made in the folder, so that there is nothing to guard: results that are
/// there may still be read.
fn nothing_can_be_written(kind: ErrorKind, lock: &Path) -> bool {
    match kind {
        ErrorKind::ReadOnlyFilesystem => true,
        ErrorKind::PermissionDenied => !lock.exists(),
        _ => false,
    }
}

/// Whether the lock is held now; false where there are none.
fn judge(locked: std::result::Result<(), TryLockError>, folder: &Path) -> Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: folder.to_owned(),
        }),
        // Such as on some network file systems. A run need not fail for it.
        Err(TryLockError::Error(error)) => {
            let folder = folder.display();
            log::warn!(
                "{folder} cannot be locked ({error}): see to it that no other run writes there"
            );
            Ok(false)
        }
    }
}

/// Whether the open file is the one of this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let ids = (file.metadata().map(id), fs::metadata(path).map(id));
    matches!(ids, (Ok(own), Ok(named)) if own == named)
}

/// The file is not removed there.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_folder_has_one_writer_until_it_is_done() {
        let dir = tempfile::tempdir().expect("a folder");
        let run = dir.path().join("new/run");
        let first = FolderLock::take(&run, Writes::Results).expect("a lock");
        let error = FolderLock::take(&run, Writes::Results).expect_err("a second one");
        assert!(
            matches!(&error, Error::InUse { path } if *path == run),
            "{error}"
        );
        // The checkpoints of a run are its own, and another folder is not concerned.
        let checkpoints = FolderLock::take(&run, Writes::Checkpoints).expect("another lock");
        FolderLock::take(dir.path(), Writes::Results).expect("another folder");
        drop((first, checkpoints));
        assert_eq!(fs::read_dir(&run).expect("a folder").count(), 0);
        FolderLock::take(&run, Writes::Results).expect("free again");
    }

    #[test]
    fn a_file_that_a_killed_process_has_left_is_no_lock() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(".run.lock"), "").expect("a file");
        let lock = FolderLock::take(dir.path(), Writes::Results).expect("a lock");
        FolderLock::take(dir.path(), Writes::Results).expect_err("a second one");
        drop(lock);
    }

    #[test]
    fn threads_that_ask_again_and_again_hold_it_one_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let held = std::sync::atomic::AtomicUsize::new(0);
        let order = std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut times = 0;
                    while times < 50 {
                        if let Ok(lock) = FolderLock::take(dir.path(), Writes::Results) {
                            assert_eq!(held.fetch_add(1, order), 0);
                            std::thread::yield_now();
                            held.fetch_sub(1, order);
                            drop(lock);
                            times += 1;
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn without_locks_the_run_goes_on() {
        let folder = Path::new("run");
        // ENOLCK has no kind of its own.
        for error in [
            io::Error::from(ErrorKind::Unsupported),
            io::Error::from_raw_os_error(37),
        ] {
            let held = judge(Err(TryLockError::Error(error)), folder);
            assert!(!held.expect("no error"));
        }
        assert!(judge(Ok(()), folder).expect("a lock"));
        assert!(judge(Err(TryLockError::WouldBlock), folder).is_err());
    }

    #[test]
    fn where_nothing_can_be_written_there_is_nothing_to_lock() {
        let dir = tempfile::tempdir().expect("a folder");
        let lock = dir.path().join(".run.lock");
        assert!(nothing_can_be_written(ErrorKind::ReadOnlyFilesystem, &lock));
        assert!(nothing_can_be_written(ErrorKind::PermissionDenied, &lock));
        fs::write(&lock, "").expect("a file");
        // Somebody else's, who may be writing.
        assert!(!nothing_can_be_written(ErrorKind::PermissionDenied, &lock));
        assert!(!nothing_can_be_written(ErrorKind::StorageFull, &lock));
    }
}
