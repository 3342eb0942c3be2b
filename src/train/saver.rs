//! Checkpoints of a run on its way: a copy of all that changes is made between two
//! steps, and written by a thread while the next steps are made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tch::Tensor;

use super::identity::Identity;
use super::state::RunState;
use crate::checkpoint::{CheckpointEvery, Checkpoints, verify};
use crate::error::{Error, Result};
use crate::json;
use crate::model::{ModelFiles, weights};

const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "trainer_state.json";
const IDENTITY: &str = "training_args.json";

/// Writes the checkpoints of one run, one at a time.
pub(super) struct Saver {
    checkpoints: Checkpoints,
    identity: Arc<Identity>,
    writing: Option<JoinHandle<Result<()>>>,
    /// The step of the newest checkpoint, and when it was made.
    last: (Option<usize>, Instant),
}

/// All that a checkpoint holds; the tensors are copies.
pub(super) struct Snapshot {
    pub(super) files: ModelFiles,
    pub(super) optimizer: BTreeMap<String, Tensor>,
    pub(super) state: RunState,
}

impl Saver {
    pub(super) fn new(checkpoints: &Checkpoints, identity: Identity) -> Result<Self> {
        checkpoints.validate()?;
        checkpoints.clean()?;
        Ok(Self {
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
    /// on the disk.
    pub(super) fn go_back(&mut self, step: usize) -> Result<RunState> {
        self.finish()?;
        let path = self.checkpoints.path(step);
        verify(&path)?;
        let state = json::read(&path.join(STATE))?;
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
        match self.checkpoints.every {
            CheckpointEvery::Epoch => epoch_ends,
            CheckpointEvery::Steps(every) => step.is_multiple_of(every),
            CheckpointEvery::Minutes(minutes) => {
                self.last.1.elapsed() >= Duration::from_secs_f64(60.0 * minutes)
            }
        }
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
        self.start(step, needed, move |folder| {
            snapshot.write(folder, &identity)
        });
        Ok(())
    }

    fn start(
        &mut self,
        step: usize,
        needed: [Option<usize>; 2],
        write: impl FnOnce(&Path) -> Result<()> + Send + 'static,
    ) {
        let checkpoints = self.checkpoints.clone();
        let writing = std::thread::spawn(move || checkpoints.write(step, needed, write));
        self.writing = Some(writing);
    }

    /// Waits until the last checkpoint is on the disk.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self.writing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(written)) => written,
            Some(Err(_)) => Err(Error::Worker {
                doing: "writing a checkpoint",
            }),
        }
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
        saver.start(1, [None; 2], |_| panic!("a bug in a writer"));
        match saver.finish() {
            Err(Error::Worker { doing }) => assert_eq!(doing, "writing a checkpoint"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
        // The next one is written all the same.
        saver.start(2, [None; 2], |_| Ok(()));
        saver.finish().expect("a checkpoint");
        verify(checkpoints.path(2)).expect("a whole checkpoint");
    }
}
