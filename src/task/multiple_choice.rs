//! Questions to one of some endings: a score for each of them, as Hugging Face's
//! `BertForMultipleChoice`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor};

use crate::data::ChoiceExample;
use crate::encode::{ChoiceCollator, ChoiceTarget, Encoding, Inputs, LOWEST, Truncation};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::Metric;
use crate::model::{Backbone, BertConfig, HeadWeights, Linear};
use crate::predict;
use crate::task::source::{Source, describe, dropout_setting, shared_settings};

const ARCHITECTURE: &str = "BertForMultipleChoice";

/// A BERT that chooses the right one of some endings.
#[derive(Debug)]
pub struct BertMultipleChoice {
    backbone: Backbone,
    head: Linear,
    dropout: f64,
    settings: Settings,
}

/// What a saved model needs to read as it did in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    max_length: usize,
    truncation: Truncation,
}

/// Settings of a new [`BertMultipleChoice`].
#[derive(Debug, Clone)]
pub struct BertMultipleChoiceBuilder {
    source: Source,
    truncation: Option<Truncation>,
}

impl BertMultipleChoiceBuilder {
    shared_settings!(source);
    dropout_setting!(source);

    /// What of a question and an ending is cut; default as the saved model in the folder
    /// does; where there is none, the longer one.
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = Some(truncation);
        self
    }

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, or the folder is not a whole model.
    pub fn build(self) -> Result<BertMultipleChoice> {
        let source = self.source;
        let config = source.config()?;
        let saved: Option<Settings> = source.settings(&config, ARCHITECTURE)?;
        let length = || source.usual_length(&config, ARCHITECTURE);
        let saved_length = saved.map(|saved| saved.max_length);
        let settings = Settings {
            max_length: source.max_length.or(saved_length).unwrap_or_else(length),
            truncation: self
                .truncation
                .or(saved.map(|saved| saved.truncation))
                .unwrap_or_default(),
        };
        let dropout = source.dropout(&config)?;
        let (backbone, head) = source
            .backbone(&config, ARCHITECTURE)
            .build(|root, config| {
                let path = root / "classifier";
                Linear::new(&path, config.hidden_size, 1, config.initializer_range)
            })?;
        let model = BertMultipleChoice {
            backbone,
            head,
            dropout,
            settings,
        };
        model.collator()?;
        Ok(model)
    }
}

/// The answer to a question with endings.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// The ending that was chosen, from 0.
    pub label: usize,
    /// The probability of each ending.
    pub scores: Vec<f32>,
}

impl BertMultipleChoice {
    /// Starts from a pre-trained model in a folder: a plain encoder, or a fitted model to
    /// train on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertMultipleChoiceBuilder {
        BertMultipleChoiceBuilder {
            source: Source::new(dir.into(), HeadWeights::Found),
            truncation: None,
        }
    }

    /// A fitted model in a folder; its head and how it reads come from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertMultipleChoiceBuilder {
        BertMultipleChoiceBuilder {
            source: Source::new(dir.into(), HeadWeights::Required),
            truncation: None,
        }
    }

    /// Loads a fitted model from a folder, as [`saved`](Self::saved) does by default: onto
    /// the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole one.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// Chooses an ending of each question, in evaluation mode and in order.
    ///
    /// # Errors
    /// When a question cannot be used.
    pub fn predict(&self, questions: &[ChoiceExample]) -> Result<Vec<Choice>> {
        let collator = self.collator()?;
        let mut rows: Vec<Encoding> = Vec::new();
        let mut firsts = vec![0];
        for (row, question) in questions.iter().enumerate() {
            let cut = collator.rows(question);
            rows.extend(cut.map_err(|problem| Error::Row { row, problem })?);
            firsts.push(rows.len());
        }
        let mut scores = vec![0.0_f32; rows.len()];
        predict::for_each(self, &rows, &collator.encoder, |row, logit| {
            scores[row] = logit.f_double_value(&[0]).doing("reading logits")? as f32;
            Ok(())
        })?;
        let of = |ends: &[usize]| choice(&scores[ends[0]..ends[1]]);
        Ok(firsts.windows(2).map(of).collect())
    }
}

/// The softmax of the scores of some endings, and the best; of equals, the first.
fn choice(scores: &[f32]) -> Choice {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    Choice {
        label: scores
            .iter()
            .position(|&score| score == highest)
            .unwrap_or(0),
        scores: powers.into_iter().map(|power| power / sum).collect(),
    }
}

/// The scores of the rows, `[B, 1]`, by question and ending: `[N, C]`.
fn by_question(logits: &Tensor, target: &ChoiceTarget) -> Result<Tensor, TchError> {
    let lowest = Tensor::f_full([1], LOWEST, (logits.kind(), logits.device()))?;
    let all = Tensor::f_cat(&[logits.f_flatten(0, -1)?, lowest], 0)?; // [B + 1]
    all.f_index_select(0, &target.rows.f_flatten(0, -1)?)?
        .f_view_as(&target.rows)
}

impl FineTuner for BertMultipleChoice {
    type Collator = ChoiceCollator;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn collator(&self) -> Result<ChoiceCollator> {
        let Settings {
            max_length,
            truncation,
        } = self.settings;
        let encoder = self.backbone.text_encoder(max_length, truncation)?;
        Ok(ChoiceCollator { encoder })
    }

    /// A score for each row, `[B, 1]`.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let pooled = self.backbone.encoder().pooled(inputs, train)?; // [B, H]
        let pooled = pooled
            .f_dropout(self.dropout, train)
            .doing("dropping out")?;
        self.head.forward(&pooled)
    }

    /// Cross-entropy over the endings of each question.
    fn loss(&self, logits: &Tensor, target: &ChoiceTarget) -> Result<Loss> {
        let compute = || -> Result<Loss, TchError> {
            let known = target.labels.f_ge(0)?.f_sum(Kind::Double)?;
            let sum = by_question(logits, target)?.f_cross_entropy_loss::<Tensor>(
                &target.labels,
                None,
                Reduction::Sum,
                -100,
                0.0,
            )?;
            let count = known.f_double_value(&[])?;
            Ok(Loss { sum, count })
        };
        compute().doing("computing the loss")
    }

    fn metric(&self) -> Box<dyn Metric<ChoiceTarget>> {
        Box::new(RightChoices { right: 0, known: 0 })
    }

    fn main_metric(&self) -> &str {
        "accuracy"
    }

    /// The head's bias is the same for all choices of a row.
    fn gradient_may_be_zero(&self, name: &str) -> bool {
        name == "classifier.bias"
    }

    fn describe(&self, config: &mut BertConfig) {
        describe(config, ARCHITECTURE, &self.settings);
        config.classifier_dropout = Some(self.dropout);
    }
}

/// Questions of which the right ending was chosen.
struct RightChoices {
    right: i64,
    known: i64,
}

impl Metric<ChoiceTarget> for RightChoices {
    fn update(&mut self, logits: &Tensor, target: &ChoiceTarget) -> Result<()> {
        let mut count = || -> Result<(), TchError> {
            let chosen = by_question(logits, target)?.f_argmax(-1, false)?;
            let right = chosen.f_eq_tensor(&target.labels)?.f_sum(Kind::Int64)?;
            self.right += right.f_int64_value(&[])?;
            self.known += target
                .labels
                .f_ge(0)?
                .f_sum(Kind::Int64)?
                .f_int64_value(&[])?;
            Ok(())
        };
        count().doing("choosing endings")
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        let accuracy = self.right as f64 / self.known.max(1) as f64;
        BTreeMap::from([("accuracy".to_owned(), accuracy)])
    }
}
