//! `config.json` of a BERT model: read, checked once, kept whole (fields that
//! this crate does not use survive a save), and written back.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::Tensor;

use crate::encode::Limits;
use crate::error::{Error, Result, TorchContext};
use crate::hub::expect_folder;
use crate::json;

/// The shape of a BERT model, field for field as Hugging Face's `BertConfig`.
///
/// The sizes have no defaults: a `config.json` without them is an error, since a
/// guessed size would only show later as a weight of another shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Always `bert`.
    #[serde(default = "default_model_type")]
    pub model_type: String,
    /// Classes of transformers that this model can be loaded as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    #[serde(default = "default_type_vocab_size")]
    pub type_vocab_size: i64,
    /// Activation of the feed-forward layer; default `gelu`.
    #[serde(default)]
    pub hidden_act: Activation,
    /// Dropout after embeddings and dense layers; default 0.1.
    #[serde(default = "default_dropout")]
    pub hidden_dropout_prob: f64,
    /// Dropout of the attention probabilities; default 0.1.
    #[serde(default = "default_dropout")]
    pub attention_probs_dropout_prob: f64,
    /// Dropout before a task head; where absent, `hidden_dropout_prob`.
    #[serde(default)]
    pub classifier_dropout: Option<f64>,
    /// Standard deviation of fresh weights; default 0.02.
    #[serde(default = "default_initializer_range")]
    pub initializer_range: f64,
    /// Added to the variance in layer norms; default 1e-12.
    #[serde(default = "default_layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Id of `[PAD]`; default 0.
    #[serde(default)]
    pub pad_token_id: i64,
    /// Only `absolute` is supported.
    #[serde(default = "default_position_embedding_type")]
    pub position_embedding_type: String,
    /// Whether the model is a decoder; must be false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_decoder: bool,
    /// What the head's logits mean, in Hugging Face's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<String>,
    /// Names of the classes by id, `{"0": "negative", …}`; see
    /// [`class_names`](Self::class_names).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id2label: Option<Map<String, Value>>,
    /// The inverse of `id2label`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label2id: Option<Map<String, Value>>,
    /// All other fields, untouched.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn default_model_type() -> String {
    "bert".to_owned()
}
fn default_type_vocab_size() -> i64 {
    2
}
fn default_dropout() -> f64 {
    0.1
}
fn default_initializer_range() -> f64 {
    0.02
}
fn default_layer_norm_eps() -> f64 {
    1e-12
}
fn default_position_embedding_type() -> String {
    "absolute".to_owned()
}

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
        let config: Self = json::read(&path)?;
        config.check(&path)?;
        Ok(config)
    }

    /// The number of hidden units of one attention head.
    pub fn head_size(&self) -> i64 {
        self.hidden_size / self.num_attention_heads
    }

    /// The dropout before a task head.
    pub fn head_dropout(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
    }

    /// The class names in the order of their ids, where the file has them.
    ///
    /// # Errors
    /// When the ids are not 0, 1, 2, … or a name is not a string; `path` is the
    /// file to name in the error.
    pub fn class_names(&self, path: &Path) -> Result<Option<Vec<String>>> {
        let Some(id2label) = &self.id2label else {
            return Ok(None);
        };
        let names = (0..id2label.len()).map(|id| id2label.get(&id.to_string())?.as_str());
        let names: Option<Vec<_>> = names.map(|name| name.map(str::to_owned)).collect();
        names.map(Some).ok_or_else(|| {
            let rule = "names numbered from 0 without gaps";
            bad(path, "id2label", rule, Value::Object(id2label.clone()))
        })
    }

    /// Sets the class names, in the order of their ids.
    pub fn set_class_names(&mut self, names: &[String]) {
        let id2label = names.iter().enumerate();
        self.id2label = Some(
            id2label
                .map(|(id, name)| (id.to_string(), name[..].into()))
                .collect(),
        );
        let label2id = names.iter().enumerate();
        self.label2id = Some(
            label2id
                .map(|(id, name)| (name.clone(), id.into()))
                .collect(),
        );
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

    /// Forgets the class names.
    pub(crate) fn clear_class_names(&mut self) {
        (self.id2label, self.label2id) = (None, None);
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
        if self.model_type != "bert" {
            return Err(bad(path, "model_type", "`bert`", &self.model_type));
        }
        if self.position_embedding_type != "absolute" {
            let got = &self.position_embedding_type;
            return Err(bad(path, "position_embedding_type", "`absolute`", got));
        }
        if self.is_decoder {
            return Err(bad(path, "is_decoder", "false", true));
        }
        Ok(())
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

/// The activation functions that BERT checkpoints name in `hidden_act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// Exact GELU, by the error function.
    #[default]
    Gelu,
    /// GELU by tanh, as in Google's original code.
    GeluNew,
    /// The same formula under its PyTorch name.
    GeluPytorchTanh,
    /// The same formula under a third name.
    GeluFast,
    /// max(0, x).
    Relu,
    /// x · sigmoid(x).
    Silu,
    /// The same under its older name.
    Swish,
    /// x · tanh(softplus(x)).
    Mish,
    /// Hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The function of each number of `x`, whatever its shape.
    ///
    /// # Errors
    /// When libtorch refuses the operation.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => x.f_gelu("none"),
            Self::GeluNew | Self::GeluPytorchTanh | Self::GeluFast => x.f_gelu("tanh"),
            Self::Relu => x.f_relu(),
            Self::Silu | Self::Swish => x.f_silu(),
            Self::Mish => x.f_mish(),
            Self::Tanh => x.f_tanh(),
        }
        .doing("applying the activation")
    }
}
