//! Texts, or pairs of texts, to one number or several.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::Array2;
use tch::{Reduction, Tensor};

use crate::data::Text;
use crate::encode::{Inputs, NumberCollator, TextEncoder};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::{Metric, RegressionMetrics};
use crate::model::{Backbone, BertConfig, HeadWeights};
use crate::task::sequence::{
    ARCHITECTURE, REGRESSION, SequenceModel, SequenceSource, answers, truncation_setting,
};
use crate::task::source::{Source, dropout_setting, shared_settings};

/// A BERT that gives texts, or pairs of texts, a score or several.
#[derive(Debug)]
pub struct BertRegressor {
    model: SequenceModel,
    outputs: usize,
}

/// Settings of a new [`BertRegressor`].
#[derive(Debug, Clone)]
pub struct BertRegressorBuilder {
    sequence: SequenceSource,
    outputs: Option<usize>,
}

impl BertRegressorBuilder {
    shared_settings!(sequence.source);
    dropout_setting!(sequence.source);
    truncation_setting!();

    /// How many numbers there are for each text; default as the saved model in the folder,
    /// or one.
    pub fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = Some(outputs);
        self
    }

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, the folder is not a whole model, or it
    /// holds a head for something else.
    pub fn build(self) -> Result<BertRegressor> {
        let source = &self.sequence.source;
        let config = source.config()?;
        self.sequence.check(&config, REGRESSION)?;
        let is_saved = source.head != HeadWeights::Fresh && source.holds(&config, ARCHITECTURE)?;
        let saved = is_saved.then(|| config.num_labels());
        let outputs = self.outputs.or(saved).unwrap_or(1);
        if outputs == 0 {
            return Err(Error::config("outputs", "at least 1", outputs));
        }
        Ok(BertRegressor {
            model: self.sequence.build(&config, outputs)?,
            outputs,
        })
    }
}

impl BertRegressor {
    /// Starts from a pre-trained model in a folder: a plain encoder, or a regressor to
    /// train on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertRegressorBuilder {
        BertRegressorBuilder {
            sequence: SequenceSource::new(Source::new(dir.into(), HeadWeights::Found)),
            outputs: None,
        }
    }

    /// A fitted regressor in a folder; its head and how it encodes texts come from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertRegressorBuilder {
        BertRegressorBuilder {
            sequence: SequenceSource::new(Source::new(dir.into(), HeadWeights::Required)),
            outputs: None,
        }
    }

    /// Loads a fitted regressor from a folder, as [`saved`](Self::saved) does by default: onto
    /// the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole regressor.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// How many numbers there are for each text.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Turns texts into inputs as in training.
    ///
    /// # Errors
    /// When the maximal length does not fit the model.
    pub fn encoder(&self) -> Result<TextEncoder> {
        self.model.encoder()
    }

    /// The numbers of each text or pair, `[N, C]`, in evaluation mode and in order.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn predict<T: Text + Sync>(&self, texts: &[T]) -> Result<Array2<f32>> {
        let same = |logits: &Tensor| Ok(logits.shallow_clone());
        answers(self, &self.encoder()?, texts, self.outputs, same)
    }
}

impl FineTuner for BertRegressor {
    type Collator = NumberCollator;

    fn backbone(&self) -> &Backbone {
        &self.model.backbone
    }

    fn collator(&self) -> Result<NumberCollator> {
        Ok(NumberCollator {
            encoder: self.encoder()?,
            outputs: self.outputs,
        })
    }

    fn training_collator(&self) -> Result<NumberCollator> {
        let mut collator = self.collator()?;
        collator.encoder = collator.encoder.for_training();
        Ok(collator)
    }

    /// `[B, C]`, a row for each text.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.model.logits(inputs, train)
    }

    /// Squared error of logits and targets, `[B, C]` each, the mean over both.
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let sum = logits.f_mse_loss(target, Reduction::Sum);
        Ok(Loss {
            sum: sum.doing("computing the loss")?,
            count: target.numel() as f64,
        })
    }

    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        Box::new(NumberMetric {
            outputs: self.outputs,
            metrics: RegressionMetrics::new(self.outputs),
        })
    }

    fn main_metric(&self) -> &str {
        "spearmanr"
    }

    fn describe(&self, config: &mut BertConfig) {
        let names: Vec<_> = (0..self.outputs)
            .map(|output| format!("LABEL_{output}"))
            .collect();
        self.model.describe(config, REGRESSION, &names);
    }
}

/// The numbers that were predicted against the true ones.
struct NumberMetric {
    outputs: usize,
    metrics: RegressionMetrics,
}

impl Metric<Tensor> for NumberMetric {
    fn update(&mut self, logits: &Tensor, target: &Tensor) -> Result<()> {
        let read = |x: &Tensor| x.f_flatten(0, 1).and_then(Vec::<f32>::try_from);
        let logits = read(logits).doing("reading logits")?;
        let target = read(target).doing("reading numbers")?;
        for (logits, target) in logits.chunks(self.outputs).zip(target.chunks(self.outputs)) {
            self.metrics.update(logits, target);
        }
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        self.metrics.to_metrics()
    }
}
