//! Texts, or pairs of texts, to one of several classes: a dense layer on the
//! pooled output, as Hugging Face's `BertForSequenceClassification`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use crate::data::{Labels, Text};
use crate::encode::{ClassCollator, Inputs, TextEncoder, Truncation};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::{ConfusionMatrix, Metric};
use crate::model::{Backbone, BackboneBuilder, BertConfig, HeadWeights, Linear, Precision};
use crate::task::predictions::Predictions;

/// Key of `config.json` under which the settings that only bertfit knows stand.
const SETTINGS_KEY: &str = "bertfit";

/// Tokens of one forward pass in predictions: enough to fill the matrix products, few
/// enough for the cache of a CPU.
const TOKENS_PER_BATCH: usize = 4096;

/// A BERT that sorts texts, or pairs of texts, into classes.
#[derive(Debug)]
pub struct BertClassifier {
    backbone: Backbone,
    head: Linear,
    labels: Labels,
    dropout: f64,
    settings: Settings,
}

/// What a saved classifier needs to encode texts as it did in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    max_length: usize,
    truncation: Truncation,
}

/// Settings of a new [`BertClassifier`]; see [`BertClassifier::builder`].
#[derive(Debug, Clone)]
pub struct BertClassifierBuilder {
    dir: PathBuf,
    labels: Option<Vec<String>>,
    dropout: Option<f64>,
    device: Device,
    precision: Precision,
    max_length: Option<usize>,
    truncation: Option<Truncation>,
    seed: u64,
    head: HeadWeights,
}

impl BertClassifierBuilder {
    /// The classes, in the order of their ids. Where absent, those of the model
    /// folder, if it holds a classifier.
    pub fn labels<I: IntoIterator<Item: Into<String>>>(mut self, labels: I) -> Self {
        self.labels = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// Dropout before the head, from 0 to below 1; default the model's
    /// `classifier_dropout`.
    pub fn dropout(mut self, dropout: f64) -> Self {
        self.dropout = Some(dropout);
        self
    }

    /// Where to compute; default the CPU.
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The numbers that matrix products are computed in; default float32.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// The most tokens of a row, special tokens included; longer texts are cut.
    /// Default that of the classifier in the folder; where there is none, 128, or the
    /// model's positions if it has fewer.
    pub fn max_length(mut self, max_length: usize) -> Self {
        self.max_length = Some(max_length);
        self
    }

    /// Which text of a pair is cut; default as the classifier in the folder does; where
    /// there is none, the longer one.
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = Some(truncation);
        self
    }

    /// Seed of the head's random weights; default 42.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts with a random head even where the folder holds a trained one.
    pub fn fresh_head(mut self) -> Self {
        self.head = HeadWeights::Fresh;
        self
    }

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, the folder is not a whole model, or it
    /// holds a head for other labels.
    pub fn build(self) -> Result<BertClassifier> {
        let config = BertConfig::from_dir(&self.dir)?;
        let names = config.class_names(&self.dir.join("config.json"))?;
        // A published encoder may carry the two default names; those say nothing.
        let has_head = self.head == HeadWeights::Required || is_classifier(&config);
        let saved = names.filter(|_| has_head);
        let labels = match (self.labels, saved) {
            (Some(asked), Some(saved)) if asked != saved && self.head != HeadWeights::Fresh => {
                let path = self.dir;
                return Err(Error::OtherHead {
                    path,
                    found: saved,
                    asked,
                });
            }
            (Some(labels), _) | (None, Some(labels)) => Labels::new(labels)?,
            (None, None) if self.head == HeadWeights::Required => {
                return Err(Error::ModelConfig {
                    path: self.dir.join("config.json"),
                    field: "id2label",
                    rule: "there, with the names of the classes".to_owned(),
                    got: "nothing".to_owned(),
                });
            }
            (None, None) => {
                let rule = "given, since the model folder names none";
                return Err(Error::config("labels", rule, "none"));
            }
        };
        let saved = saved_settings(&self.dir, &config)?;
        let settings = Settings {
            max_length: self.max_length.unwrap_or(saved.max_length),
            truncation: self.truncation.unwrap_or(saved.truncation),
        };
        let dropout = self.dropout.unwrap_or(config.head_dropout());
        let source = Backbone::builder(&self.dir)
            .device(self.device)
            .precision(self.precision)
            .seed(self.seed)
            .head(self.head);
        BertClassifier::assemble(source, labels, dropout, settings)
    }
}

fn is_classifier(config: &BertConfig) -> bool {
    config.architectures.iter().any(|name| name == ARCHITECTURE)
}

/// How a folder's classifier encodes texts. One that another tool has saved takes as
/// much as it can; a plain encoder gets the usual 128 tokens.
fn saved_settings(dir: &Path, config: &BertConfig) -> Result<Settings> {
    if let Some(saved) = config.other.get(SETTINGS_KEY) {
        return Settings::deserialize(saved).map_err(|source| Error::Json {
            path: dir.join("config.json"),
            source,
        });
    }
    let longest = config.max_position_embeddings as usize;
    let max_length = match is_classifier(config) {
        true => longest,
        false => longest.min(128),
    };
    let truncation = Truncation::default();
    Ok(Settings {
        max_length,
        truncation,
    })
}

