//! Questions on contexts to spans of them: two scores for each token, as Hugging Face's
//! `BertForQuestionAnswering`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tch::{Reduction, TchError, Tensor};

use crate::data::{Dataset, QaExample};
use crate::encode::{Encoding, Inputs, QaCollator, QaTarget, Truncation};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::{Metric, SquadMetrics, answer_f1};
use crate::model::{Backbone, BertConfig, HeadWeights, Linear};
use crate::predict;
use crate::task::answer_metric::{AnswerMetric, flat};
use crate::task::answers::{Answer, Found, ScoredAnswers, Search, find};
use crate::task::source::{Source, describe, is_a, shared_settings};

const ARCHITECTURE: &str = "BertForQuestionAnswering";

/// Questions whose scores are in memory at a time in predictions.
const AT_ONCE: usize = 256;

/// A BERT that finds the answer to a question in a text.
#[derive(Debug)]
pub struct BertQuestionAnswerer {
    backbone: Backbone,
    head: Linear,
    settings: Settings,
    search: Search,
}

/// What a saved model needs to read and to answer as it did in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Settings {
    max_length: usize,
    doc_stride: usize,
    unanswerable: bool,
    null_threshold: f32,
}

/// Settings of a new [`BertQuestionAnswerer`].
#[derive(Debug, Clone)]
pub struct BertQuestionAnswererBuilder {
    source: Source,
    doc_stride: Option<usize>,
    unanswerable: Option<bool>,
    usually_unanswerable: bool,
    null_threshold: Option<f32>,
    search: Search,
}

impl BertQuestionAnswererBuilder {
    shared_settings!(source);

    /// Tokens that two windows share of a context that is longer than `max_length`; default
    /// that of the saved model in the folder, or 128, or a third of the maximal length if
    /// that is less.
    pub fn doc_stride(mut self, doc_stride: usize) -> Self {
        self.doc_stride = Some(doc_stride);
        self
    }

    /// Whether a context may have no answer, as in SQuAD 2.0; default as the saved model in
    /// the folder, or false.
    pub fn unanswerable(mut self, unanswerable: bool) -> Self {
        self.unanswerable = Some(unanswerable);
        self
    }

    /// Whether a context may have no answer where neither [`unanswerable`](Self::unanswerable) is
    /// set nor the saved model says it: models that other libraries have saved do not. Default
    /// false.
    pub fn usually_unanswerable(mut self, unanswerable: bool) -> Self {
        self.usually_unanswerable = unanswerable;
        self
    }

    /// By how much the score of no answer must exceed that of the best span for no answer to be
    /// given, where a context may have none; default as the saved model in the folder, or 0.
    pub fn null_threshold(mut self, threshold: f32) -> Self {
        self.null_threshold = Some(threshold);
        self
    }

    /// How many answers are weighed against each other; default 20.
    pub fn n_best(mut self, n_best: usize) -> Self {
        self.search.n_best = n_best;
        self
    }

    /// Tokens of the longest answer; default 30.
    pub fn max_answer_length(mut self, tokens: usize) -> Self {
        self.search.longest = tokens;
        self
    }

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, or the folder is not a whole model.
    pub fn build(self) -> Result<BertQuestionAnswerer> {
        let source = self.source;
        let config = source.config()?;
        let saved: Option<Settings> = source.settings(&config, ARCHITECTURE)?;
        let longest = config.max_position_embeddings as usize;
        let max_length = source
            .max_length
            .or(saved.map(|saved| saved.max_length))
            .unwrap_or(longest.min(384));
        let usual = || (max_length / 3).min(128);
        let saved_stride = saved
            .map(|saved| saved.doc_stride)
            .filter(|&stride| stride < max_length);
        let settings = Settings {
            max_length,
            doc_stride: self.doc_stride.or(saved_stride).unwrap_or_else(usual),
            unanswerable: self
                .unanswerable
                .or(saved.map(|saved| saved.unanswerable))
                .unwrap_or(self.usually_unanswerable),
            // That of the saved model is of a head that may be replaced.
            null_threshold: self
                .null_threshold
                .or(saved
                    .filter(|_| source.head != HeadWeights::Fresh)
                    .map(|saved| saved.null_threshold))
                .unwrap_or(0.0),
        };
        if !settings.null_threshold.is_finite() {
            let rule = "a finite number";
            return Err(Error::config(
                "null_threshold",
                rule,
                settings.null_threshold,
            ));
        }
        if settings.doc_stride >= max_length {
            let rule = format!("below {max_length}, the maximal length");
            return Err(Error::config("doc_stride", rule, settings.doc_stride));
        }
        for (field, count) in [
            ("n_best", self.search.n_best),
            ("max_answer_length", self.search.longest),
        ] {
            if count == 0 {
                return Err(Error::config(field, "at least 1", count));
            }
        }
        if source.head == HeadWeights::Required && !is_a(&config, ARCHITECTURE) {
            return Err(Error::ModelConfig {
                path: source.dir.join("config.json"),
                field: "architectures",
                rule: ARCHITECTURE.to_owned(),
                got: config.architectures.join(", "),
            });
        }
        let (backbone, head) = source
            .backbone(&config, ARCHITECTURE)
            .without_pooler()
            .build(|root, config| {
                let path = root / "qa_outputs";
                Linear::new(&path, config.hidden_size, 2, config.initializer_range)
            })?;
        let model = BertQuestionAnswerer {
            backbone,
            head,
            settings,
            search: self.search,
        };
        model.collator()?;
        Ok(model)
    }
}

