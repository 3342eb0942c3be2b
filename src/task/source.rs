//! What the builders of all tasks share: where weights, labels and settings come from,
//! and where the model computes.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Device;

use crate::data::{Labels, is_unnamed};
use crate::error::{Error, Result};
use crate::model::{Backbone, BackboneBuilder, BertConfig, HeadWeights, Precision, has_weight};

/// Key of `config.json` under which the settings that only bertfit knows stand.
pub(super) const SETTINGS_KEY: &str = "bertfit";

/// A model folder, and what is asked of the model that is made of it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) dir: PathBuf,
    pub(super) head: HeadWeights,
    pub(super) labels: Option<Vec<String>>,
    pub(super) dropout: Option<f64>,
    pub(super) encoder_dropout: Option<f64>,
    pub(super) device: Device,
    pub(super) precision: Precision,
    pub(super) max_length: Option<usize>,
    pub(super) seed: u64,
}

impl Source {
    pub(super) fn new(dir: PathBuf, head: HeadWeights) -> Self {
        Self {
            dir,
            head,
            labels: None,
            dropout: None,
            encoder_dropout: None,
            device: Device::cuda_if_available(),
            precision: Precision::default(),
            max_length: None,
            seed: 42,
        }
    }

    pub(super) fn config(&self) -> Result<BertConfig> {
        BertConfig::from_dir(&self.dir)
    }

    /// The encoder with the head of `architecture`. The outputs of a head with another task's
    /// classes mean something else; heads without classes have names that tell them apart.
    pub(super) fn backbone(&self, config: &BertConfig, architecture: &str) -> BackboneBuilder {
        let other = !config.architectures.is_empty() && !is_a(config, architecture);
        let head = match self.head {
            HeadWeights::Found if other && has_classes(architecture) => HeadWeights::Fresh,
            HeadWeights::Required if other && has_classes(architecture) => {
                log::warn!(
                    "{}: the head of {} is used as that of {architecture}",
                    self.dir.display(),
                    config.architectures.join(", ")
                );
                HeadWeights::Required
            }
            head => head,
        };
        let builder = Backbone::builder(&self.dir)
            .device(self.device)
            .precision(self.precision)
            .seed(self.seed)
            .head(head);
        match self.encoder_dropout {
            Some(dropout) => builder.encoder_dropout(dropout),
            None => builder,
        }
    }

    /// The classes: those asked for, which must be those of the head in the folder if it
    /// is to be used, or else those of that head.
    pub(super) fn labels(&self, config: &BertConfig, architecture: &str) -> Result<Labels> {
        let is_used = self.labels.is_none() || self.head != HeadWeights::Fresh;
        let saved = match is_used {
            true => self.saved_labels(config, architecture)?,
            false => None,
        };
        match (self.labels.clone(), saved) {
            // Classes that had no names get some.
            (Some(asked), Some(saved)) if asked.len() == saved.len() && is_unnamed(&saved) => {
                Labels::new(asked)
            }
            (Some(asked), Some(saved)) if asked != saved => Err(Error::OtherHead {
                path: self.dir.clone(),
                found: saved,
                asked,
            }),
            (Some(labels), _) | (None, Some(labels)) => Labels::new(labels),
            (None, None) if self.head == HeadWeights::Required => Err(Error::ModelConfig {
                path: self.dir.join("config.json"),
                field: "id2label",
                rule: "there, with the names of the classes".to_owned(),
                got: "nothing".to_owned(),
            }),
            (None, None) => {
                let rule = "given, since the model folder names none";
                Err(Error::config("labels", rule, "none"))
            }
        }
    }

    /// The names of the classes of the head in the folder.
    fn saved_labels(&self, config: &BertConfig, architecture: &str) -> Result<Option<Vec<String>>> {
        let path = self.dir.join("config.json");
        match (self.holds(config, architecture)?, self.head) {
            (true, _) => config.head_names(&path).map(Some),
            (false, HeadWeights::Required) => config.class_names(&path),
            // A published encoder may carry names all the same; there they say nothing.
            (false, HeadWeights::Found | HeadWeights::Fresh) => Ok(None),
        }
    }

    /// Whether the folder holds a model of this kind. One that does not say what it is does where
    /// it has a classifier, which is then used.
    pub(super) fn holds(&self, config: &BertConfig, architecture: &str) -> Result<bool> {
        match config.architectures.is_empty() {
            true => has_weight(&self.dir, "classifier.weight"),
            false => Ok(is_a(config, architecture)),
        }
    }

