//! Words to tags (named entities, parts of speech): a dense layer on each token's hidden
//! state, as Hugging Face's `BertForTokenClassification`. The first token of a word
//! decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use crate::data::Labels;
use crate::data::tag_kinds::mark_entities;
use crate::encode::{Encoding, IGNORED, Inputs, TagCollator, TagTarget, Truncation, WordWindows};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::{ConfusionMatrix, EntityMetrics, Metric};
use crate::model::{Backbone, BertConfig, HeadWeights, Linear};
use crate::predict;
use crate::task::entities::{Entity, WordTag, entities_of};
use crate::task::source::{Source, describe, dropout_setting, label_setting, shared_settings};

const ARCHITECTURE: &str = "BertForTokenClassification";

/// A BERT that gives each word of a sentence a tag.
#[derive(Debug)]
pub struct BertTokenClassifier {
    backbone: Backbone,
    head: Linear,
    labels: Labels,
    dropout: f64,
    settings: Settings,
}

/// What a saved tagger needs to encode sentences as it did in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    max_length: usize,
    overlap: usize,
}

/// Settings of a new [`BertTokenClassifier`]; see [`BertTokenClassifier::builder`].
#[derive(Debug, Clone)]
pub struct BertTokenClassifierBuilder {
    source: Source,
    overlap: Option<usize>,
}

impl BertTokenClassifierBuilder {
    shared_settings!(source);
    dropout_setting!(source);
    label_setting!(source);

    /// Tokens that two windows of a sentence share that is longer than `max_length`; at
    /// most half of it. Default that of the saved model in the folder, or a quarter.
    pub fn overlap(mut self, overlap: usize) -> Self {
        self.overlap = Some(overlap);
        self
    }

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, the folder is not a whole model, or it
    /// holds a head for other labels.
    pub fn build(self) -> Result<BertTokenClassifier> {
        let source = self.source;
        let config = source.config()?;
        let labels = source.labels(&config, ARCHITECTURE)?;
        let saved: Option<Settings> = source.settings(&config, ARCHITECTURE)?;
        let max_length = source
            .max_length
            .or(saved.map(|saved| saved.max_length))
            .unwrap_or_else(|| source.usual_length(&config, ARCHITECTURE));
        let saved = saved.map(|saved| saved.overlap.min(max_length / 2));
        let overlap = self.overlap.or(saved).unwrap_or(max_length / 4);
        if overlap > max_length / 2 {
            let rule = format!("at most {}, half of the maximal length", max_length / 2);
            return Err(Error::config("overlap", rule, overlap));
        }
        let dropout = source.dropout(&config)?;
        let classes = labels.len() as i64;
        let (backbone, head) = source
            .backbone(&config, ARCHITECTURE)
            .without_pooler()
            .build(|root, config| {
                let path = root / "classifier";
                Linear::new(&path, config.hidden_size, classes, config.initializer_range)
            })?;
        let model = BertTokenClassifier {
            backbone,
            head,
            labels,
            dropout,
            settings: Settings {
                max_length,
                overlap,
            },
        };
        model.collator()?;
        Ok(model)
    }
}