impl BertQuestionAnswerer {
    /// Starts from a pre-trained model in a folder: a plain encoder, or a question answerer
    /// to train on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertQuestionAnswererBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Found))
    }

    /// A fitted question answerer in a folder; its head and how it reads come from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertQuestionAnswererBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Required))
    }

    fn from_source(source: Source) -> BertQuestionAnswererBuilder {
        BertQuestionAnswererBuilder {
            source,
            doc_stride: None,
            unanswerable: None,
            usually_unanswerable: false,
            null_threshold: None,
            search: Search {
                n_best: 20,
                longest: 30,
            },
        }
    }

    /// Loads a fitted question answerer from a folder, as [`saved`](Self::saved) does by default:
    /// onto the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole one.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// Whether a context may have no answer.
    pub fn unanswerable(&self) -> bool {
        self.settings.unanswerable
    }

    /// How much better no answer must be than the best one, to be given.
    pub fn null_threshold(&self) -> f32 {
        self.settings.null_threshold
    }

    /// Chooses the threshold of no answer with the highest F1 on these questions, such as
    /// those of the development set. [`save`](FineTuner::save) keeps it.
    ///
    /// # Errors
    /// When a question cannot be read or used.
    pub fn tune_null_threshold(&mut self, dataset: &dyn Dataset<Item = QaExample>) -> Result<()> {
        let examples: Vec<_> = (0..dataset.len())
            .map(|row| dataset.get(row))
            .collect::<Result<_>>()?;
        let mut leads = Vec::with_capacity(examples.len());
        self.each(&examples, |row, found| {
            let QaExample {
                context, answers, ..
            } = &examples[row];
            let texts: Vec<&str> = answers.iter().map(|span| span.text.as_str()).collect();
            let best = found.answers(context, false, 0.0).swap_remove(0);
            // What is gained by giving the answer instead of none.
            let gain = match (texts.is_empty(), best.text.is_empty()) {
                (true, true) => 0.0,
                (true, false) => -1.0,
                (false, _) => answer_f1(&best.text, &texts),
            };
            leads.push((found.null_lead, gain));
        })?;
        leads.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut best, mut sum, mut threshold) = (0.0, 0.0, f32::MIN);
        // Equal leads are on one side of any threshold.
        for equal in leads.chunk_by(|a, b| a.0 == b.0) {
            sum += equal.iter().map(|lead| lead.1).sum::<f64>();
            if sum > best {
                (best, threshold) = (sum, equal[0].0);
            }
        }
        self.settings.null_threshold = threshold;
        Ok(())
    }

    /// The best answer to each question, in evaluation mode and in order.
    ///
    /// # Errors
    /// When a question cannot be used.
    pub fn predict(&self, questions: &[QaExample]) -> Result<Vec<Answer>> {
        let all = self.predict_n_best(questions)?;
        let best = all.into_iter().map(|mut answers| answers.swap_remove(0));
        Ok(best.collect())
    }

    /// The best answers to each question, at least one, the best first; among them the
    /// empty one where a context may have no answer.
    ///
    /// # Errors
    /// When a question cannot be used.
    pub fn predict_n_best(&self, questions: &[QaExample]) -> Result<Vec<Vec<Answer>>> {
        let mut all = Vec::with_capacity(questions.len());
        self.each(questions, |row, found| {
            all.push(self.answers(found, &questions[row].context))
        })?;
        Ok(all)
    }

    /// The answer to each question with those that were weighed against it, in evaluation mode
    /// and in order: what stands in `nbest_predictions.json` and `null_odds.json` of
    /// transformers' example scripts.
    ///
    /// # Errors
    /// When a question cannot be used.
    pub fn predict_scored(&self, questions: &[QaExample]) -> Result<Vec<ScoredAnswers>> {
        let Settings {
            unanswerable,
            null_threshold,
            ..
        } = self.settings;
        let mut all = Vec::with_capacity(questions.len());
        self.each(questions, |row, found| {
            let context = &questions[row].context;
            let n_best = self.search.n_best;
            all.push(found.scored(context, unanswerable, null_threshold, n_best));
        })?;
        Ok(all)
    }

    fn answers(&self, found: &Found, context: &str) -> Vec<Answer> {
        let Settings {
            unanswerable,
            null_threshold,
            ..
        } = self.settings;
        found.answers(context, unanswerable, null_threshold)
    }

    /// Calls `take` with each question's number and what was found, in order.
    fn each(&self, questions: &[QaExample], mut take: impl FnMut(usize, &Found)) -> Result<()> {
        let collator = self.collator()?;
        for (part, questions) in questions.chunks(AT_ONCE).enumerate() {
            let mut rows: Vec<Encoding> = Vec::new();
            let mut firsts = vec![0];
            for (row, question) in questions.iter().enumerate() {
                let row = part * AT_ONCE + row;
                let cut = collator.rows(question);
                rows.extend(cut.map_err(|problem| Error::Row { row, problem })?);
                firsts.push(rows.len());
            }
            let mut logits = vec![Vec::new(); rows.len()];
            predict::for_each(self, &rows, &collator.encoder, |row, scores| {
                logits[row] = flat(&scores)?;
                Ok(())
            })?;
            for (row, ends) in firsts.windows(2).enumerate() {
                let rows = rows[ends[0]..ends[1]].iter();
                let logits = logits[ends[0]..ends[1]].iter().map(Vec::as_slice);
                take(part * AT_ONCE + row, &find(rows.zip(logits), self.search));
            }
        }
        Ok(())
    }
}

