//! Checkpoints of a run on its way: a copy of all that changes is made between two
//! steps, and written by a thread while the next steps are made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::Value;
use tch::Tensor;

use super::identity::Identity;
use super::state::RunState;
use crate::checkpoint::{Checkpoints, FolderLock, verify};
use crate::error::{Error, Result};
use crate::json;
use crate::model::{ModelFiles, weights};

const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "trainer_state.json";
const IDENTITY: &str = "training_args.json";

/// Writes the checkpoints of one run, one at a time. While it lives, no other run writes any into
/// the folder.
pub(super) struct Saver {
    checkpoints: Checkpoints,
    identity: Arc<Identity>,
    writing: Option<Writing>,
    /// The step of the newest checkpoint, and when it was made.
    last: (Option<usize>, Instant),
    _lock: FolderLock,
}

/// A checkpoint on its way to the disk.
type Writing = JoinHandle<Result<()>>;

/// All that a checkpoint holds; the tensors are copies.
pub(super) struct Snapshot {
    pub(super) files: ModelFiles,
    pub(super) optimizer: BTreeMap<String, Tensor>,
    pub(super) state: RunState,
}

impl Saver {
    pub(super) fn new(checkpoints: &Checkpoints, identity: Identity) -> Result<Self> {
        checkpoints.validate()?;
        let lock = checkpoints.lock()?;
        checkpoints.clean()?;
        Ok(Self {
            _lock: lock,
            checkpoints: checkpoints.clone(),
            identity: Arc::new(identity),
            writing: None,
            last: (None, Instant::now()),
        })
    }

    /// The state to go on from: that of the newest whole checkpoint, which must be of
    /// this run and its number of steps, and whole like those of the steps that it `needs`.
    /// None where there is no checkpoint, or none is wanted; then there must be none.
    pub(super) fn resumed(
        &mut self,
        needs: impl Fn(&RunState) -> [Option<usize>; 2],
        total_steps: usize,
    ) -> Result<Option<RunState>> {
        if !self.checkpoints.resume {
            return match self.checkpoints.steps()?.first() {
                Some(&step) => {
                    let path = self.checkpoints.path(step);
                    let problem = "a checkpoint of an earlier run; resume it, or remove it";
                    let problem = problem.to_owned();
                    Err(Error::File { path, problem })
                }
                None => Ok(None),
            };
        }
        let newest = self.checkpoints.newest(|step| {
            let path = self.checkpoints.path(step);
            verify(&path)?;
            let file = path.join(STATE);
            let state: RunState = json::read(&file)?;
            state.check(step, &file)?;
            for other in needs(&state).into_iter().flatten() {
                if other != step {
                    verify(self.checkpoints.path(other))?;
                }
            }
            Ok(state)
        })?;
        let Some(state) = newest else {
            return Ok(None);
        };
        let path = self.checkpoints.path(state.global_step);
        let saved: Value = json::read(&path.join(IDENTITY))?;
        self.identity.check(&saved, &path)?;
        if state.max_steps != total_steps {
            let found = state.max_steps;
            return Err(Error::File {
                path: path.join(STATE),
                problem: format!("`max_steps` is {found}, but the run has {total_steps} steps"),
            });
        }
        log::info!("going on from {}", path.display());
        self.last.0 = Some(state.global_step);
        Ok(Some(state))
    }

    /// Checks that the newest checkpoint is of the run `identity`. One that cannot be read is no
    /// problem, since nothing is to be taken from it.
    pub(super) fn check(checkpoints: &Checkpoints, identity: &Identity) -> Result<()> {
        let Some(&step) = checkpoints.steps()?.first() else {
            return Ok(());
        };
        let path = checkpoints.path(step);
        match json::read(&path.join(IDENTITY)) {
            Ok(saved) => identity.check(&saved, &path),
            Err(_) => Ok(()),
        }
    }

    /// The state in a step's checkpoint, which must be whole, once what is being written is
    /// on the disk. Those of later steps are removed: they are of a path that is left.
    pub(super) fn go_back(&mut self, step: usize) -> Result<RunState> {
        self.finish()?;
        let path = self.checkpoints.path(step);
        verify(&path)?;
        let state = json::read(&path.join(STATE))?;
        self.checkpoints.remove_after(step)?;
        self.last.0 = Some(step);
        Ok(state)
    }

    /// Copies the weights of a step's checkpoint into `variables`.
    pub(super) fn load_weights(
        &self,
        step: usize,
        variables: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        weights::load_all(&self.checkpoints.path(step), variables)
    }

