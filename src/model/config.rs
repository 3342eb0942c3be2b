//! `config.json` of a BERT model: read, checked once, kept whole (fields that
//! this crate does not use survive a save), and written back.

mod class_names;

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::activation::Activation;
use crate::encode::Limits;
use crate::error::{Error, Result};
use crate::hub::expect_folder;
use crate::whole_file;

/// The shape of a BERT model, field for field as Hugging Face's `BertConfig`.
///
/// The sizes have no defaults: a `config.json` without them is an error, since a
/// guessed size would only show later as a weight of another shape. A field that is null is
/// absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Always `bert`.
    #[serde(default = "model_type::absent", deserialize_with = "model_type::read")]
    pub model_type: String,
    /// Classes of transformers that this model can be loaded as.
    #[serde(default, deserialize_with = "null_is_default")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// Number of token ids, `V`.
    pub vocab_size: i64,
    /// Width of the hidden states, `H`.
    pub hidden_size: i64,
    /// Number of encoder layers.
    pub num_hidden_layers: i64,
    /// Number of attention heads; divides `hidden_size`.
    pub num_attention_heads: i64,
    /// Width of the feed-forward layer.
    pub intermediate_size: i64,
    /// Longest sequence in tokens.
    pub max_position_embeddings: i64,
    /// Number of segment ids; default 2.
    #[serde(default = "segments::absent", deserialize_with = "segments::read")]
    pub type_vocab_size: i64,
    /// Activation of the feed-forward layer; default `gelu`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub hidden_act: Activation,
    /// Dropout after embeddings and dense layers; default 0.1.
    #[serde(default = "dropout::absent", deserialize_with = "dropout::read")]
    pub hidden_dropout_prob: f64,
    /// Dropout of the attention probabilities; default 0.1.
    #[serde(default = "dropout::absent", deserialize_with = "dropout::read")]
    pub attention_probs_dropout_prob: f64,
    /// Dropout before a task head; where absent, `hidden_dropout_prob`.
    #[serde(default)]
    pub classifier_dropout: Option<f64>,
    /// Standard deviation of fresh weights; default 0.02.
    #[serde(default = "spread::absent", deserialize_with = "spread::read")]
    pub initializer_range: f64,
    /// Added to the variance in layer norms; default 1e-12.
    #[serde(default = "eps::absent", deserialize_with = "eps::read")]
    pub layer_norm_eps: f64,
    /// Id of `[PAD]`; default 0.
    #[serde(default, deserialize_with = "null_is_default")]
    pub pad_token_id: i64,
    /// Only `absolute` is supported.
    #[serde(default = "positions::absent", deserialize_with = "positions::read")]
    pub position_embedding_type: String,
    /// Whether the model is a decoder; must be false.
    #[serde(default, deserialize_with = "null_is_default")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_decoder: bool,
    /// What the head's logits mean, in Hugging Face's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<String>,
    /// Names of the classes by id, `{"0": "negative", …}`; see
    /// [`class_names`](Self::class_names). Whatever it is, it is no error before it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id2label: Option<Value>,
    /// The inverse of `id2label`, which is written and never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label2id: Option<Value>,
    /// All other fields that are not null, untouched.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A field that is absent or null has this value.
macro_rules! field {
    ($name:ident: $type:ty = $absent:expr) => {
        mod $name {
            use super::{Deserialize, Deserializer};

            pub(super) fn absent() -> $type {
                $absent
            }

            pub(super) fn read<'de, D: Deserializer<'de>>(reader: D) -> Result<$type, D::Error> {
                Ok(Option::deserialize(reader)?.unwrap_or_else(absent))
            }
        }
    };
}

field!(model_type: String = super::MODEL_TYPE.to_owned());
field!(segments: i64 = 2);
field!(dropout: f64 = 0.1);
field!(spread: f64 = 0.02);
field!(eps: f64 = 1e-12);
field!(positions: String = "absolute".to_owned());

fn null_is_default<'de, D, T>(reader: D) -> std::result::Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

const MODEL_TYPE: &str = "bert";

/// More than any BERT has; a size beyond it is a broken file, not a large model.
const LARGEST_SIZE: i64 = 1 << 24;
const MOST_LAYERS: i64 = 1 << 10;

