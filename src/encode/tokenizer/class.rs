//! The class that transformers loads a folder's tokenizer as: where it is named, whether it
//! tokenizes as BERT does, and what follows from it. Settings that it would honour and this
//! crate does not are refused here.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

use super::files::{self, CONFIG};

/// Classes that tokenize exactly as `BertTokenizer` does.
const CLASSES: [&str; 11] = [
    BERT,
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    DISTIL_BERT,
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "RetriBertTokenizer",
    "SqueezeBertTokenizer",
];

const BERT: &str = "BertTokenizer";
/// Gives models no segment ids.
const DISTIL_BERT: &str = "DistilBertTokenizer";
/// Does what `tokenizer.json` says; the name in transformers 4, with or without `Fast`.
const FAST: &str = "PreTrainedTokenizer";
/// The same in transformers 5, where it gives models no segment ids.
const BACKEND: &str = "TokenizersBackend";

const INPUT_NAMES: &str = "model_input_names";
const SEGMENTS: &str = "token_type_ids";

/// Where the settings of the cleaning of texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settings {
    /// In `tokenizer_config.json`, whatever `tokenizer.json` says; else they are the defaults.
    Config,
    /// In `tokenizer.json`, whatever `tokenizer_config.json` says.
    TokenizerJson,
}

/// Looks at the class that `file`, a `tokenizer_config.json` in `dir`, names, or else
/// `config.json`. In `file` it becomes `BertTokenizer`, which every release of transformers
/// has, with the model's inputs where they are not those of that class.
pub(super) fn settle(dir: &Path, file: &mut Map<String, Value>) -> Result<Settings> {
    let path = dir.join(CONFIG);
    check_words(&path, file)?;
    check_sides(&path, file)?;
    let named = file.get("tokenizer_class").and_then(Value::as_str);
    let (path, class) = match named {
        Some(class) => (path, class.to_owned()),
        None => {
            let path = dir.join("config.json");
            let class = class_of_model(&path)?;
            (path, class.unwrap_or_else(|| BERT.to_owned()))
        }
    };
    let name = class.trim_end_matches("Fast");
    let settings = match name {
        FAST | BACKEND => Settings::TokenizerJson,
        _ if CLASSES.contains(&name) => Settings::Config,
        _ => {
            return Err(problem(
                &path,
                format!(
                    "`tokenizer_class` is {}, which does not tokenize as BERT does; these do: {}, \
                     {FAST}Fast, {BACKEND}",
                    class.escape_debug(),
                    CLASSES.join(", ")
                ),
            ));
        }
    };
    let without_segments = [DISTIL_BERT, BACKEND].contains(&name);
    let named_inputs = file.get(INPUT_NAMES).is_some_and(|names| !names.is_null());
    if without_segments && !named_inputs {
        file.insert(
            INPUT_NAMES.to_owned(),
            json!(["input_ids", "attention_mask"]),
        );
    }
    file.insert("tokenizer_class".to_owned(), BERT.into());
    Ok(settings)
}

/// Whether the model gets segment ids: 1 for the second text of a pair.
pub(super) fn has_segments(extra: &Map<String, Value>) -> bool {
    let names = extra.get(INPUT_NAMES).and_then(Value::as_array);
    names.is_none_or(|names| names.iter().any(|name| name == SEGMENTS))
}

/// The `tokenizer_class` of a model's `config.json`, if there is such a file.
fn class_of_model(path: &Path) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Model {
        tokenizer_class: Option<String>,
    }
    let model: Option<Model> = files::read_json(path)?;
    Ok(model.and_then(|model| model.tokenizer_class))
}

/// Japanese models may have their words from MeCab or Sudachi, and their pieces from
/// something else than WordPiece.
fn check_words(path: &Path, file: &Map<String, Value>) -> Result<()> {
    for (key, ours) in [
        ("word_tokenizer_type", "basic"),
        ("subword_tokenizer_type", "wordpiece"),
    ] {
        let other = file
            .get(key)
            .filter(|kind| !kind.is_null() && *kind != ours);
        if let Some(kind) = other {
            let kind = kind
                .as_str()
                .map_or(kind.to_string(), |kind| kind.escape_debug().to_string());
            return Err(problem(
                path,
                format!("`{key}` is {kind}, which bertfit does not have: expected {ours}"),
            ));
        }
    }
    Ok(())
}

/// Padding before a text would give its tokens other positions.
fn check_sides(path: &Path, file: &Map<String, Value>) -> Result<()> {
    if file.get("padding_side").is_some_and(|side| side == "left") {
        let said = "`padding_side` is left, but bertfit pads on the right: expected right";
        return Err(problem(path, said.to_owned()));
    }
    let masked = |names: &Vec<Value>| names.iter().any(|name| name == "attention_mask");
    match file.get(INPUT_NAMES).and_then(Value::as_array) {
        Some(names) if !masked(names) => {
            let said = format!("`{INPUT_NAMES}` has no attention_mask, which hides padding");
            Err(problem(path, said))
        }
        _ => Ok(()),
    }
}

fn problem(path: &Path, problem: String) -> Error {
    Error::File {
        path: path.to_owned(),
        problem,
    }
}