impl BertTokenClassifier {
    /// Starts from a pre-trained model in a folder: a plain encoder, or a tagger to train
    /// on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertTokenClassifierBuilder {
        BertTokenClassifierBuilder {
            source: Source::new(dir.into(), HeadWeights::Found),
            overlap: None,
        }
    }

    /// A fitted tagger in a folder; its head, its labels and how it encodes sentences
    /// come from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertTokenClassifierBuilder {
        BertTokenClassifierBuilder {
            source: Source::new(dir.into(), HeadWeights::Required),
            overlap: None,
        }
    }

    /// Loads a fitted tagger from a folder, as [`saved`](Self::saved) does by default: onto
    /// the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole tagger.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// The tags, in the order of their ids.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Tags the words of each sentence, in evaluation mode, in order. A sentence of any
    /// length is read whole, in windows if need be. A word without tokens (control
    /// characters, say) gets the tag `O`, or the first one where there is no `O`, with
    /// the score 0.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn predict<W: AsRef<str> + Sync>(&self, sentences: &[Vec<W>]) -> Result<Vec<Vec<WordTag>>> {
        let collator = self.collator()?;
        let cut = sentences.par_iter().map(|words| collator.windows(words));
        let tags = self.tags(cut.collect::<Result<_>>()?, &collator)?;
        let named =
            |tags: Vec<(i64, f32)>| tags.into_iter().map(|tag| self.word_tag(tag)).collect();
        Ok(tags.into_iter().map(named).collect())
    }

    /// The entities in each text, with their places in it. The tokenizer splits a text
    /// into words at spaces and punctuation.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn entities<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<Entity>>> {
        let collator = self.collator()?;
        let tokenizer = self.backbone.tokenizer();
        let encode = |text: &T| {
            let truncation = Truncation::default();
            tokenizer.encode(text.as_ref(), None, usize::MAX, truncation)
        };
        let whole: Vec<Encoding> = texts.par_iter().map(encode).collect::<Result<_>>()?;
        let cut = whole.iter().map(|whole| {
            let words = whole.word_ids.iter().flatten().max();
            let words = words.map_or(0, |last| last + 1);
            let Settings {
                max_length,
                overlap,
            } = self.settings;
            WordWindows::new(whole.clone(), words, max_length, overlap)
        });
        let tags = self.tags(cut.collect(), &collator)?;
        let rows = texts.iter().zip(&whole).zip(tags);
        Ok(rows
            .map(|((text, whole), tags)| {
                let tags: Vec<_> = tags.into_iter().map(|tag| self.word_tag(tag)).collect();
                entities_of(text.as_ref(), whole, &tags)
            })
            .collect())
    }

    fn word_tag(&self, (id, score): (i64, f32)) -> WordTag {
        let label = self.labels.name(id).unwrap_or_default().to_owned();
        WordTag { label, score }
    }

    /// The tag of each word with its probability.
    fn tags(&self, cut: Vec<WordWindows>, collator: &TagCollator) -> Result<Vec<Vec<(i64, f32)>>> {
        let unseen = (outside(&self.labels), 0.0);
        let mut tags: Vec<Vec<_>> = cut
            .iter()
            .map(|cut| vec![unseen; cut.places.len()])
            .collect();
        let (mut encodings, mut wanted) = (Vec::new(), Vec::new());
        for (sentence, cut) in cut.into_iter().enumerate() {
            // For each row: the words that are judged there.
            let first = wanted.len();
            wanted.resize_with(first + cut.rows.len(), Vec::new);
            for (word, place) in cut.places.into_iter().enumerate() {
                if let Some((row, token)) = place {
                    wanted[first + row].push((token, sentence, word));
                }
            }
            encodings.extend(cut.rows);
        }
        let classes = self.labels.len();
        predict::for_each(self, &encodings, &collator.encoder, |row, logits| {
            let shares = logits
                .f_softmax(-1, Kind::Float)
                .and_then(|shares| Vec::<f32>::try_from(shares.f_flatten(0, 1)?))
                .doing("computing probabilities")?; // [L·C]
            for &(token, sentence, word) in &wanted[row] {
                tags[sentence][word] = best(&shares[token * classes..][..classes]);
            }
            Ok(())
        })?;
        Ok(tags)
    }
}

/// The tag of words about which nothing is known.
fn outside(labels: &Labels) -> i64 {
    labels.get("O").unwrap_or(0)
}

/// The largest of some numbers and its place; of equals, the first.
fn best(numbers: &[f32]) -> (i64, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (place, &number) in numbers.iter().enumerate() {
        if number > best.1 {
            best = (place as i64, number);
        }
    }
    best
}