    /// The dropout before the head.
    pub(super) fn dropout(&self, config: &BertConfig) -> Result<f64> {
        let dropout = self.dropout.unwrap_or(config.head_dropout());
        match (0.0..1.0).contains(&dropout) {
            true => Ok(dropout),
            false => Err(Error::config("dropout", "at least 0 and below 1", dropout)),
        }
    }

    /// What [`describe`] wrote into the folder's configuration, if the folder's model is
    /// one of the same task.
    pub(super) fn settings<S: DeserializeOwned>(
        &self,
        config: &BertConfig,
        architecture: &str,
    ) -> Result<Option<S>> {
        let saved = config.other.get(SETTINGS_KEY);
        let saved = saved.filter(|_| is_a(config, architecture));
        let settings = saved.map(|saved| S::deserialize(saved)).transpose();
        settings.map_err(|source| Error::Json {
            path: self.dir.join("config.json"),
            source,
        })
    }

    /// The most tokens of a row where neither the caller nor saved settings say it. A
    /// model that another tool has saved takes as much as it can; a plain encoder gets
    /// the usual 128 tokens.
    pub(super) fn usual_length(&self, config: &BertConfig, architecture: &str) -> usize {
        let longest = config.max_position_embeddings as usize;
        match is_a(config, architecture) {
            true => longest,
            false => longest.min(128),
        }
    }
}

/// Whether a model's head has classes or numbers of a task for outputs; those of all such heads
/// have the same name, `classifier`.
fn has_classes(architecture: &str) -> bool {
    !["BertForMaskedLM", "BertForQuestionAnswering"].contains(&architecture)
}

pub(super) fn is_a(config: &BertConfig, architecture: &str) -> bool {
    config.architectures.iter().any(|name| name == architecture)
}

/// Writes a task's own settings and the name of its model into a configuration.
pub(super) fn describe(config: &mut BertConfig, architecture: &str, settings: &impl Serialize) {
    config.architectures = vec![architecture.to_owned()];
    config.problem_type = None;
    // Those of another task, which would give its head another size in transformers.
    config.clear_class_names();
    let settings = serde_json::to_value(settings).expect("plain numbers and names");
    config.other.insert(SETTINGS_KEY.to_owned(), settings);
}

/// The settings that each task's builder has; given the field with its [`Source`].
macro_rules! shared_settings {
    ($($source:ident).+) => {
        /// Where to compute; default the first GPU, and the CPU where libtorch finds none.
        pub fn device(mut self, device: tch::Device) -> Self {
            self.$($source).+.device = device;
            self
        }

        /// The numbers that matrix products are computed in; default float32.
        pub fn precision(mut self, precision: crate::model::Precision) -> Self {
            self.$($source).+.precision = precision;
            self
        }

        /// The most tokens of a row, special tokens included. Default that of the
        /// saved model in the folder, all its positions if another library has saved it; where
        /// there is none, 128 (384 for question answering), or the encoder's positions if it
        /// has fewer.
        pub fn max_length(mut self, max_length: usize) -> Self {
            self.$($source).+.max_length = Some(max_length);
            self
        }

        /// Dropout of hidden states and of attention in training, from 0 to below 1; default as
        /// the model's `config.json` says, mostly 0.1. It is saved with the model.
        pub fn encoder_dropout(mut self, dropout: f64) -> Self {
            self.$($source).+.encoder_dropout = Some(dropout);
            self
        }

        /// Seed of the head's random weights; default 42.
        pub fn seed(mut self, seed: u64) -> Self {
            self.$($source).+.seed = seed;
            self
        }

        /// Starts with a random head even where the folder holds a trained one.
        pub fn fresh_head(mut self) -> Self {
            self.$($source).+.head = crate::model::HeadWeights::Fresh;
            self
        }
    };
}

/// The setting of tasks with dropout before their head; given the field with its
/// [`Source`].
macro_rules! dropout_setting {
    ($($source:ident).+) => {
        /// Dropout before the head, from 0 to below 1; default the model's
        /// `classifier_dropout`.
        pub fn dropout(mut self, dropout: f64) -> Self {
            self.$($source).+.dropout = Some(dropout);
            self
        }
    };
}

/// The classes of a task's builder; given the field with its [`Source`].
macro_rules! label_setting {
    ($($source:ident).+) => {
        /// The classes, in the order of their ids. Where absent, those of the model
        /// folder, if it holds a model of this task. Those of a folder must be the same, unless
        /// they have no names there (`LABEL_0`, `LABEL_1`, …).
        pub fn labels<I: IntoIterator<Item: Into<String>>>(mut self, labels: I) -> Self {
            self.$($source).+.labels = Some(labels.into_iter().map(Into::into).collect());
            self
        }
    };
}

pub(super) use {dropout_setting, label_setting, shared_settings};
