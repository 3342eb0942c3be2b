//! The settings of a BERT tokenizer, as `tokenizer_config.json` has them, with
//! the defaults of transformers' `BertTokenizer`. Keys that have no meaning
//! here are kept and written again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

use super::added::{AddedToken, AddedTokenObject};
use super::encoding::TruncationSide;

/// Above this, `model_max_length` means that there is no limit; transformers
/// writes 1e30 and compares with this.
const NO_LIMIT: f64 = 1e20;

/// The special tokens besides the five, and their name in transformers 5, which reads both.
const MORE_TOKENS: &str = "additional_special_tokens";
const MORE_TOKENS_5: &str = "extra_special_tokens";

/// Settings of a BERT tokenizer: the content of `tokenizer_config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerConfig {
    /// Whether the model is uncased. Default true.
    pub do_lower_case: bool,
    /// Whether every CJK ideograph is a word. Default true.
    pub tokenize_chinese_chars: bool,
    /// Whether accents are taken off. Default `None`: as `do_lower_case`.
    pub strip_accents: Option<bool>,
    /// Stands for what the vocabulary lacks. Default `[UNK]`.
    pub unk_token: String,
    /// Ends each text. Default `[SEP]`.
    pub sep_token: String,
    /// Fills up a batch. Default `[PAD]`.
    pub pad_token: String,
    /// Begins each input. Default `[CLS]`.
    pub cls_token: String,
    /// Hides a token from the model. Default `[MASK]`.
    pub mask_token: String,
    /// How many tokens the model takes; `None`, the default, if not known.
    pub model_max_length: Option<usize>,
    /// Which end of a text that is too long is cut off. Default: the end.
    pub truncation_side: TruncationSide,
    /// Whether `[SEP]` and the like in a text are mere text. Default false.
    pub split_special_tokens: bool,
    /// Whether decoding joins `don ' t` to `don't`. Default `None`: as
    /// transformers, true unless the folder has a `tokenizer.json`.
    pub clean_up_tokenization_spaces: Option<bool>,
    /// Special tokens besides the five. Default none.
    pub additional_special_tokens: Vec<String>,
    /// Tokens by their ids: those added to the vocabulary, and special tokens
    /// whose matching differs from the default. Default none.
    pub added_tokens_decoder: BTreeMap<i64, AddedToken>,
    /// All other keys of the file.
    pub extra: Map<String, Value>,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            do_lower_case: true,
            tokenize_chinese_chars: true,
            strip_accents: None,
            unk_token: "[UNK]".to_owned(),
            sep_token: "[SEP]".to_owned(),
            pad_token: "[PAD]".to_owned(),
            cls_token: "[CLS]".to_owned(),
            mask_token: "[MASK]".to_owned(),
            model_max_length: None,
            truncation_side: TruncationSide::Right,
            split_special_tokens: false,
            clean_up_tokenization_spaces: None,
            additional_special_tokens: Vec::new(),
            added_tokens_decoder: BTreeMap::new(),
            extra: Map::new(),
        }
    }
}

/// A token in a configuration file: its text, or an object with more.
#[derive(Deserialize)]
#[serde(untagged)]
enum TokenValue {
    Text(String),
    Object(AddedTokenObject),
}

impl TokenValue {
    fn content(&self) -> &str {
        match self {
            Self::Text(content) => content,
            Self::Object(token) => &token.content,
        }
    }
}

impl TokenizerConfig {
    /// Takes the settings out of `file`; `path` is for messages.
    ///
    /// Special tokens that are given as objects are also pushed to `declared`.
    pub(super) fn from_map(
        path: &Path,
        file: Map<String, Value>,
        declared: &mut Vec<AddedToken>,
    ) -> Result<Self> {
        let mut config = Self {
            extra: file,
            ..Self::default()
        };
        if let Some(value) = config.take(path, "do_lower_case")? {
            config.do_lower_case = value;
        }
        if let Some(value) = config.take(path, "tokenize_chinese_chars")? {
            config.tokenize_chinese_chars = value;
        }
        config.strip_accents = config.take(path, "strip_accents")?;
        if let Some(value) = config.take(path, "model_max_length")? {
            config.model_max_length = model_max_length(path, value)?;
        }
        if let Some(value) = config.take(path, "truncation_side")? {
            config.truncation_side = value;
        }
        if let Some(value) = config.take(path, "split_special_tokens")? {
            config.split_special_tokens = value;
        }
        config.clean_up_tokenization_spaces = config.take(path, "clean_up_tokenization_spaces")?;
        config.take_special_tokens(path, declared)?;
        if let Some(tokens) = config.take(path, "added_tokens_decoder")? {
            config.added_tokens_decoder = tokens;
        }
        Ok(config)
    }

