//! The checkpoints of one run: `checkpoint-<step>` folders in the folder of the run.

use std::fs;
use std::path::{Path, PathBuf};

use super::every::CheckpointEvery;
use super::folder_lock::{FolderLock, Writes};
use super::manifest::{Sums, share_files, write_manifest};
use super::new_folder::NewFolder;
use crate::error::{Error, PathContext, Result};

const PREFIX: &str = "checkpoint-";
const ASIDE: &str = "aside";

/// Where a run writes checkpoints, how often, and how many it keeps; see
/// [`Trainer::checkpoints`](crate::Trainer::checkpoints).
///
/// A checkpoint is a folder `checkpoint-<step>`: a model folder, with the state of the
/// optimizer, of the run and of libtorch's generator beside it, and a manifest of
/// SHA-256 sums. It appears whole or not at all.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
    pub(crate) every: CheckpointEvery,
    keep: usize,
    pub(crate) resume: bool,
}

impl Checkpoints {
    /// Checkpoints in `dir`, after each epoch, of which the newest two are kept, and
    /// the one with the best evaluation.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            every: CheckpointEvery::default(),
            keep: 2,
            resume: false,
        }
    }

    /// When to write one.
    pub fn every(mut self, every: CheckpointEvery) -> Self {
        self.every = every;
        self
    }

    /// How many of the newest to keep, at least 1; the one with the best evaluation
    /// is kept besides.
    pub fn keep(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// Goes on from the newest whole checkpoint, exactly; where there is none yet,
    /// starts.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        self.every.validate()?;
        match self.keep {
            0 => Err(Error::config("keep", "above 0", 0)),
            _ => Ok(()),
        }
    }

    /// The folder of the checkpoint of a step.
    pub(crate) fn path(&self, step: usize) -> PathBuf {
        self.dir.join(format!("{PREFIX}{step}"))
    }

    /// The steps that there are checkpoints of, the newest first.
    pub(crate) fn steps(&self) -> Result<Vec<usize>> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.dir).reading(&self.dir)? {
            let name = entry.reading(&self.dir)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            steps.extend(number.and_then(|number| number.parse::<usize>().ok()));
        }
        steps.sort_unstable_by(|a, b| b.cmp(a));
        Ok(steps)
    }

    /// What `read` gives for the newest checkpoint that it accepts. Those that it
    /// does not are reported; it is an error if there are only such.
    pub(crate) fn newest<T>(&self, read: impl Fn(usize) -> Result<T>) -> Result<Option<T>> {
        let steps = self.steps()?;
        let mut first_problem = None;
        for &step in &steps {
            match read(step) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => {
                    let path = self.path(step);
                    log::warn!("{} cannot be used: {}", path.display(), error.chain());
                    first_problem.get_or_insert(error);
                }
            }
        }
        match first_problem {
            None => Ok(None),
            Some(error) => Err(Error::File {
                path: self.dir.clone(),
                problem: format!("no checkpoint can be used; the newest: {}", error.chain()),
            }),
        }
    }

    /// Keeps others from writing checkpoints there.
    pub(crate) fn lock(&self) -> Result<FolderLock> {
        FolderLock::take(&self.dir, Writes::Checkpoints)
    }

    /// Writes the checkpoint of a step: `write` fills the folder. Then removes those
    /// that are too many; those of the steps `needed` never are.
    pub(crate) fn write(
        &self,
        step: usize,
        needed: [Option<usize>; 2],
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let with_sums = |folder: &Path| write(folder).map(|()| Sums::new());
        self.write_with_sums(step, needed, with_sums)
    }

    /// Writes the checkpoint of a step again: `write` writes the files of the names `changed`, and
    /// the others stay as they are.
    pub(crate) fn renew(
        &self,
        step: usize,
        needed: [Option<usize>; 2],
        changed: &[&str],
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        self.write_with_sums(step, needed, |folder| {
            let sums = share_files(&self.path(step), folder, changed)?;
            write(folder)?;
            Ok(sums)
        })
    }

    /// The same; `write` returns the sums of files that it knows.
    fn write_with_sums(
        &self,
        step: usize,
        needed: [Option<usize>; 2],
        write: impl FnOnce(&Path) -> Result<Sums>,
    ) -> Result<()> {
        let folder = NewFolder::create(&self.path(step))?;
        let sums = write(folder.path())?;
        write_manifest(folder.path(), &sums)?;
        let old = self.set_aside(step)?;
        if let Err(error) = folder.commit() {
            // A second problem may follow from the first, which is the one to tell.
            if old && let Err(second) = self.put_back(step) {
                log::error!("{}", second.chain());
            }
            return Err(error);
        }
        if old {
            self.discard(&self.aside(step), step)?;
        }
        let newest = self.steps()?;
        let too_many = newest
            .into_iter()
            .filter(|&old| old <= step)
            .skip(self.keep);
        for old in too_many.filter(|&old| !needed.contains(&Some(old))) {
            self.remove(old)?;
        }
        Ok(())
    }

    /// Removes the checkpoints of later steps: a run that has gone back comes to them on another
    /// path.
    pub(crate) fn remove_after(&self, step: usize) -> Result<()> {
        let later = self.steps()?.into_iter().filter(|&later| later > step);
        later.into_iter().try_for_each(|later| self.remove(later))
    }

    /// Where a checkpoint waits until the new one of its step has its name.
    fn aside(&self, step: usize) -> PathBuf {
        self.dir.join(format!(".{PREFIX}{step}.{ASIDE}"))
    }

    /// Frees the name of a step's checkpoint, and returns whether there is one. It may be
    /// damaged, or one that an interrupt has made, and then it is all that there is: whole
    /// until the new one is.
    fn set_aside(&self, step: usize) -> Result<bool> {
        let path = self.path(step);
        let exists = path.exists();
        if exists {
            fs::rename(&path, self.aside(step)).writing(&path)?;
        }
        Ok(exists)
    }

    /// Gives the checkpoint that waits aside its name back. One that has it by now may not be on
    /// the disk.
    fn put_back(&self, step: usize) -> Result<()> {
        let path = self.path(step);
        self.remove(step)?;
        fs::rename(self.aside(step), &path).writing(&path)
    }

    /// Removes a checkpoint.
    fn remove(&self, step: usize) -> Result<()> {
        let path = self.path(step);
        match path.exists() {
            true => self.discard(&path, step),
            false => Ok(()),
        }
    }

    /// Removes a folder; one that is half gone has the name of no checkpoint.
    fn discard(&self, folder: &Path, step: usize) -> Result<()> {
        let trash = self.dir.join(format!(".{PREFIX}{step}.old"));
        fs::rename(folder, &trash).writing(folder)?;
        fs::remove_dir_all(&trash).writing(&trash)
    }

    /// Removes all checkpoints.
    pub(crate) fn remove_all(&self) -> Result<()> {
        self.clean()?;
        self.steps()?
            .into_iter()
            .try_for_each(|step| self.remove(step))
    }

    /// Removes what a run that was killed has left behind, but for a checkpoint whose
    /// successor did not get its name: that one gets it back.
    pub(crate) fn clean(&self) -> Result<()> {
        if !self.dir.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.dir).reading(&self.dir)? {
            let entry = entry.reading(&self.dir)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(&format!(".{PREFIX}")) else {
                continue;
            };
            let aside = rest.split_once('.').filter(|(_, end)| *end == ASIDE);
            let step = aside.and_then(|(step, _)| step.parse::<usize>().ok());
            match step.filter(|&step| !self.path(step).exists()) {
                Some(step) => self.put_back(step)?,
                None => fs::remove_dir_all(entry.path()).writing(&entry.path())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::verify;

    /// A checkpoint of step 3 with this content.
    fn written(checkpoints: &Checkpoints, content: &str) -> Result<()> {
        checkpoints.write(3, [None; 2], |folder| {
            let file = folder.join("state");
            fs::write(&file, content).writing(&file)
        })
    }

    fn content(checkpoints: &Checkpoints) -> String {
        let path = checkpoints.path(3);
        verify(&path).expect("a whole checkpoint");
        fs::read_to_string(path.join("state")).expect("a file")
    }

    /// A kill between any two of the steps that replace the only checkpoint.
    #[test]
    fn the_only_checkpoint_is_there_until_its_successor_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(dir.path()).keep(1);
        written(&checkpoints, "old").expect("a checkpoint");
        // Before the new one has its name.
        assert!(checkpoints.set_aside(3).expect("a free name"));
        assert!(checkpoints.steps().expect("steps").is_empty());
        checkpoints.clean().expect("a clean folder");
        assert_eq!(content(&checkpoints), "old");
        // After, but before the old one is gone.
        assert!(checkpoints.set_aside(3).expect("a free name"));
        written(&checkpoints, "new").expect("a checkpoint");
        checkpoints.clean().expect("a clean folder");
        assert_eq!(content(&checkpoints), "new");
        // While a checkpoint that is to go is half gone.
        let trash = dir.path().join(".checkpoint-2.old");
        fs::create_dir(trash).expect("a folder");
        checkpoints.clean().expect("a clean folder");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
        // And without a kill.
        written(&checkpoints, "newer").expect("a checkpoint");
        assert_eq!(content(&checkpoints), "newer");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_checkpoint_is_renewed_in_some_files_and_keeps_the_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(dir.path());
        let write = |folder: &Path, name: &str, content: &str| {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).writing(&file)?;
            fs::write(&file, content).writing(&file)
        };
        let first = checkpoints.write(3, [None; 2], |folder| {
            write(folder, "state", "old")?;
            write(folder, "weights", "many")?;
            write(folder, "part/weights", "more")
        });
        first.expect("a checkpoint");
        let renewed = |content: &str| {
            checkpoints.renew(3, [None; 2], &["state"], |folder| match content {
                "" => Err(Error::Worker { doing: "testing" }),
                _ => write(folder, "state", content),
            })
        };
        renewed("new").expect("a checkpoint");
        assert_eq!(content(&checkpoints), "new");
        renewed("").expect_err("a failure");
        assert_eq!(content(&checkpoints), "new");
        for (name, kept) in [("weights", "many"), ("part/weights", "more")] {
            let path = checkpoints.path(3).join(name);
            assert_eq!(fs::read_to_string(path).expect("a file"), kept);
        }
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
        // What was damaged before stays known as such.
        fs::write(checkpoints.path(3).join("weights"), "fewer").expect("a file");
        renewed("newest").expect("a checkpoint");
        verify(checkpoints.path(3)).expect_err("a damaged file");
    }

    #[test]
    fn a_checkpoint_aside_gets_its_name_back_from_one_that_may_not_be_on_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(dir.path());
        written(&checkpoints, "old").expect("a checkpoint");
        assert!(checkpoints.set_aside(3).expect("a free name"));
        written(&checkpoints, "new").expect("a checkpoint");
        checkpoints.put_back(3).expect("the old one");
        assert_eq!(content(&checkpoints), "old");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn checkpoints_of_an_abandoned_path_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(dir.path());
        for step in [2, 3, 4, 10] {
            fs::create_dir(checkpoints.path(step)).expect("a folder");
        }
        checkpoints.remove_after(3).expect("removed");
        assert_eq!(checkpoints.steps().expect("steps"), [3, 2]);
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(dir.path()).keep(1);
        written(&checkpoints, "old").expect("a checkpoint");
        let failed = checkpoints.write(3, [None; 2], |_| Err(Error::Worker { doing: "testing" }));
        assert!(matches!(failed, Err(Error::Worker { .. })));
        assert_eq!(content(&checkpoints), "old");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}