const ARCHITECTURE: &str = "BertForSequenceClassification";

impl BertClassifier {
    /// Starts from a pre-trained model in a folder: a plain encoder, or a
    /// classifier to train on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertClassifierBuilder {
        BertClassifierBuilder {
            dir: dir.into(),
            labels: None,
            dropout: None,
            device: Device::Cpu,
            precision: Precision::default(),
            max_length: None,
            truncation: None,
            seed: 42,
            head: HeadWeights::Found,
        }
    }

    /// A fitted classifier in a folder; its head, its labels and how it encodes texts
    /// come from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertClassifierBuilder {
        BertClassifierBuilder {
            head: HeadWeights::Required,
            ..Self::builder(dir)
        }
    }

    /// Loads a fitted classifier from a folder, onto the CPU.
    ///
    /// # Errors
    /// When the folder is not a whole classifier.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    fn assemble(
        source: BackboneBuilder,
        labels: Labels,
        dropout: f64,
        settings: Settings,
    ) -> Result<Self> {
        if labels.len() < 2 {
            return Err(Error::config("labels", "at least 2 classes", labels.len()));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::config("dropout", "at least 0 and below 1", dropout));
        }
        let classes = labels.len() as i64;
        let (backbone, head) = source.build(|root, config| {
            let path = root / "classifier";
            Linear::new(&path, config.hidden_size, classes, config.initializer_range)
        })?;
        let model = Self {
            backbone,
            head,
            labels,
            dropout,
            settings,
        };
        model.encoder()?;
        Ok(model)
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
        self.backbone
            .text_encoder(self.settings.max_length, self.settings.truncation)
    }

    /// Sorts texts or pairs of texts into classes, in evaluation mode. The answers
    /// are in the order of `texts`; batches hold rows of like length, up to 4096 tokens.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn predict<T: Text + Sync>(&self, texts: &[T]) -> Result<Predictions> {
        let logits = self.predict_logits(texts, &self.encoder()?, TOKENS_PER_BATCH)?;
        let mut probabilities = Array2::zeros((texts.len(), self.labels.len()));
        for (row, logits) in logits.iter().enumerate() {
            let softmax = logits
                .f_softmax(-1, Kind::Float)
                .doing("computing probabilities")?;
            let cells = probabilities
                .as_slice_mut()
                .expect("a fresh array is contiguous");
            let cells = &mut cells[row * self.labels.len()..][..self.labels.len()];
            softmax
                .f_copy_data(cells, cells.len())
                .doing("reading probabilities")?;
        }
        Ok(Predictions::new(probabilities, self.labels.clone()))
    }
}

impl FineTuner for BertClassifier {
    type Collator = ClassCollator;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn collator(&self) -> Result<ClassCollator> {
        Ok(ClassCollator {
            encoder: self.encoder()?,
            labels: self.labels.clone(),
        })
    }

    /// `[B, C]`
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let pooled = self.backbone.encoder().pooled(inputs, train)?; // [B, H]
        let pooled = pooled
            .f_dropout(self.dropout, train)
            .doing("dropping out")?;
        self.head.forward(&pooled)
    }

    /// Cross-entropy of logits `[B, C]` and class ids `[B]`.
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let sum = logits
            .f_cross_entropy_loss::<Tensor>(target, None, Reduction::Sum, -100, 0.0)
            .doing("computing the loss")?;
        Ok(Loss {
            sum,
            count: target.size()[0] as f64,
        })
    }

    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        Box::new(ClassMetric(ConfusionMatrix::new(self.labels.len())))
    }

    fn main_metric(&self) -> &str {
        "accuracy"
    }

    fn describe(&self, config: &mut BertConfig) {
        config.architectures = vec![ARCHITECTURE.to_owned()];
        config.problem_type = Some("single_label_classification".to_owned());
        config.classifier_dropout = Some(self.dropout);
        config.set_class_names(self.labels.names());
        let settings = serde_json::to_value(self.settings).expect("plain numbers and names");
        config.other.insert(SETTINGS_KEY.to_owned(), settings);
    }
}

/// Counts of the class with the highest logit against the true one.
struct ClassMetric(ConfusionMatrix);

impl Metric<Tensor> for ClassMetric {
    fn update(&mut self, logits: &Tensor, target: &Tensor) -> Result<()> {
        let predicted = logits.f_argmax(-1, false).doing("choosing classes")?;
        let ids = |x: &Tensor| Vec::<i64>::try_from(x).doing("reading class ids");
        for (predicted, target) in ids(&predicted)?.into_iter().zip(ids(target)?) {
            self.0.update(predicted as usize, target as usize);
        }
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        self.0.to_metrics()
    }
}