    /// Takes the special tokens by name out of the other keys.
    fn take_special_tokens(&mut self, path: &Path, declared: &mut Vec<AddedToken>) -> Result<()> {
        for name in [
            "unk_token",
            "sep_token",
            "pad_token",
            "cls_token",
            "mask_token",
        ] {
            let Some(value) = self.take::<TokenValue>(path, name)? else {
                continue;
            };
            let field = match name {
                "unk_token" => &mut self.unk_token,
                "sep_token" => &mut self.sep_token,
                "pad_token" => &mut self.pad_token,
                "cls_token" => &mut self.cls_token,
                _ => &mut self.mask_token,
            };
            value.content().clone_into(field);
            declare(value, declared);
        }
        let mut more: Vec<TokenValue> = self.take(path, MORE_TOKENS)?.unwrap_or_default();
        // In transformers 4 an object, of tokens that are listed elsewhere too.
        if self.extra.get(MORE_TOKENS_5).is_some_and(Value::is_array) {
            let tokens: Option<Vec<TokenValue>> = self.take(path, MORE_TOKENS_5)?;
            more.extend(tokens.into_iter().flatten());
        }
        for value in more {
            if !self
                .additional_special_tokens
                .iter()
                .any(|token| token == value.content())
            {
                self.additional_special_tokens
                    .push(value.content().to_owned());
            }
            declare(value, declared);
        }
        Ok(())
    }

    /// Lets the special tokens of a `special_tokens_map.json` replace those
    /// here; its other keys join the other keys.
    pub(super) fn merge_special_tokens(
        &mut self,
        path: &Path,
        file: Map<String, Value>,
        declared: &mut Vec<AddedToken>,
    ) -> Result<()> {
        self.extra.extend(file);
        self.take_special_tokens(path, declared)
    }

    /// Removes a key from the other keys and reads its value; null is none.
    fn take<T: DeserializeOwned>(&mut self, path: &Path, key: &str) -> Result<Option<T>> {
        // `remove` would change the order of the rest.
        let value = self.extra.shift_remove(key);
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        serde_json::from_value(value)
            .map(Some)
            .map_err(|error| Error::File {
                path: path.to_owned(),
                problem: format!("`{key}`: {error}"),
            })
    }

