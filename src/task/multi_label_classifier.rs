//! Texts, or pairs of texts, to any number of classes that do not exclude each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::Array2;
use tch::{Reduction, Tensor};

use crate::data::{Dataset, Example, Labels, Text};
use crate::encode::{Inputs, MultiLabelCollator, TextEncoder};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::{Metric, MultiLabelMetrics, best_threshold, roc_auc};
use crate::model::{Backbone, BertConfig, HeadWeights};
use crate::task::sequence::{
    ARCHITECTURE, SequenceModel, SequenceSource, answers, truncation_setting,
};
use crate::task::source::{Source, dropout_setting, label_setting, shared_settings};

const PROBLEM_TYPE: &str = "multi_label_classification";

/// A BERT that gives texts, or pairs of texts, any number of labels.
#[derive(Debug)]
pub struct BertMultiLabelClassifier {
    model: SequenceModel,
    labels: Labels,
}

/// Settings of a new [`BertMultiLabelClassifier`].
#[derive(Debug, Clone)]
pub struct BertMultiLabelClassifierBuilder {
    sequence: SequenceSource,
}

impl BertMultiLabelClassifierBuilder {
    shared_settings!(sequence.source);
    dropout_setting!(sequence.source);
    label_setting!(sequence.source);
    truncation_setting!();

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, the folder is not a whole model, or it
    /// holds a head for other labels.
    pub fn build(self) -> Result<BertMultiLabelClassifier> {
        let config = self.sequence.source.config()?;
        self.sequence.check(&config, PROBLEM_TYPE)?;
        let labels = self.sequence.source.labels(&config, ARCHITECTURE)?;
        let path = self.sequence.source.dir.join("config.json");
        let model = self.sequence.build(&config, labels.len())?;
        if let Some(thresholds) = &model.settings.thresholds
            && thresholds.len() != labels.len()
        {
            return Err(Error::ModelConfig {
                path,
                field: "thresholds",
                rule: format!("{} numbers, one for each label", labels.len()),
                got: thresholds.len().to_string(),
            });
        }
        Ok(BertMultiLabelClassifier { model, labels })
    }
}

impl BertMultiLabelClassifier {
    /// Starts from a pre-trained model in a folder: a plain encoder, or a classifier of
    /// this kind to train on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertMultiLabelClassifierBuilder {
        let source = Source::new(dir.into(), HeadWeights::Found);
        let sequence = SequenceSource::new(source);
        BertMultiLabelClassifierBuilder { sequence }
    }

    /// A fitted classifier in a folder; its head, its labels and thresholds and how it
    /// encodes texts come from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertMultiLabelClassifierBuilder {
        let source = Source::new(dir.into(), HeadWeights::Required);
        let sequence = SequenceSource::new(source);
        BertMultiLabelClassifierBuilder { sequence }
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

    /// The probability of each class above which a text is of it, in the order of the
    /// ids; a half unless they were tuned.
    pub fn thresholds(&self) -> Vec<f32> {
        let half = || vec![0.5; self.labels.len()];
        self.model.settings.thresholds.clone().unwrap_or_else(half)
    }

    /// Chooses for each class the threshold with the highest F1 on these rows, such as
    /// those of the development set. [`save`](FineTuner::save) keeps them.
    ///
    /// # Errors
    /// When a row cannot be read or used.
    pub fn tune_thresholds(
        &mut self,
        dataset: &dyn Dataset<Item = Example<Vec<String>>>,
    ) -> Result<()> {
        let rows: Vec<_> = (0..dataset.len())
            .map(|row| dataset.get(row))
            .collect::<Result<_>>()?;
        for row in &rows {
            row.label
                .iter()
                .try_for_each(|label| self.labels.id(label).map(drop))?;
        }
        let probabilities = self.predict(&rows)?.probabilities;
        let tuned = self.labels.names().iter().enumerate().map(|(class, name)| {
            let targets: Vec<bool> = rows.iter().map(|row| row.label.contains(name)).collect();
            best_threshold(&probabilities.column(class).to_vec(), &targets)
        });
        self.model.settings.thresholds = Some(tuned.collect());
        Ok(())
    }

    /// The classes of each text or pair, in evaluation mode and in order.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn predict<T: Text + Sync>(&self, texts: &[T]) -> Result<MultiLabelPredictions> {
        let classes = self.labels.len();
        Ok(MultiLabelPredictions {
            probabilities: answers(self, &self.encoder()?, texts, classes, Tensor::f_sigmoid)?,
            labels: self.labels.clone(),
            thresholds: self.thresholds(),
        })
    }
}

