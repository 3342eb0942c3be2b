//! Which files of a repository make a model, and whether its model is one that can be used.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::is_safe;
use crate::error::{Error, Result};
use crate::json;
use crate::model::BertConfig;

pub(super) const CONFIG: &str = "config.json";

/// One of these two must be there.
pub(super) const VOCABULARIES: [&str; 2] = ["vocab.txt", "tokenizer.json"];

pub(super) const OPTIONAL: [&str; 3] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// Says of a model of sentence-transformers how it makes vectors.
pub(super) const MODULES: &str = "modules.json";

/// What stands beside it.
pub(super) const OF_MODULES: [&str; 2] = [
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
];

/// Why the model of a `config.json` cannot be used, before its weights are fetched.
pub(super) fn check_config(path: &Path) -> Result<(), String> {
    let config: Value = json::read(path).map_err(|error| error.chain())?;
    match config["model_type"].as_str() {
        // Its two parts are looked at when it is loaded.
        Some("encoder-decoder") => return Ok(()),
        Some("bert") | None => {}
        Some(other) => {
            let other = other.escape_debug();
            return Err(format!(
                "`model_type` must be `bert`, got {other}: choose a BERT model"
            ));
        }
    }
    let dir = path.parent().unwrap_or(path);
    match BertConfig::from_dir(dir) {
        Ok(_) => Ok(()),
        Err(Error::ModelConfig {
            field, rule, got, ..
        }) => Err(format!("`{field}` must be {rule}, got {got}")),
        Err(other) => Err(other.chain()),
    }
}

/// The configurations of the modules that a `modules.json` names; true for one that must be
/// there.
pub(super) fn module_files(path: &Path) -> Result<Vec<(String, bool)>, String> {
    #[derive(Deserialize)]
    struct Module {
        path: String,
        #[serde(rename = "type")]
        class: String,
    }
    let modules: Vec<Module> = json::read(path).map_err(|error| error.chain())?;
    let mut files = Vec::new();
    for Module { path, class } in modules {
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            continue;
        }
        if !path.split('/').all(is_safe) {
            let path = path.escape_debug();
            return Err(format!(
                "`{path}` is no folder of a repository, and is not fetched"
            ));
        }
        // Most others have nothing to say.
        let pools = class.rsplit('.').next() == Some("Pooling");
        files.push((format!("{path}/config.json"), pools));
    }
    Ok(files)
}
