//! The checkpoints of one run: `checkpoint-<step>` folders in the folder of the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::manifest::write_manifest;
use super::new_folder::NewFolder;
use crate::error::{Error, PathContext, Result};

const PREFIX: &str = "checkpoint-";
const ASIDE: &str = "aside";

/// When a run writes a checkpoint, besides at each new best evaluation and at its end.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum CheckpointEvery {
    /// After each epoch.
    #[default]
    Epoch,
    /// After each so many optimizer steps.
    Steps(usize),
    /// At the first optimizer step after so many minutes.
    Minutes(f64),
}

impl FromStr for CheckpointEvery {
    type Err = Error;

    /// Reads `epoch`, a number of steps, or a number of minutes with an `m` behind.
    fn from_str(text: &str) -> Result<Self> {
        let minutes = text.strip_suffix('m').and_then(|text| text.parse().ok());
        let every = match (text, text.parse(), minutes) {
            ("epoch", ..) => Some(Self::Epoch),
            (_, Ok(steps), _) if steps > 0 => Some(Self::Steps(steps)),
            (_, _, Some(minutes)) if minutes > 0.0 => Some(Self::Minutes(minutes)),
            _ => None,
        };
        let rule = "epoch, a number of steps, or minutes such as 10m";
        every.ok_or_else(|| Error::config("checkpoint_every", rule, text))
    }
}

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
        let above = |field, got| Err(Error::config(field, "above 0", got));
        match self.every {
            CheckpointEvery::Steps(0) => above("checkpoint_every", 0.0),
            CheckpointEvery::Minutes(minutes) if !(minutes.is_finite() && minutes > 0.0) => {
                above("checkpoint_every", minutes)
            }
            _ if self.keep == 0 => above("keep", 0.0),
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

    /// Writes the checkpoint of a step: `write` fills the folder. Then removes those
    /// that are too many; those of the steps `needed` never are.
    pub(crate) fn write(
        &self,
        step: usize,
        needed: [Option<usize>; 2],
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let folder = NewFolder::create(&self.path(step))?;
        write(folder.path())?;
        write_manifest(folder.path())?;
        let old = self.set_aside(step)?;
        if let Err(error) = folder.commit() {
            if old {
                self.put_back(step)?;
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

    fn put_back(&self, step: usize) -> Result<()> {
        let path = self.path(step);
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

    #[test]
    fn an_interval_is_an_epoch_steps_or_minutes() {
        let read = |text: &str| text.parse::<CheckpointEvery>().ok();
        assert_eq!(read("epoch"), Some(CheckpointEvery::Epoch));
        assert_eq!(read("500"), Some(CheckpointEvery::Steps(500)));
        assert_eq!(read("2.5m"), Some(CheckpointEvery::Minutes(2.5)));
        for wrong in ["0", "0m", "-1m", "m", "ten", "1.5", "infm", ""] {
            let checkpoints = read(wrong).map(|every| Checkpoints::new("x").every(every));
            let refused = checkpoints.is_none_or(|checkpoints| checkpoints.validate().is_err());
            assert!(refused, "{wrong}");
        }
    }

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
