//! The folder that a run of a recipe leaves: results, history and predictions in
//! the files and under the keys that Hugging Face's example scripts use. The model
//! itself is saved into the same folder by the task.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json as object};

use crate::checkpoint::{Checkpoints, FolderLock, NewFolder, Writes};
use crate::data::SkippedRow;
use crate::error::{Error, PathContext, Result};
use crate::json;
use crate::train::TrainReport;

const RESULTS: &str = "all_results.json";
const STATE: &str = "trainer_state.json";
const PREDICTIONS: &str = "predictions.jsonl";
/// What looked wrong in training.
const WARNINGS: &str = "warnings.json";
/// Rows that were left out because they cannot be used.
const SKIPPED: &str = "skipped_rows.jsonl";
/// Answers by question, as the official script for SQuAD reads them.
const ANSWERS: &str = "predictions.json";
const N_BEST: &str = "nbest_predictions.json";
const NULL_ODDS: &str = "null_odds.json";

/// A folder for what a run finds out. While it lives, no other run can have it, in this program
/// or another one; where the file system has no locks, a warning says so.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Arc<FolderLock>,
}

impl RunFolder {
    /// Makes the folder, or takes an empty one. With `overwrite` it may hold an
    /// earlier run, whose results and checkpoints are removed.
    ///
    /// # Errors
    /// When another run is writing into the folder ([`Error::InUse`]), and when it is not empty,
    /// cannot be written, or holds checkpoints of another program, such as transformers' `Trainer`.
    pub fn create(path: impl Into<PathBuf>, overwrite: bool) -> Result<Self> {
        let folder = Self::lock(path.into())?;
        let path = folder.path();
        if !overwrite && is_used(path)? {
            let path = path.to_owned();
            return Err(Error::NotEmpty { path });
        }
        if let Some(name) = foreign_checkpoint(path)? {
            let problem = format!(
                "another program's checkpoint is there, {name:?}: move it, or choose another folder"
            );
            let path = path.to_owned();
            return Err(Error::File { path, problem });
        }
        // Somebody may train there without results of a recipe.
        let checkpoints = Checkpoints::new(path);
        let lock = checkpoints.lock()?;
        NewFolder::remove_drafts(path)?;
        for name in [
            RESULTS,
            STATE,
            WARNINGS,
            PREDICTIONS,
            ANSWERS,
            N_BEST,
            NULL_ODDS,
            SKIPPED,
        ] {
            let file = path.join(name);
            if file.exists() {
                std::fs::remove_file(&file).writing(&file)?;
            }
        }
        checkpoints.remove_all()?;
        drop(lock);
        Ok(folder)
    }

    /// Takes the folder of a run that was interrupted, or makes it. What a run that was
    /// killed while it saved its model has left there is removed.
    ///
    /// # Errors
    /// When another run is writing into the folder ([`Error::InUse`]), and when it cannot be
    /// written.
    pub fn resume(path: impl Into<PathBuf>) -> Result<Self> {
        let folder = Self::lock(path.into())?;
        NewFolder::remove_drafts(folder.path())?;
        Ok(folder)
    }

    /// The folder, which is made if it is not there, for this run alone.
    fn lock(path: PathBuf) -> Result<Self> {
        let lock = FolderLock::take(&path, Writes::Results)?;
        let _lock = Arc::new(lock);
        Ok(Self { path, _lock })
    }

    /// The results of a run that is finished, as one line; they are written last.
    ///
    /// # Errors
    /// When the results are there but cannot be read.
    pub fn results(&self) -> Result<Option<String>> {
        let path = self.path.join(RESULTS);
        match path.exists() {
            true => Ok(Some(json::read::<Value>(&path)?.to_string())),
            false => Ok(None),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `all_results.json`, one flat object, and returns it as one line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_results(&self, results: &BTreeMap<String, f64>) -> Result<String> {
        let number = |name: &str, value: f64| match name.ends_with("_samples") {
            true => Value::from(value as u64),
            false => Value::from(value),
        };
        let results: Map<_, _> = results
            .iter()
            .map(|(name, &value)| (name.clone(), number(name, value)))
            .collect();
        // Whole or not at all, since the file says that the run is finished.
        let draft = self.path.join(format!(".{RESULTS}.tmp"));
        json::write(&draft, &results)?;
        let path = self.path.join(RESULTS);
        std::fs::rename(&draft, &path).writing(&path)?;
        Ok(Value::Object(results).to_string())
    }

    /// Writes `trainer_state.json`: steps, the best number and the history, under the keys that
    /// transformers' `TrainerState` has. What looked wrong in training goes into `warnings.json`, a
    /// list of texts, if anything did.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_trainer_state(&self, report: &TrainReport) -> Result<()> {
        let state = object!({
            "global_step": report.global_step,
            "max_steps": report.plan.total_steps,
            "epoch": report.epoch,
            "best_metric": report.best_metric,
            "best_global_step": report.best_step,
            "log_history": report.log_history,
        });
        json::write(&self.path.join(STATE), &state)?;
        let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
        match warnings.is_empty() {
            true => Ok(()),
            false => json::write(&self.path.join(WARNINGS), &warnings),
        }
    }

    /// Writes `predictions.json`, the text of each answer by the id of its question.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_answers(&self, by_id: &impl Serialize) -> Result<()> {
        json::write(&self.path.join(ANSWERS), by_id)
    }

    /// Writes `nbest_predictions.json`, the answers that were considered by the id of their
    /// question.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_n_best(&self, by_id: &impl Serialize) -> Result<()> {
        json::write(&self.path.join(N_BEST), by_id)
    }

    /// Writes `null_odds.json`, by how much no answer leads by the id of its question.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_null_odds(&self, by_id: &impl Serialize) -> Result<()> {
        json::write(&self.path.join(NULL_ODDS), by_id)
    }

    /// Writes `predictions.jsonl`, one object on each line, in order.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_predictions<P: Serialize>(
        &self,
        predictions: impl IntoIterator<Item = P>,
    ) -> Result<()> {
        self.write_lines(PREDICTIONS, predictions)
    }

    /// Writes `skipped_rows.jsonl`, one object on each line: `file`, `line` and `problem`. Where
    /// there are none, there is no such file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_skipped_rows(&self, rows: &[SkippedRow]) -> Result<()> {
        match rows.is_empty() {
            true => Ok(()),
            false => self.write_lines(SKIPPED, rows),
        }
    }

    fn write_lines<P: Serialize>(
        &self,
        name: &str,
        objects: impl IntoIterator<Item = P>,
    ) -> Result<()> {
        let path = self.path.join(name);
        let mut file = BufWriter::new(File::create(&path).writing(&path)?);
        for object in objects {
            let line = serde_json::to_string(&object).map_err(|source| Error::Json {
                path: path.clone(),
                source,
            })?;
            writeln!(file, "{line}").writing(&path)?;
        }
        file.flush().writing(&path)
    }
}

/// Whether a folder holds more than a lock.
fn is_used(folder: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(folder).reading(folder)? {
        if !FolderLock::is_lock(&entry.reading(folder)?.file_name()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The name of a checkpoint that transformers' `Trainer` or a like program has written.
fn foreign_checkpoint(path: &Path) -> Result<Option<String>> {
    for entry in std::fs::read_dir(path).reading(path)? {
        let entry = entry.reading(path)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let step = name.strip_prefix("checkpoint-").map(str::parse::<u64>);
        let foreign = ["optimizer.pt", "training_args.bin", "scheduler.pt"];
        let holds = |file: &&str| entry.path().join(file).exists();
        if matches!(step, Some(Ok(_))) && foreign.iter().any(holds) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
