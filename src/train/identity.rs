//! What makes a run that run: its settings, its data and the model it started from.
//! A checkpoint holds it, so that another run cannot go on from there by mistake.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::config::TrainConfig;
use crate::checkpoint::hex;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::fine_tuner::{FineTuner, ItemOf};
use crate::model::ModelFiles;
use crate::model::weights::numbers_of;

/// What must be the same for a run to be resumed, and what should.
#[derive(Debug, Serialize)]
pub(super) struct Identity(Value);

impl Identity {
    /// Of a run that is about to start, with the model as it is before its first step.
    pub(super) fn of<M: FineTuner>(
        config: &TrainConfig,
        model: &M,
        train: &dyn Dataset<Item = ItemOf<M>>,
        dev: Option<&dyn Dataset<Item = ItemOf<M>>>,
    ) -> Result<Self> {
        let files = &model.files();
        let dev = dev.map(|dev| data_set::<M>(dev)).transpose()?;
        Ok(Self(json!({
            "train_config": config,
            "task": model.training_settings(),
            "precision": model.backbone().precision(),
            "train": data_set::<M>(train)?,
            "dev": dev,
            "model": {
                "files": files.json,
                "tokenizer": sum_of_tokenizer(files)?,
                "weights": sum_of_weights(files)?,
            },
        })))
    }

    #[cfg(test)]
    pub(super) fn nothing() -> Self {
        Self(Value::Null)
    }

    /// Checks that the checkpoint at `path`, which holds `saved`, is of this run.
    pub(super) fn check(&self, saved: &Value, path: &Path) -> Result<()> {
        let mut differences = Vec::new();
        compare("", saved, &self.0, &mut differences);
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Error::OtherRun {
                path: path.to_owned(),
                differences,
            }),
        }
    }
}

/// Adds a line for each value that differs, by its path.
fn compare(name: &str, old: &Value, new: &Value, differences: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let dot = if name.is_empty() { "" } else { "." };
                let of = |map: &serde_json::Map<_, _>| map.get(key).cloned().unwrap_or_default();
                compare(
                    &format!("{name}{dot}{key}"),
                    &of(old),
                    &of(new),
                    differences,
                );
            }
        }
        _ if old == new => {}
        _ => differences.push(format!("{name}: {old}, now {new}")),
    }
}

/// The number of rows and a sum over all of them.
fn data_set<M: FineTuner>(rows: &dyn Dataset<Item = ItemOf<M>>) -> Result<Value> {
    let sha256 = sum(|hash| {
        for row in 0..rows.len() {
            // Debug is what every type of row has, and shows all that is in it.
            add(hash, format!("{:?}", rows.get(row)?));
        }
        Ok(())
    })?;
    Ok(json!({"rows": rows.len(), "sha256": sha256}))
}

fn sum_of_tokenizer(files: &ModelFiles) -> Result<String> {
    sum(|hash| {
        add(hash, files.tokenizer.vocab_bytes());
        add(hash, format!("{:?}", files.tokenizer.config()));
        Ok(())
    })
}

fn sum_of_weights(files: &ModelFiles) -> Result<String> {
    sum(|hash| {
        for (name, weight) in &files.weights {
            add(hash, name);
            add(hash, numbers_of(weight)?.bytes());
        }
        Ok(())
    })
}

/// The SHA-256 sum, in hexadecimal digits, of what `fill` adds.
fn sum(fill: impl FnOnce(&mut Sha256) -> Result<()>) -> Result<String> {
    let mut hash = Sha256::new();
    fill(&mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// Adds one part, with its length, so that no two lists of parts are alike.
fn add(hash: &mut Sha256, part: impl AsRef<[u8]>) {
    hash.update((part.as_ref().len() as u64).to_le_bytes());
    hash.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named_with_both_values() {
        let old = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x", "gone": true});
        let new = json!({"a": {"b": 2, "c": [1, 2]}, "d": "x", "added": 0.5});
        let mut differences = Vec::new();
        compare("", &old, &new, &mut differences);
        let expected = [
            "a.b: 1, now 2",
            "gone: true, now null",
            "added: null, now 0.5",
        ];
        assert_eq!(differences, expected);
    }
}
