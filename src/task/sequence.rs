//! What all tasks on whole texts share: a dense layer on the pooled output, as Hugging
//! Face's `BertForSequenceClassification`.

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::data::Text;
use crate::encode::{Inputs, LOWEST, LongText, TextEncoder, Truncation, WindowPooling};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::FineTuner;
use crate::model::{Backbone, BertConfig, HeadWeights, Linear};
use crate::predict;
use crate::task::source::{Source, describe, is_a};

pub(super) const ARCHITECTURE: &str = "BertForSequenceClassification";
pub(super) const REGRESSION: &str = "regression";

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
    /// Absent where the tokenizer's own choice is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    long_text: Option<LongText>,
    /// Of classes that do not exclude each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thresholds: Option<Vec<f32>>,
}

/// A source for a model on whole texts.
#[derive(Debug, Clone)]
pub(super) struct SequenceSource {
    pub(super) source: Source,
    pub(super) truncation: Option<Truncation>,
    pub(super) long_text: Option<LongText>,
}

impl SequenceSource {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            truncation: None,
            long_text: None,
        }
    }

    /// Refuses a folder whose head was trained for something else. A head with one output is
    /// for a number, as in transformers, where the folder does not say what it is for.
    pub(super) fn check(&self, config: &BertConfig, problem_type: &'static str) -> Result<()> {
        if !is_a(config, ARCHITECTURE) || self.source.head == HeadWeights::Fresh {
            return Ok(());
        }
        let (rule, got) = match &config.problem_type {
            Some(other) if other != problem_type => {
                let rule = format!("{problem_type}, or a fresh head asked for");
                (rule, other.escape_debug().to_string())
            }
            None if config.num_labels() == 1 && problem_type != REGRESSION => {
                let rule = format!(
                    "{problem_type}, or a fresh head asked for, since one output without a \
                     `problem_type` gives a number: load it with BertRegressor"
                );
                (rule, "nothing".to_owned())
            }
            _ => return Ok(()),
        };
        Err(Error::ModelConfig {
            path: self.source.dir.join("config.json"),
            field: "problem_type",
            rule,
            got,
        })
    }

    pub(super) fn build(self, config: &BertConfig, outputs: usize) -> Result<SequenceModel> {
        let source = self.source;
        let saved: Option<Settings> = source.settings(config, ARCHITECTURE)?;
        let saved = saved.unwrap_or_else(|| Settings {
            max_length: source.usual_length(config, ARCHITECTURE),
            truncation: Truncation::default(),
            long_text: None,
            thresholds: None,
        });
        let max_length = source.max_length.unwrap_or(saved.max_length);
        let saved_long_text = saved.long_text.map(|saved| saved.fitting(max_length));
        let settings = Settings {
            max_length,
            long_text: self.long_text.or(saved_long_text),
            truncation: self.truncation.unwrap_or(saved.truncation),
            // They are of the head that is replaced.
            thresholds: saved
                .thresholds
                .filter(|_| source.head != HeadWeights::Fresh),
        };
        let dropout = source.dropout(config)?;
        let (backbone, head) = source
            .backbone(config, ARCHITECTURE)
            .build(|root, config| {
                let (inputs, outputs) = (config.hidden_size, outputs as i64);
                let path = root / "classifier";
                Linear::new(&path, inputs, outputs, config.initializer_range)
            })?;
        let mut model = SequenceModel {
            backbone,
            head,
            dropout,
            settings,
        };
        if model.settings.long_text.is_some() {
            // With all numbers, so that other defaults of another release change nothing.
            model.settings.long_text = Some(model.encoder()?.long_text());
        }
        model.encoder()?;
        Ok(model)
    }
}

impl SequenceModel {
    pub(super) fn encoder(&self) -> Result<TextEncoder> {
        let Settings {
            max_length,
            truncation,
            long_text,
            ..
        } = self.settings;
        let encoder = self.backbone.text_encoder(max_length, truncation)?;
        match long_text {
            Some(long_text) => encoder.with_long_text(long_text),
            None => Ok(encoder),
        }
    }

    /// `[B, C]`; of texts in windows those of each text, `[N, C]`.
    pub(super) fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let Some(windows) = inputs.windows() else {
            return self.logits_of_rows(inputs, train);
        };
        let logits = match train {
            true => self.logits_of_rows(inputs, train)?,
            // Without gradients no part needs to be kept, however long a text is.
            false => {
                let parts =
                    inputs.in_parts(predict::tokens_per_batch(inputs.input_ids().device()))?;
                let of_part = |part: &Inputs| self.logits_of_rows(part, train);
                let parts: Vec<Tensor> = parts.iter().map(of_part).collect::<Result<_>>()?;
                Tensor::f_cat(&parts, 0).doing("collecting logits")?
            }
        };
        let pooling = self.settings.long_text.map(LongText::pooling);
        pooled(&logits, windows, pooling.unwrap_or_default()).doing("pooling logits")
    }

    fn logits_of_rows(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
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

/// The logits of windows, `[B, C]`, by text: `[N, C]`. `windows`, `[N, W]`, has the rows of
/// each text, and `B` where there is none.
fn pooled(logits: &Tensor, windows: &Tensor, pooling: WindowPooling) -> Result<Tensor, TchError> {
    let (rows, classes) = logits.size2()?;
    let (texts, most) = windows.size2()?;
    let nothing = match pooling {
        WindowPooling::Mean => 0.0,
        WindowPooling::Max => LOWEST,
    };
    let logits = logits.f_to_kind(Kind::Float)?;
    let nothing = Tensor::f_full([1, classes], nothing, (Kind::Float, logits.device()))?;
    let by_text = Tensor::f_cat(&[logits, nothing], 0)?
        .f_index_select(0, &windows.f_flatten(0, -1)?)?
        .f_view([texts, most, classes])?;
    match pooling {
        WindowPooling::Mean => {
            let counts = windows.f_lt(rows)?;
            let counts = counts.f_sum_dim_intlist(1, true, Kind::Float)?; // [N, 1]
            by_text
                .f_sum_dim_intlist(1, false, Kind::Float)?
                .f_div(&counts)
        }
        WindowPooling::Max => by_text.f_amax(1, false),
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
    let rows = encoder.rows(texts)?;
    predict::for_each_text(
        model,
        &rows,
        encoder,
        predict::tokens_per_batch(model.backbone().device()),
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

        /// What is read of a text that is longer than a row: its beginning, its end, both, or
        /// all of it in windows; default as the saved model in the folder does; where there
        /// is none, the beginning, or what the tokenizer's `truncation_side` says.
        pub fn long_text(mut self, long_text: crate::encode::LongText) -> Self {
            self.sequence.long_text = Some(long_text);
            self
        }
    };
}
pub(super) use truncation_setting;