    /// The moments in a step's checkpoint.
    pub(super) fn optimizer_state(&self, step: usize) -> Result<BTreeMap<String, Tensor>> {
        weights::read(&self.checkpoints.path(step).join(OPTIMIZER))
    }

    /// Whether the checkpoint of a step is to be written by the clock or the calendar.
    pub(super) fn is_due(&self, step: usize, epoch_ends: bool) -> bool {
        let since_last = self.last.1.elapsed();
        self.checkpoints.every.is_due(step, epoch_ends, since_last)
    }

    /// Whether the newest checkpoint is that of `step`.
    pub(super) fn has(&self, step: usize) -> bool {
        self.last.0 == Some(step)
    }

    /// Starts to write a checkpoint, when the one before is on the disk.
    /// Those of the steps `needed` are not removed.
    pub(super) fn write(&mut self, snapshot: Snapshot, needed: [Option<usize>; 2]) -> Result<()> {
        self.finish()?;
        let step = snapshot.state.global_step;
        self.last = (Some(step), Instant::now());
        let identity = self.identity.clone();
        self.start(move |checkpoints| {
            checkpoints.write(step, needed, |folder| snapshot.write(folder, &identity))
        });
        Ok(())
    }

    /// Gives the newest checkpoint, which is of the same step, another state; the weights and the
    /// moments have not changed since.
    pub(super) fn renew(&mut self, state: RunState, needed: [Option<usize>; 2]) {
        let step = state.global_step;
        self.start(move |checkpoints| {
            let write = |folder: &Path| json::write(&folder.join(STATE), &state);
            checkpoints.renew(step, needed, &[STATE], write)
        });
    }

    /// Writes on a thread of its own, after what is being written already.
    fn start(&mut self, write: impl FnOnce(&Checkpoints) -> Result<()> + Send + 'static) {
        let (before, checkpoints) = (self.writing.take(), self.checkpoints.clone());
        self.writing = Some(std::thread::spawn(move || {
            written(before)?;
            write(&checkpoints)
        }));
    }

    /// Waits until the last checkpoint is on the disk.
    pub(super) fn finish(&mut self) -> Result<()> {
        written(self.writing.take())
    }
}

/// Waits until it is on the disk.
fn written(writing: Option<Writing>) -> Result<()> {
    match writing.map(JoinHandle::join) {
        None => Ok(()),
        Some(Ok(written)) => written,
        Some(Err(_)) => Err(Error::Worker {
            doing: "writing a checkpoint",
        }),
    }
}

impl Drop for Saver {
    /// A run that ends with an error still finishes the checkpoint it has begun.
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            log::error!("{}", error.chain());
        }
    }
}

impl Snapshot {
    fn write(&self, folder: &Path, identity: &Identity) -> Result<()> {
        self.files.write(folder)?;
        weights::save(&folder.join(OPTIMIZER), &self.optimizer)?;
        json::write(&folder.join(IDENTITY), identity)?;
        json::write(&folder.join(STATE), &self.state)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_panic_of_the_thread_that_writes_is_an_error_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(dir.path());
        let identity = Identity::nothing();
        let mut saver = Saver::new(&checkpoints, identity).expect("a saver");
        let write = |step, write: fn(&Path) -> Result<()>| {
            move |checkpoints: &Checkpoints| checkpoints.write(step, [None; 2], write)
        };
        saver.start(write(1, |_| panic!("a bug in a writer")));
        // What comes after it is not written, and tells of it.
        saver.start(|_| Ok(()));
        match saver.finish() {
            Err(Error::Worker { doing }) => assert_eq!(doing, "writing a checkpoint"),
            other => panic!("{other:?}"),
        }
        let entries = fs::read_dir(dir.path()).expect("a folder").flatten();
        let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        assert!(
            names.iter().all(|name| FolderLock::is_lock(name)),
            "{names:?}"
        );
        // The next one is written all the same.
        saver.start(write(2, |_| Ok(())));
        saver.finish().expect("a checkpoint");
        verify(checkpoints.path(2)).expect("a whole checkpoint");
    }

    #[test]
    fn a_second_run_writes_no_checkpoints_into_the_same_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(dir.path().join("run")).resume(true);
        let saver = || Saver::new(&checkpoints, Identity::nothing());
        let first = saver().expect("a saver");
        match saver() {
            Err(Error::InUse { path }) => assert_eq!(path, dir.path().join("run")),
            other => panic!("{:?}", other.map(|_| "a second one")),
        }
        drop(first);
        saver().expect("the folder is free");
    }
}