    /// The five special tokens by name, in the order of transformers.
    pub(super) fn special_tokens(&self) -> [(&'static str, &str); 5] {
        [
            ("unk_token", &self.unk_token),
            ("sep_token", &self.sep_token),
            ("pad_token", &self.pad_token),
            ("cls_token", &self.cls_token),
            ("mask_token", &self.mask_token),
        ]
    }

    /// Whether a token is one of the five or of the additional ones.
    pub(super) fn is_special(&self, token: &str) -> bool {
        self.special_tokens()
            .iter()
            .any(|(_, special)| *special == token)
            || self
                .additional_special_tokens
                .iter()
                .any(|special| special == token)
    }

    /// The content of `tokenizer_config.json`.
    pub(super) fn to_map(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("do_lower_case".to_owned(), json!(self.do_lower_case));
        map.insert(
            "tokenize_chinese_chars".to_owned(),
            json!(self.tokenize_chinese_chars),
        );
        map.insert("strip_accents".to_owned(), json!(self.strip_accents));
        map.append(&mut self.special_tokens_map());
        // Left out, it is without limit for transformers too.
        if let Some(length) = self.model_max_length {
            map.insert("model_max_length".to_owned(), json!(length));
        }
        map.insert("truncation_side".to_owned(), json!(self.truncation_side));
        map.insert(
            "split_special_tokens".to_owned(),
            json!(self.split_special_tokens),
        );
        if let Some(clean_up) = self.clean_up_tokenization_spaces {
            map.insert("clean_up_tokenization_spaces".to_owned(), json!(clean_up));
        }
        map.insert(
            "added_tokens_decoder".to_owned(),
            json!(self.added_tokens_decoder),
        );
        // What is null is read as absent.
        for (key, value) in self.extra.iter().filter(|(_, value)| !value.is_null()) {
            // A special_tokens_map.json may bring a key that is read elsewhere.
            map.entry(key).or_insert_with(|| value.clone());
        }
        map
    }

    /// The content of `special_tokens_map.json`.
    pub(super) fn special_tokens_map(&self) -> Map<String, Value> {
        let tokens = self.special_tokens().into_iter();
        let mut map: Map<_, _> = tokens
            .map(|(name, token)| (name.to_owned(), json!(token)))
            .collect();
        if !self.additional_special_tokens.is_empty() {
            let more = json!(self.additional_special_tokens);
            map.insert(MORE_TOKENS.to_owned(), more);
        }
        map
    }
}

fn declare(value: TokenValue, declared: &mut Vec<AddedToken>) {
    if let TokenValue::Object(token) = value {
        declared.push(
            AddedTokenObject {
                special: true,
                ..token
            }
            .into(),
        );
    }
}

fn model_max_length(path: &Path, value: f64) -> Result<Option<usize>> {
    match value {
        _ if value > NO_LIMIT => Ok(None),
        _ if value >= 1.0 && value.fract() == 0.0 => Ok(Some(value as usize)),
        _ => Err(Error::ModelConfig {
            path: path.to_owned(),
            field: "model_max_length",
            rule: "a positive whole number".to_owned(),
            got: value.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(TokenizerConfig, Vec<AddedToken>)> {
        let mut declared = Vec::new();
        let map = serde_json::from_str(text).expect("the test's own JSON");
        let path = Path::new("tokenizer_config.json");
        Ok((
            TokenizerConfig::from_map(path, map, &mut declared)?,
            declared,
        ))
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(
            parse("{}").expect("valid"),
            (TokenizerConfig::default(), vec![])
        );
    }

    #[test]
    fn special_tokens_are_strings_or_objects_and_other_keys_are_kept() {
        let (config, declared) = parse(
            r#"{"z": 1, "unk_token": "<unk>", "a": null, "strip_accents": false,
                "mask_token": {"content": "<mask>", "lstrip": true, "__type": "AddedToken"},
                "model_max_length": 1000000000000000019884624838656,
                "added_tokens_decoder": {"7": {"content": "<e>", "normalized": true}}}"#,
        )
        .expect("valid");
        assert_eq!(config.unk_token, "<unk>");
        assert_eq!(config.mask_token, "<mask>");
        let mask = AddedToken {
            lstrip: true,
            ..AddedToken::special("<mask>")
        };
        assert_eq!(declared, [mask]);
        assert_eq!(config.strip_accents, Some(false));
        assert_eq!(config.model_max_length, None);
        assert_eq!(config.added_tokens_decoder[&7], AddedToken::word("<e>"));
        assert_eq!(config.extra.keys().collect::<Vec<_>>(), ["z", "a"]);
        let written = config.to_map();
        let read = TokenizerConfig::from_map(Path::new(""), written.clone(), &mut Vec::new());
        assert_eq!(read.expect("valid").to_map(), written);
    }

    #[test]
    fn a_bad_value_is_named() {
        let cases = [
            (
                r#"{"do_lower_case": "yes"}"#,
                "tokenizer_config.json: `do_lower_case`: \
                 invalid type: string \"yes\", expected a boolean",
            ),
            (
                r#"{"model_max_length": 0}"#,
                "tokenizer_config.json: `model_max_length` must be \
                 a positive whole number, got 0",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text).expect_err("bad").to_string(), message);
        }
    }
}
