//! What stands beside a model's own files in a folder of sentence-transformers: how
//! vectors are made of hidden states.
//!
//! Written is the layout of its releases 2 to 4, which rust-bert knows too; read is that of
//! release 5 as well.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::pooling::Pooling;
use crate::encode::Tokenizer;
use crate::error::{Error, Result};
use crate::json;

const MODULES: &str = "modules.json";
const MODEL: &str = "config_sentence_transformers.json";
const TRANSFORMER: &str = "sentence_bert_config.json";
const POOLING_FOLDER: &str = "1_Pooling";

/// How texts become vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modules {
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    /// The most tokens of a text; none where the tokenizer's configuration says it.
    pub(super) max_length: Option<usize>,
    /// Whether texts are brought to lower case, whatever the tokenizer does.
    pub(super) lower_case: bool,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl Modules {
    /// The modules of the model in `dir`; none where the folder names none.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(MODULES);
        if !path.exists() {
            return Ok(None);
        }
        let modules: Vec<Module> = json::read(&path)?;
        let classes = modules.iter().map(|module| module.class.rsplit('.').next());
        let classes: Vec<&str> = classes.flatten().collect();
        let normalize = match classes[..] {
            ["Transformer", "Pooling"] => false,
            ["Transformer", "Pooling", "Normalize"] => true,
            _ => {
                let found = classes.join(", ");
                return Err(Error::File {
                    path,
                    problem: format!(
                        "the modules must be Transformer, Pooling and perhaps Normalize, got {found}"
                    ),
                });
            }
        };
        if !modules[0].path.is_empty() {
            let folder = &modules[0].path;
            let problem =
                format!("the Transformer must be in the folder itself, not in `{folder}`");
            return Err(Error::File { path, problem });
        }
        let outside = |module: &&Module| {
            let mut parts = Path::new(&module.path).components();
            parts.any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        };
        if let Some(Module { path: folder, .. }) = modules.iter().find(outside) {
            let problem = format!("`{folder}` is not in the model's folder, and is not read");
            return Err(Error::File { path, problem });
        }
        check_prompt(&dir.join(MODEL))?;
        let (max_length, lower_case) = read_transformer(&dir.join(TRANSFORMER))?;
        Ok(Some(Self {
            pooling: read_pooling(&dir.join(&modules[1].path).join("config.json"))?,
            normalize,
            max_length,
            lower_case,
        }))
    }

    /// Refuses to bring texts to lower case where the tokenizer does not.
    pub(super) fn check(self, dir: &Path, tokenizer: &Tokenizer) -> Result<()> {
        match self.lower_case && !tokenizer.config().do_lower_case {
            true => {
                let rule = "as in tokenizer_config.json, where it is false";
                let path = dir.join(TRANSFORMER);
                Err(refused(&path, "do_lower_case", rule, &true.into()))
            }
            false => Ok(()),
        }
    }

    /// Adds the files that say all this, for vectors of so many numbers.
    pub(super) fn describe(self, size: i64, json: &mut BTreeMap<String, Value>) {
        let mut modules = vec![("Transformer", ""), ("Pooling", POOLING_FOLDER)];
        if self.normalize {
            modules.push(("Normalize", "2_Normalize"));
        }
        let modules = modules.iter().enumerate().map(|(idx, (class, path))| {
            json!({
                "idx": idx,
                "name": idx.to_string(),
                "path": path,
                "type": format!("sentence_transformers.models.{class}"),
            })
        });
        let is = |pooling| self.pooling == pooling;
        let files = [
            (MODULES.to_owned(), Value::from_iter(modules)),
            (
                MODEL.to_owned(),
                json!({
                    "prompts": {},
                    "default_prompt_name": null,
                    "similarity_fn_name": "cosine",
                }),
            ),
            (
                TRANSFORMER.to_owned(),
                json!({
                    "max_seq_length": self.max_length,
                    "do_lower_case": self.lower_case,
                }),
            ),
            (
                format!("{POOLING_FOLDER}/config.json"),
                json!({
                    "word_embedding_dimension": size,
                    "pooling_mode_cls_token": is(Pooling::Cls),
                    "pooling_mode_mean_tokens": is(Pooling::Mean),
                    "pooling_mode_max_tokens": is(Pooling::Max),
                    "pooling_mode_mean_sqrt_len_tokens": false,
                }),
            ),
        ];
        json.extend(files);
    }
}

fn refused(path: &Path, field: &'static str, rule: &str, got: &Value) -> Error {
    Error::ModelConfig {
        path: path.to_owned(),
        field,
        rule: rule.to_owned(),
        got: got.to_string(),
    }
}

/// One mode by its name, or, as older releases have it, a boolean for each mode.
fn read_pooling(path: &Path) -> Result<Pooling> {
    let config: Map<String, Value> = json::read(path)?;
    let by_name = |mode: &Value| mode.as_str().and_then(|mode| mode.parse().ok());
    let rule = "mean, cls or max, and one of them";
    let Some(mode) = config.get("pooling_mode") else {
        let on = config.iter().filter(|(_, on)| **on == Value::Bool(true));
        let names = on.filter_map(|(key, _)| key.strip_prefix("pooling_mode_"));
        let names: Vec<&str> = names.collect();
        return match names[..] {
            [] | ["mean_tokens"] => Ok(Pooling::Mean),
            ["cls_token"] => Ok(Pooling::Cls),
            ["max_tokens"] => Ok(Pooling::Max),
            _ => Err(refused(path, "pooling_mode", rule, &names.into())),
        };
    };
    let one = match mode.as_array().map(Vec::as_slice) {
        Some([one]) => one,
        _ => mode,
    };
    by_name(one).ok_or_else(|| refused(path, "pooling_mode", rule, mode))
}

/// The most tokens, and whether texts are brought to lower case.
fn read_transformer(path: &Path) -> Result<(Option<usize>, bool)> {
    if !path.exists() {
        return Ok((None, false));
    }
    let config: Map<String, Value> = json::read(path)?;
    let lower_case = config.get("do_lower_case") == Some(&Value::Bool(true));
    let max_length = match config.get("max_seq_length") {
        None | Some(Value::Null) => None,
        Some(length) => match length.as_u64() {
            Some(length) => Some(length as usize),
            None => {
                let rule = "a number of tokens";
                return Err(refused(path, "max_seq_length", rule, length));
            }
        },
    };
    Ok((max_length, lower_case))
}

/// Refuses a model that puts words of its own before each text, since its vectors would be
/// others.
fn check_prompt(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let config: Map<String, Value> = json::read(path)?;
    let name = config.get("default_prompt_name").and_then(Value::as_str);
    let prompt = name.and_then(|name| config.get("prompts")?.get(name)?.as_str());
    match prompt {
        None | Some("") => Ok(()),
        Some(prompt) => {
            let rule = "null, since prompts are not supported: put them into the texts";
            Err(refused(path, "default_prompt_name", rule, &prompt.into()))
        }
    }
}

/// The name of a weight in a `BertModel`, which has no prefix.
pub(super) fn bare_name(name: String, prefix: &str) -> String {
    let bare = name
        .strip_prefix(prefix)
        .and_then(|name| name.strip_prefix('.'));
    bare.map(str::to_owned).unwrap_or(name)
}