impl BertConfig {
    /// Reads and checks `config.json` in a model folder.
    ///
    /// # Errors
    /// When the file is absent, is not JSON, lacks a size, or asks for something
    /// that no BERT can be.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self> {
        expect_folder(dir.as_ref())?;
        let path = dir.as_ref().join("config.json");
        let text = whole_file::read(&path)?;
        let json = |source| Error::Json {
            path: path.clone(),
            source,
        };
        let fields: Value = serde_json::from_slice(&text).map_err(json)?;
        check_model_type(&fields, &path)?;
        // From the text once more, since errors have its lines.
        let config: Self = serde_json::from_slice(&text).map_err(json)?;
        config.checked(&path)
    }

    /// The configuration in a part of a JSON file; `path` is the file to name in an error.
    pub(crate) fn from_value(fields: &Value, path: &Path) -> Result<Self> {
        check_model_type(fields, path)?;
        let config = Self::deserialize(fields).map_err(|source| Error::Json {
            path: path.to_owned(),
            source,
        })?;
        config.checked(path)
    }

    /// The same, checked, without fields that say nothing of it: null is absent, and weights that
    /// are read are numbers as they are, however they were once kept.
    fn checked(mut self, path: &Path) -> Result<Self> {
        self.check(path)?;
        self.other
            .retain(|key, value| !value.is_null() && key != "quantization_config");
        Ok(self)
    }

    /// The number of hidden units of one attention head.
    pub fn head_size(&self) -> i64 {
        self.hidden_size / self.num_attention_heads
    }

    /// The dropout before a task head.
    pub fn head_dropout(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
    }

    /// Sets the dropout of hidden states and of attention.
    ///
    /// # Errors
    /// When it is no share below 1.
    pub(crate) fn set_encoder_dropout(&mut self, dropout: f64) -> Result<()> {
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::config(
                "encoder_dropout",
                "at least 0 and below 1",
                dropout,
            ));
        }
        // The head keeps its own.
        self.classifier_dropout = Some(self.head_dropout());
        self.hidden_dropout_prob = dropout;
        self.attention_probs_dropout_prob = dropout;
        Ok(())
    }

    /// What the model's inputs must keep within.
    pub fn limits(&self) -> Limits {
        Limits {
            vocab_size: self.vocab_size,
            max_length: self.max_position_embeddings as usize,
            type_vocab_size: self.type_vocab_size,
        }
    }

    /// Numbers in the weights of the encoder, without a pooler.
    pub(crate) fn numbers(&self) -> u128 {
        let [hidden, inner] = [self.hidden_size, self.intermediate_size].map(|n| n as u128);
        let rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size;
        let embeddings = rows as u128 * hidden + 2 * hidden;
        let attention = 4 * (hidden * hidden + hidden);
        let feed_forward = 2 * hidden * inner + inner + hidden;
        let layer = attention + feed_forward + 4 * hidden;
        embeddings + self.num_hidden_layers as u128 * layer
    }

    /// Checks every field; `path` is named in the error.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size, LARGEST_SIZE),
            ("hidden_size", self.hidden_size, LARGEST_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            (
                "num_attention_heads",
                self.num_attention_heads,
                LARGEST_SIZE,
            ),
            ("intermediate_size", self.intermediate_size, LARGEST_SIZE),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                LARGEST_SIZE,
            ),
            ("type_vocab_size", self.type_vocab_size, LARGEST_SIZE),
        ];
        for (field, size, most) in sizes {
            if !(1..=most).contains(&size) {
                return Err(bad(path, field, format!("from 1 to {most}"), size));
            }
        }
        if self.hidden_size % self.num_attention_heads != 0 {
            let rule = format!(
                "a multiple of num_attention_heads ({})",
                self.num_attention_heads
            );
            return Err(bad(path, "hidden_size", rule, self.hidden_size));
        }
        let dropouts = [
            ("hidden_dropout_prob", Some(self.hidden_dropout_prob)),
            (
                "attention_probs_dropout_prob",
                Some(self.attention_probs_dropout_prob),
            ),
            ("classifier_dropout", self.classifier_dropout),
        ];
        for (field, p) in dropouts {
            if let Some(p) = p.filter(|p| !(0.0..1.0).contains(p)) {
                return Err(bad(path, field, "at least 0 and below 1", p));
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(bad(
                path,
                "layer_norm_eps",
                "between 0 and 1",
                self.layer_norm_eps,
            ));
        }
        if !(0.0..=10.0).contains(&self.initializer_range) {
            return Err(bad(
                path,
                "initializer_range",
                "from 0 to 10",
                self.initializer_range,
            ));
        }
        if !(0..self.vocab_size).contains(&self.pad_token_id) {
            return Err(bad(path, "pad_token_id", "a token id", self.pad_token_id));
        }
        if self.model_type != MODEL_TYPE {
            let got = self.model_type.escape_debug();
            return Err(bad(path, "model_type", "`bert`", got));
        }
        if self.position_embedding_type != "absolute" {
            let got = &self.position_embedding_type;
            let got = got.escape_debug();
            return Err(bad(path, "position_embedding_type", "`absolute`", got));
        }
        self.check_num_labels(path)?;
        if self.is_decoder {
            return Err(bad(path, "is_decoder", "false", true));
        }
        Ok(())
    }
}

/// Before anything else is read, for files of other models have other fields.
fn check_model_type(fields: &Value, path: &Path) -> Result<()> {
    match &fields["model_type"] {
        Value::Null => Ok(()),
        Value::String(name) if name == MODEL_TYPE => Ok(()),
        Value::String(name) => Err(bad(path, "model_type", "`bert`", name.escape_debug())),
        other => Err(bad(path, "model_type", "`bert`", short(other))),
    }
}

/// A value for a message, not longer than a line.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn bad(
    path: &Path,
    field: &'static str,
    rule: impl Into<String>,
    got: impl std::fmt::Display,
) -> Error {
    Error::ModelConfig {
        path: path.to_owned(),
        field,
        rule: rule.into(),
        got: got.to_string(),
    }
}
