//! `config.json` of an encoder with a decoder, and the names of their weights, as
//! transformers' `EncoderDecoderModel` has them.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::encode::Tokenizer;
use crate::error::{Error, Result};
use crate::hub::expect_folder;
use crate::json;
use crate::model::{BertConfig, current_name};
use crate::task::source::SETTINGS_KEY;

pub(super) const ARCHITECTURE: &str = "EncoderDecoderModel";
const MODEL_TYPE: &str = "encoder-decoder";
const TIED: &str = "tie_encoder_decoder";

/// The configurations of an encoder and a decoder.
#[derive(Debug)]
pub(super) struct GeneratorConfig {
    /// With the whole model's name and bertfit's settings.
    pub(super) encoder: BertConfig,
    pub(super) decoder: BertConfig,
    /// Whether the decoder has the encoder's weights, where the encoder has such.
    pub(super) tied: bool,
    /// Whether the folder holds both.
    pub(super) is_whole: bool,
    /// What else stands in the file.
    other: Map<String, Value>,
}

impl GeneratorConfig {
    /// Reads a generator's file, or that of a plain encoder, which both begin as.
    pub(super) fn from_dir(dir: &Path) -> Result<Self> {
        expect_folder(dir)?;
        let path = dir.join("config.json");
        let whole: Value = json::read(&path)?;
        if whole["model_type"] != MODEL_TYPE {
            let encoder = BertConfig::from_dir(dir)?;
            let config = Self {
                decoder: encoder.clone(),
                encoder,
                tied: false,
                is_whole: false,
                other: Map::new(),
            };
            config.check(&path)?;
            return Ok(config);
        }
        let part = |name: &str| -> Result<BertConfig> {
            let mut part = whole[name].clone();
            if let Some(fields) = part.as_object_mut() {
                fields.remove("is_decoder");
                fields.remove("add_cross_attention");
            }
            BertConfig::from_value(&part, &path)
        };
        let (mut encoder, decoder) = (part("encoder")?, part("decoder")?);
        // What stands beside the two is the whole model's.
        encoder.architectures = vec![ARCHITECTURE.to_owned()];
        if let Some(settings) = whole.get(SETTINGS_KEY) {
            let settings = settings.clone();
            encoder.other.insert(SETTINGS_KEY.to_owned(), settings);
        }
        let tied = whole[TIED] == true;
        let other = match whole {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let config = Self {
            encoder,
            decoder,
            tied,
            is_whole: true,
            other,
        };
        config.check(&path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let bad = |field, rule: &str, got: String| {
            let (path, rule) = (path.to_owned(), rule.to_owned());
            Err(Error::ModelConfig {
                path,
                field,
                rule,
                got,
            })
        };
        let untied = Some(&Value::Bool(false));
        if self.decoder.other.get("tie_word_embeddings") == untied {
            return bad("tie_word_embeddings", "true", "false".to_owned());
        }
        let sizes = |config: &BertConfig| (config.vocab_size, config.hidden_size);
        let (encoder, decoder) = (sizes(&self.encoder), sizes(&self.decoder));
        if encoder != decoder {
            let rule = "of the encoder's vocab_size and hidden_size";
            return bad("decoder", rule, format!("{decoder:?}, not {encoder:?}"));
        }
        let shape = |config: &BertConfig| {
            let BertConfig {
                num_hidden_layers,
                intermediate_size,
                max_position_embeddings,
                type_vocab_size,
                ..
            } = *config;
            [
                num_hidden_layers,
                intermediate_size,
                max_position_embeddings,
                type_vocab_size,
            ]
        };
        let (encoder, decoder) = (shape(&self.encoder), shape(&self.decoder));
        if self.tied && encoder != decoder {
            let rule = "of the encoder's shape, since it has its weights";
            return bad("decoder", rule, format!("{decoder:?}, not {encoder:?}"));
        }
        Ok(())
    }

    /// A text begins with `[CLS]` and ends with `[SEP]`; a model that was trained otherwise
    /// would write nonsense.
    pub(super) fn check_tokens(&self, tokenizer: &Tokenizer, path: &Path) -> Result<()> {
        let tokens = [
            ("decoder_start_token_id", tokenizer.cls_id()),
            ("eos_token_id", tokenizer.sep_id()),
        ];
        for (field, id) in tokens {
            let got = self.other.get(field).unwrap_or(&Value::Null);
            if !got.is_null() && *got != id {
                return Err(Error::ModelConfig {
                    path: path.to_owned(),
                    field,
                    rule: id.to_string(),
                    got: got.to_string(),
                });
            }
        }
        Ok(())
    }

    /// `config.json` and `generation_config.json`.
    pub(super) fn to_json(
        &self,
        tokenizer: &Tokenizer,
        max_new_tokens: usize,
        settings: &impl Serialize,
    ) -> [Value; 2] {
        let part = |config: &BertConfig, architecture: &str, of_decoder: bool| {
            let mut config = config.clone();
            config.architectures = vec![architecture.to_owned()];
            config.other.remove(SETTINGS_KEY);
            let mut part = serde_json::to_value(config).expect("numbers and names");
            part["is_decoder"] = of_decoder.into();
            part["add_cross_attention"] = of_decoder.into();
            part
        };
        let tokens = json!({
            "decoder_start_token_id": tokenizer.cls_id(),
            "eos_token_id": tokenizer.sep_id(),
            "pad_token_id": tokenizer.pad_id(),
        });
        let mut generation = tokens.clone();
        generation["max_new_tokens"] = max_new_tokens.into();
        let own = json!({
            "architectures": [ARCHITECTURE],
            "model_type": MODEL_TYPE,
            "is_encoder_decoder": true,
            TIED: self.tied,
            "vocab_size": self.decoder.vocab_size,
            SETTINGS_KEY: settings,
            "encoder": part(&self.encoder, "BertModel", false),
            "decoder": part(&self.decoder, "BertLMHeadModel", true),
        });
        let mut config = self.other.clone();
        for fields in [tokens, own] {
            config.extend(fields.as_object().cloned().unwrap_or_default());
        }
        [Value::Object(config), generation]
    }

    /// What finds the variable that a tensor of a checkpoint belongs to.
    pub(super) fn names(&self) -> fn(&str) -> Option<String> {
        match self.tied {
            true => tied_variable,
            false => variable,
        }
    }

    /// The names of a variable in a checkpoint.
    pub(super) fn saved_names(&self, variable: &str) -> Vec<String> {
        match variable.strip_prefix("bert.") {
            // transformers 4 keeps one name of weights that are the same; 5 knows of no encoder and
            // decoder that share theirs, and wants both.
            Some(rest) if self.tied => {
                vec![format!("decoder.{variable}"), format!("encoder.{rest}")]
            }
            Some(rest) => vec![format!("encoder.{rest}")],
            None => vec![variable.to_owned()],
        }
    }
}

/// Of a whole model or of an encoder. A pooler that belongs to a whole model is never used.
fn variable(name: &str) -> Option<String> {
    if name.starts_with("encoder.pooler.") {
        return None;
    }
    let of_encoder = name.strip_prefix("encoder.").filter(|rest| {
        let parts = ["embeddings.", "encoder."];
        parts.iter().any(|part| rest.starts_with(part))
    });
    Some(match of_encoder {
        Some(rest) => current_name(rest),
        None if name.starts_with("cls.predictions.") => format!("decoder.{name}"),
        None => current_name(name),
    })
}

/// The same where decoder and encoder share weights.
fn tied_variable(name: &str) -> Option<String> {
    let variable = variable(name)?;
    let shared = variable
        .strip_prefix("decoder.")
        .filter(|rest| rest.starts_with("bert.") && !rest.contains(".crossattention."));
    Some(shared.map(str::to_owned).unwrap_or(variable))
}

/// The variable of the encoder as which one of the decoder begins.
pub(super) fn twin(name: &str) -> Option<String> {
    let twin = name.strip_prefix("decoder.")?;
    twin.starts_with("bert.").then(|| twin.to_owned())
}
