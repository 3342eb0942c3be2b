//! What all tasks on whole texts share: a dense layer on the pooled output, as Hugging
//! Face's `BertForSequenceClassification`.

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::data::Text;
use crate::encode::{Inputs, TextEncoder, Truncation};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::FineTuner;
use crate::model::{Backbone, BertConfig, HeadWeights, Linear};
use crate::predict;
use crate::task::source::{Source, describe, is_a};

pub(super) const ARCHITECTURE: &str = "BertForSequenceClassification";

/// An encoder with a head on its pooled output.
#[derive(Debug)]
pub(super) struct SequenceModel {
    pub(super) backbone: Backbone,
    head: Linear,
    dropout: f64,
    pub(super) settings: Settings,
}

/// What a saved model needs to encode texts and to judge as it did in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    max_length: usize,
    truncation: Truncation,
    /// Of classes that do not exclude each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thresholds: Option<Vec<f32>>,
}

/// A source for a model on whole texts.
#[derive(Debug, Clone)]
pub(super) struct SequenceSource {
    pub(super) source: Source,
    pub(super) truncation: Option<Truncation>,
}

impl SequenceSource {
    pub(super) fn new(source: Source) -> Self {
        let truncation = None;
        Self { source, truncation }
    }

    /// Refuses a folder whose head was trained for something else.
    pub(super) fn check(&self, config: &BertConfig, problem_type: &'static str) -> Result<()> {
        match &config.problem_type {
            Some(other)
                if other != problem_type
                    && is_a(config, ARCHITECTURE)
                    && self.source.head != HeadWeights::Fresh =>
            {
                Err(Error::ModelConfig {
                    path: self.source.dir.join("config.json"),
                    field: "problem_type",
                    rule: format!("{problem_type}, or a fresh head asked for"),
                    got: other.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn build(self, config: &BertConfig, outputs: usize) -> Result<SequenceModel> {
        let source = self.source;
        let saved: Option<Settings> = source.settings(config, ARCHITECTURE)?;
        let saved = saved.unwrap_or_else(|| Settings {
            max_length: source.usual_length(config, ARCHITECTURE),
            truncation: Truncation::default(),
            thresholds: None,
        });
        let settings = Settings {
            max_length: source.max_length.unwrap_or(saved.max_length),
            truncation: self.truncation.unwrap_or(saved.truncation),
            thresholds: saved.thresholds,
        };
        let dropout = source.dropout(config)?;
        let (backbone, head) = source
            .backbone(config, ARCHITECTURE)
            .build(|root, config| {
                let (inputs, outputs) = (config.hidden_size, outputs as i64);
                let path = root / "classifier";
                Linear::new(&path, inputs, outputs, config.initializer_range)
            })?;
        let model = SequenceModel {
            backbone,
            head,
            dropout,
            settings,
        };
        model.encoder()?;
        Ok(model)
    }
}

impl SequenceModel {
    pub(super) fn encoder(&self) -> Result<TextEncoder> {
        let Settings {
            max_length,
            truncation,
            ..
        } = self.settings;
        self.backbone.text_encoder(max_length, truncation)
    }

    /// `[B, C]`
    pub(super) fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let pooled = self.backbone.encoder().pooled(inputs, train)?; // [B, H]
        let pooled = pooled
            .f_dropout(self.dropout, train)
            .doing("dropping out")?;
        self.head.forward(&pooled)
    }

    pub(super) fn describe(&self, config: &mut BertConfig, problem_type: &str, names: &[String]) {
        describe(config, ARCHITECTURE, &self.settings);
        config.problem_type = Some(problem_type.to_owned());
        config.classifier_dropout = Some(self.dropout);
        config.set_class_names(names);
    }
}

/// What `answer` makes of the logits of each text, `[N, C]`.
pub(super) fn answers<M: FineTuner, T: Text + Sync>(
    model: &M,
    encoder: &TextEncoder,
    texts: &[T],
    outputs: usize,
    answer: impl Fn(&Tensor) -> Result<Tensor, tch::TchError>,
) -> Result<Array2<f32>> {
    let mut numbers = Array2::zeros((texts.len(), outputs));
    let cells = numbers.as_slice_mut().expect("a fresh array is contiguous");
    let encodings = encoder.encode(texts)?;
    predict::for_each(
        model,
        &encodings,
        encoder,
        predict::TOKENS_PER_BATCH,
        |row, logits| {
            let cells = &mut cells[row * outputs..][..outputs];
            answer(&logits)
                .and_then(|numbers| numbers.f_to_kind(Kind::Float)?.f_copy_data(cells, outputs))
                .doing("reading predictions")
        },
    )?;
    Ok(numbers)
}

/// The settings of a builder on whole texts, for one with a `sequence`.
macro_rules! truncation_setting {
    () => {
        /// Which text of a pair is cut; default as the saved model in the folder does;
        /// where there is none, the longer one.
        pub fn truncation(mut self, truncation: crate::encode::Truncation) -> Self {
            self.sequence.truncation = Some(truncation);
            self
        }
    };
}
pub(super) use truncation_setting;