impl FineTuner for BertTokenClassifier {
    type Collator = TagCollator;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn collator(&self) -> Result<TagCollator> {
        let Settings {
            max_length,
            overlap,
        } = self.settings;
        Ok(TagCollator {
            encoder: self
                .backbone
                .text_encoder(max_length, Truncation::default())?,
            labels: self.labels.clone(),
            overlap,
        })
    }

    /// `[B, L, C]`
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let hidden = self.backbone.encoder().hidden(inputs, train)?; // [B, L, H]
        let hidden = hidden
            .f_dropout(self.dropout, train)
            .doing("dropping out")?;
        self.head.forward(&hidden)
    }

    /// Cross-entropy of logits `[B, L, C]` at the first token of each word.
    fn loss(&self, logits: &Tensor, target: &TagTarget) -> Result<Loss> {
        let flat = logits.f_flatten(0, 1).doing("computing the loss")?;
        let labels = target.labels.f_flatten(0, 1).doing("computing the loss")?;
        let sum = flat
            .f_cross_entropy_loss::<Tensor>(&labels, None, Reduction::Sum, IGNORED, 0.0)
            .doing("computing the loss")?;
        Ok(Loss {
            sum,
            count: target.count() as f64,
        })
    }

    fn metric(&self) -> Box<dyn Metric<TagTarget>> {
        let counts = match self.tags_entities() {
            true => Counts::Entities(EntityMetrics::new()),
            false => Counts::Words(ConfusionMatrix::new(self.labels.len())),
        };
        Box::new(TagMetric {
            counts,
            labels: self.labels.clone(),
        })
    }

    fn main_metric(&self) -> &str {
        match self.tags_entities() {
            true => "f1",
            false => "accuracy",
        }
    }

    fn describe(&self, config: &mut BertConfig) {
        describe(config, ARCHITECTURE, &self.settings);
        config.classifier_dropout = Some(self.dropout);
        config.set_class_names(self.labels.names());
    }
}

impl BertTokenClassifier {
    /// Whether the tags mark entities, and not parts of speech, say.
    fn tags_entities(&self) -> bool {
        mark_entities(self.labels.names().iter().map(String::as_str))
    }
}

/// Counts of what was predicted for each word against what is right.
struct TagMetric {
    counts: Counts,
    labels: Labels,
}

enum Counts {
    Entities(EntityMetrics),
    Words(ConfusionMatrix),
}

impl Metric<TagTarget> for TagMetric {
    fn update(&mut self, logits: &Tensor, target: &TagTarget) -> Result<()> {
        let length = target.labels.size()[1] as usize;
        let ids = logits
            .f_argmax(-1, false)
            .and_then(|ids| Vec::<i64>::try_from(ids.f_flatten(0, 1)?))
            .doing("choosing tags")?; // [B·L]
        for sentence in &target.sentences {
            // Words without tokens have no place: nothing was said of them.
            let places = sentence.places.iter().zip(&sentence.tags);
            let judged = places.filter_map(|(place, &tag)| place.map(|place| (place, tag)));
            let (predicted, right): (Vec<i64>, Vec<i64>) = judged
                .map(|((row, token), tag)| (ids[row * length + token], tag))
                .unzip();
            match &mut self.counts {
                Counts::Entities(metrics) => {
                    let names = |ids: Vec<i64>| -> Vec<&str> {
                        let names = ids.into_iter().map(|id| self.labels.name(id));
                        names.map(Option::unwrap_or_default).collect()
                    };
                    metrics.update(&names(predicted), &names(right))?;
                }
                Counts::Words(matrix) => {
                    for (predicted, right) in predicted.into_iter().zip(right) {
                        matrix.update(predicted as usize, right as usize);
                    }
                }
            }
        }
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        match &self.counts {
            Counts::Entities(metrics) => metrics.to_metrics(),
            Counts::Words(matrix) => {
                let mut metrics = matrix.to_metrics();
                // Where tags are concerned these are numbers of entities, and of two kinds of
                // words those of the one with id 1 would be taken for them.
                metrics.retain(|name, _| !["precision", "recall", "f1"].contains(&name.as_str()));
                metrics
            }
        }
    }
}
