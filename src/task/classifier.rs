//! Texts, or pairs of texts, to one of several classes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tch::{Kind, Tensor};

use crate::data::{Labels, Text};
use crate::encode::{ClassCollator, Inputs, TextEncoder};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::{ConfusionMatrix, Metric};
use crate::model::{Backbone, BertConfig, HeadWeights};
use crate::task::class_loss::ClassLoss;
use crate::task::predictions::Predictions;
use crate::task::sequence::{
    ARCHITECTURE, SequenceModel, SequenceSource, answers, truncation_setting,
};
use crate::task::source::{Source, dropout_setting, label_setting, shared_settings};

const PROBLEM_TYPE: &str = "single_label_classification";

/// A BERT that sorts texts, or pairs of texts, into classes.
#[derive(Debug)]
pub struct BertClassifier {
    model: SequenceModel,
    labels: Labels,
    loss: ClassLoss,
}

/// Settings of a new [`BertClassifier`]; see [`BertClassifier::builder`].
#[derive(Debug, Clone)]
pub struct BertClassifierBuilder {
    sequence: SequenceSource,
    loss: ClassLoss,
}

impl BertClassifierBuilder {
    shared_settings!(sequence.source);
    dropout_setting!(sequence.source);
    label_setting!(sequence.source);
    truncation_setting!();

    /// What training makes small; default plain cross-entropy. It is not saved.
    pub fn loss(mut self, loss: ClassLoss) -> Self {
        self.loss = loss;
        self
    }

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, the folder is not a whole model, or it
    /// holds a head for other labels.
    pub fn build(self) -> Result<BertClassifier> {
        let source = &self.sequence.source;
        let config = source.config()?;
        self.sequence.check(&config, PROBLEM_TYPE)?;
        let labels = source.labels(&config, ARCHITECTURE)?;
        if labels.len() < 2 {
            let only = format!("only `{}`", labels.names().join("`, `"));
            return Err(Error::config("labels", "at least 2 classes", only));
        }
        self.loss.validate(labels.len())?;
        Ok(BertClassifier {
            model: self.sequence.build(&config, labels.len())?,
            labels,
            loss: self.loss,
        })
    }
}

impl BertClassifier {
    /// Starts from a pre-trained model in a folder: a plain encoder, or a
    /// classifier to train on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertClassifierBuilder {
        BertClassifierBuilder {
            sequence: SequenceSource::new(Source::new(dir.into(), HeadWeights::Found)),
            loss: ClassLoss::default(),
        }
    }

    /// A fitted classifier in a folder; its head, its labels and how it encodes texts
    /// come from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertClassifierBuilder {
        BertClassifierBuilder {
            sequence: SequenceSource::new(Source::new(dir.into(), HeadWeights::Required)),
            loss: ClassLoss::default(),
        }
    }

    /// Loads a fitted classifier from a folder, as [`saved`](Self::saved) does by default: onto
    /// the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole classifier.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// The classes, in the order of their ids.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Turns texts into inputs as in training.
    ///
    /// # Errors
    /// When the maximal length does not fit the model.
    pub fn encoder(&self) -> Result<TextEncoder> {
        self.model.encoder()
    }

    /// Sorts texts or pairs of texts into classes, in evaluation mode. The answers
    /// are in the order of `texts`; batches hold rows of like length, up to 4096
    /// tokens on a CPU and 32,768 on a GPU.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn predict<T: Text + Sync>(&self, texts: &[T]) -> Result<Predictions> {
        let classes = self.labels.len();
        let softmax = |logits: &Tensor| logits.f_softmax(-1, Kind::Float);
        let probabilities = answers(self, &self.encoder()?, texts, classes, softmax)?;
        Ok(Predictions::new(probabilities, self.labels.clone()))
    }
}

impl FineTuner for BertClassifier {
    type Collator = ClassCollator;

    fn backbone(&self) -> &Backbone {
        &self.model.backbone
    }

    fn collator(&self) -> Result<ClassCollator> {
        Ok(ClassCollator {
            encoder: self.encoder()?,
            labels: self.labels.clone(),
        })
    }

    fn training_collator(&self) -> Result<ClassCollator> {
        let mut collator = self.collator()?;
        collator.encoder = collator.encoder.for_training();
        Ok(collator)
    }

    /// `[B, C]`, a row for each text.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.model.logits(inputs, train)
    }

    /// The builder's loss of logits `[B, C]` and class ids `[B]`.
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        self.loss.of(logits, target)
    }

    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        Box::new(ClassMetric {
            counts: ConfusionMatrix::new(self.labels.len()),
            labels: self.labels.clone(),
        })
    }

    fn main_metric(&self) -> &str {
        "accuracy"
    }

    fn training_settings(&self) -> serde_json::Value {
        serde_json::json!({"loss": self.loss})
    }

    fn describe(&self, config: &mut BertConfig) {
        self.model
            .describe(config, PROBLEM_TYPE, self.labels.names());
    }
}

/// Counts of the class with the highest logit against the true one.
struct ClassMetric {
    counts: ConfusionMatrix,
    labels: Labels,
}

impl Metric<Tensor> for ClassMetric {
    fn update(&mut self, logits: &Tensor, target: &Tensor) -> Result<()> {
        let predicted = logits.f_argmax(-1, false).doing("choosing classes")?;
        let ids = |x: &Tensor| Vec::<i64>::try_from(x).doing("reading class ids");
        for (predicted, target) in ids(&predicted)?.into_iter().zip(ids(target)?) {
            self.counts.update(predicted as usize, target as usize);
        }
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        self.counts.to_metrics()
    }

    fn one_prediction(&self) -> Option<String> {
        let classes = 0..self.counts.classes();
        let rows = self.counts.rows();
        let all_are = |class: &usize| self.counts.predictions(*class) == rows;
        let class = classes.clone().find(all_are)?;
        let differ = classes.filter(|&class| self.counts.support(class) > 0);
        (differ.count() > 1).then(|| self.labels.names()[class].clone())
    }
}