/// The answers of a [`BertMultiLabelClassifier`], one row for each text, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiLabelPredictions {
    /// The probability of each class, `[N, C]`.
    pub probabilities: Array2<f32>,
    labels: Labels,
    thresholds: Vec<f32>,
}

impl MultiLabelPredictions {
    /// The classes, in the order of the columns.
    pub fn classes(&self) -> &Labels {
        &self.labels
    }

    /// The names of a row's classes, in the order of their ids.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn labels(&self, row: usize) -> Vec<&str> {
        let scores = self.probabilities.row(row);
        let names = self.labels.names().iter().zip(scores).zip(&self.thresholds);
        let above = names.filter(|((_, score), threshold)| score > threshold);
        above.map(|((name, _), _)| name.as_str()).collect()
    }
}

impl FineTuner for BertMultiLabelClassifier {
    type Collator = MultiLabelCollator;

    fn backbone(&self) -> &Backbone {
        &self.model.backbone
    }

    fn collator(&self) -> Result<MultiLabelCollator> {
        Ok(MultiLabelCollator {
            encoder: self.encoder()?,
            labels: self.labels.clone(),
        })
    }

    fn training_collator(&self) -> Result<MultiLabelCollator> {
        let mut collator = self.collator()?;
        collator.encoder = collator.encoder.for_training();
        Ok(collator)
    }

    /// `[B, C]`, a row for each text.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.model.logits(inputs, train)
    }

    /// Binary cross-entropy of logits and targets, `[B, C]` each, the mean over both.
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let none = None::<&Tensor>;
        let sum = logits.f_binary_cross_entropy_with_logits(target, none, none, Reduction::Sum);
        Ok(Loss {
            sum: sum.doing("computing the loss")?,
            count: target.numel() as f64,
        })
    }

    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        Box::new(LabelMetric {
            counts: MultiLabelMetrics::new(self.labels.len()),
            // The same as probabilities above the thresholds.
            least: self
                .thresholds()
                .iter()
                .map(|p| (p / (1.0 - p)).ln())
                .collect(),
            names: self.labels.names().to_vec(),
            scores: vec![Vec::new(); self.labels.len()],
            targets: vec![Vec::new(); self.labels.len()],
        })
    }

    fn main_metric(&self) -> &str {
        "f1_micro"
    }

    fn describe(&self, config: &mut BertConfig) {
        self.model
            .describe(config, PROBLEM_TYPE, self.labels.names());
    }
}

/// Counts of the classes with high enough logits against the true ones; the area under
/// the ROC curve needs all logits of each class.
struct LabelMetric {
    counts: MultiLabelMetrics,
    least: Vec<f32>,
    names: Vec<String>,
    scores: Vec<Vec<f64>>,
    targets: Vec<Vec<bool>>,
}

impl Metric<Tensor> for LabelMetric {
    fn update(&mut self, logits: &Tensor, target: &Tensor) -> Result<()> {
        let classes = self.least.len();
        let read = |x: &Tensor| x.f_flatten(0, 1).and_then(Vec::<f32>::try_from);
        let logits = read(logits).doing("reading logits")?;
        let target = read(target).doing("reading labels")?;
        for (logits, target) in logits.chunks(classes).zip(target.chunks(classes)) {
            let target: Vec<bool> = target.iter().map(|&one| one > 0.5).collect();
            let above = logits
                .iter()
                .zip(&self.least)
                .map(|(logit, least)| logit > least);
            self.counts.update(&above.collect::<Vec<_>>(), &target);
            for class in 0..classes {
                self.scores[class].push(f64::from(logits[class]));
                self.targets[class].push(target[class]);
            }
        }
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        let mut metrics = self.counts.to_metrics();
        for (class, name) in self.names.iter().enumerate() {
            // A class with the name `micro` must not take the place of the mean.
            let of_class = metrics.entry(format!("f1_{name}"));
            of_class.or_insert_with(|| self.counts.of(class)[2]);
        }
        let areas = self.scores.iter().zip(&self.targets);
        let areas: Vec<f64> = areas
            .filter_map(|(scores, targets)| roc_auc(scores, targets))
            .collect();
        if !areas.is_empty() {
            let mean = areas.iter().sum::<f64>() / areas.len() as f64;
            metrics.insert("roc_auc_macro".to_owned(), mean);
        }
        metrics
    }
}
