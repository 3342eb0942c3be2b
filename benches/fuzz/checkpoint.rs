//! A run that has ended, with a hostile `trainer_state.json` in its checkpoint and a
//! manifest that fits, as one would have it who can write there.

use std::path::Path;

use bertfit::{
    BertClassifier, Checkpoints, Example, Result, TrainConfig, Trainer, write_tiny_model,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::targets::Seed;

const STATE: &str = "run/checkpoint-2/trainer_state.json";

fn rows() -> Vec<Example> {
    vec![
        Example::new("good film", "good"),
        Example::new("bad film", "bad"),
    ]
}

fn config() -> TrainConfig {
    TrainConfig {
        max_steps: Some(2),
        epochs: 2.0,
        group_by_length: false,
        ..TrainConfig::default()
    }
}

thread_local! {
    /// The folder of the model that all runs begin with.
    static BASE: TempDir = {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_tiny_model(dir.path()).expect("a model");
        dir
    };
}

fn run(dir: &Path, resume: bool) -> Result<()> {
    let checkpoints = Checkpoints::new(dir).resume(resume);
    let base = BASE.with(|dir| dir.path().to_owned());
    let mut model = BertClassifier::builder(base)
        .labels(["bad", "good"])
        .build()?;
    let mut trainer = Trainer::new(config())?.checkpoints(checkpoints);
    trainer.run(&mut model, &rows(), None).map(|_| ())
}

pub fn seeds() -> Vec<Seed> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run(&dir.path().join("run"), false).expect("a run");
    let names = [
        "config.json",
        "manifest.json",
        "model.safetensors",
        "optimizer.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_args.json",
        "vocab.txt",
    ];
    let beside: Vec<_> = names
        .iter()
        .map(|&name| {
            (
                name,
                std::fs::read(dir.path().join("run/checkpoint-2").join(name)),
            )
        })
        .map(|(name, content)| (name, content.expect("a file of the checkpoint")))
        .collect();
    let state = std::fs::read(dir.path().join(STATE)).expect("the state");
    // The same in the middle of the run, so that there is something left to do.
    let mut middle: Value = serde_json::from_slice(&state).expect("JSON");
    for (field, value) in [("global_step", json!(2)), ("stopped", Value::Null)] {
        middle[field] = value;
    }
    let seed = |state: Vec<u8>| Seed::new("trainer_state.json", state).beside(&beside);
    vec![seed(state), seed(middle.to_string().into_bytes())]
}

/// Resumes from the folder of the file. Its name must be that of a checkpoint.
pub fn read(path: &Path) -> Result<()> {
    let from = path.parent().expect("a file is in a folder");
    let run_dir = from.with_extension("run");
    let folder = run_dir.join("checkpoint-2");
    let _ = std::fs::remove_dir_all(&run_dir);
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut manifest: Value = json!({"sha256": {}});
    for entry in std::fs::read_dir(from).expect("the folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name == "manifest.json" {
            continue;
        }
        let content = std::fs::read(from.join(&name)).expect("a file");
        std::fs::write(folder.join(&name), &content).expect("a copy");
        let sum: String = Sha256::digest(&content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        manifest["sha256"][&name] = json!(sum);
    }
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("the manifest");
    run(&run_dir, true)
}
