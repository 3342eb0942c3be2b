//! One model in Hugging Face's cache: `refs/<revision>` holds a commit,
//! `snapshots/<commit>/<file>` are links to `blobs/<etag>`, and a file that a commit
//! lacks is marked by an empty one in `.no_exist/<commit>`. Programs may be stopped at
//! any time and others use the cache meanwhile, so each step leaves it valid.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::progress::Progress;
use super::{Name, is_safe};
use crate::error::{PathContext, Result};

const BUFFER: usize = 1 << 16;

pub(super) struct Cache<'a> {
    folder: PathBuf,
    revision: &'a str,
}

/// A file of one commit.
pub(super) struct Version {
    pub(super) commit: String,
    /// Name of the content.
    pub(super) etag: String,
}

impl<'a> Cache<'a> {
    pub(super) fn new(root: &Path, name: &Name<'a>) -> Self {
        let folder = format!("models--{}", name.repository.replace('/', "--"));
        Self {
            folder: root.join(folder),
            revision: name.revision,
        }
    }

    /// The commit that the revision was when its snapshot became whole.
    pub(super) fn commit(&self) -> Option<String> {
        if is_commit(self.revision) {
            return Some(self.revision.to_owned());
        }
        let commit = fs::read_to_string(self.reference()).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_safe(commit))
    }

    pub(super) fn set_commit(&self, commit: &str) -> Result<()> {
        match is_commit(self.revision) || self.commit().as_deref() == Some(commit) {
            true => Ok(()),
            false => write(&self.reference(), commit),
        }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn has(&self, file: &str, commit: &str) -> bool {
        self.snapshot(commit).join(file).exists()
    }

    pub(super) fn is_absent(&self, file: &str, commit: &str) -> bool {
        self.absence(file, commit).exists()
    }

    pub(super) fn mark_absent(&self, file: &str, commit: &str) -> Result<()> {
        write(&self.absence(file, commit), "")
    }

    /// Puts the blob into the snapshot, if there is one.
    pub(super) fn link(&self, file: &str, version: &Version) -> Result<bool> {
        let blob = self.blob(version);
        let place = self.snapshot(&version.commit).join(file);
        if place.exists() || !blob.exists() {
            return Ok(place.exists());
        }
        create_parent(&place)?;
        // A link to a blob that somebody has deleted.
        let _ = fs::remove_file(&place);
        let up = "../".repeat(2 + file.matches('/').count());
        let linked = symlink(&format!("{up}blobs/{}", version.etag), &place)
            .or_else(|_| fs::hard_link(&blob, &place));
        // Another program may have been quicker.
        match place.exists() {
            true => Ok(true),
            false => linked.map(|()| true).writing(&place),
        }
    }

    /// Writes the blob, which appears only when it is whole. The inner error is that of
    /// the body.
    pub(super) fn receive(
        &self,
        version: &Version,
        mut body: impl Read,
        length: Option<u64>,
        mut progress: Progress,
    ) -> Result<io::Result<()>> {
        let blob = self.blob(version);
        // A name of its own, so that two programs never write to one file.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let (process, time) = (std::process::id(), now.unwrap_or_default().as_nanos());
        let name = format!("{}.{process}-{time}.incomplete", version.etag);
        let part = blob.with_file_name(name);
        create_parent(&part)?;
        let received = copy(&mut body, &part, length, &mut progress).and_then(|received| {
            if received.is_ok() {
                fs::rename(&part, &blob).writing(&blob)?;
            }
            Ok(received)
        });
        if !matches!(received, Ok(Ok(()))) {
            // What is told is why there is a rest, not that it stays.
            let _ = fs::remove_file(&part);
        }
        received
    }

    fn blob(&self, version: &Version) -> PathBuf {
        self.folder.join("blobs").join(&version.etag)
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(self.revision)
    }

    fn absence(&self, file: &str, commit: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(file)
    }
}

/// Copies all of `body`; an inner error if it breaks or is not `length` bytes.
fn copy(
    body: &mut impl Read,
    part: &Path,
    length: Option<u64>,
    progress: &mut Progress,
) -> Result<io::Result<()>> {
    let mut file = File::create(part).writing(part)?;
    let mut buffer = vec![0; BUFFER];
    let mut received = 0;
    loop {
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                file.write_all(&buffer[..count]).writing(part)?;
                received += count as u64;
                progress.set(received);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    if let Some(length) = length.filter(|&length| length != received) {
        let problem = format!("{received} of {length} bytes came");
        return Ok(Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem)));
    }
    file.sync_all().writing(part)?;
    Ok(Ok(()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    create_parent(path)?;
    fs::write(path, text).writing(path)
}

fn create_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).writing(parent)
}

/// Whether a revision is a whole commit id, which never means something else later.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(unix)]
fn symlink(target: &str, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(windows)]
fn symlink(target: &str, place: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), place)
}