impl FineTuner for BertQuestionAnswerer {
    type Collator = QaCollator;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn collator(&self) -> Result<QaCollator> {
        let Settings {
            max_length,
            doc_stride,
            ..
        } = self.settings;
        Ok(QaCollator {
            encoder: self
                .backbone
                .text_encoder(max_length, Truncation::OnlySecond)?,
            doc_stride,
        })
    }

    /// `[B, L, 2]`: for the first and for the last token of the answer.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let hidden = self.backbone.encoder().hidden(inputs, train)?; // [B, L, H]
        self.head.forward(&hidden)
    }

    /// The mean of the cross-entropies of the answer's first and last token, of logits
    /// `[B, L, 2]`; padding has no share in it.
    fn loss(&self, logits: &Tensor, target: &QaTarget) -> Result<Loss> {
        let of = |end: i64| -> Result<Tensor, TchError> {
            let scores = logits.f_select(-1, end)?.f_add(&target.bias)?; // [B, L]
            let place = target.positions.f_select(1, end)?;
            scores.f_cross_entropy_loss::<Tensor>(&place, None, Reduction::Sum, -100, 0.0)
        };
        let sum = of(0).and_then(|first| first.f_add(&of(1)?)?.f_mul_scalar(0.5));
        Ok(Loss {
            sum: sum.doing("computing the loss")?,
            count: logits.size()[0] as f64,
        })
    }

    fn metric(&self) -> Box<dyn Metric<QaTarget>> {
        Box::new(AnswerMetric {
            metrics: SquadMetrics::new(),
            search: self.search,
            nullable: self.settings.unanswerable,
            null_threshold: self.settings.null_threshold,
        })
    }

    fn main_metric(&self) -> &str {
        "f1"
    }

    /// The head's bias is the same for all places of a window.
    fn gradient_may_be_zero(&self, name: &str) -> bool {
        name == "qa_outputs.bias"
    }

    fn training_settings(&self) -> serde_json::Value {
        serde_json::json!({"search": self.search})
    }

    fn describe(&self, config: &mut BertConfig) {
        describe(config, ARCHITECTURE, &self.settings);
    }
}
