//! Tagged sentences to batches: the first token of each word carries the word's tag.

use rayon::prelude::*;
use tch::{Device, Tensor};

use super::batch::{Batch, Target};
use super::collator::{Collator, TextEncoder};
use super::windows::WordWindows;
use crate::data::{Labels, TaggedWords};
use crate::error::{Error, Result, RowProblem, TorchContext};

/// What the loss leaves out: special tokens, padding, all but the first token of a word.
pub(crate) const IGNORED: i64 = -100;

/// Tagged sentences to inputs and tag ids. A sentence that is longer than a row becomes
/// several rows, in which each of its words is learnt once.
#[derive(Debug, Clone)]
pub struct TagCollator {
    /// Turns words into inputs.
    pub encoder: TextEncoder,
    /// The tags.
    pub labels: Labels,
    /// Tokens that two windows of a long sentence share.
    pub overlap: usize,
}

/// The tags of a batch, for each token and for each word.
#[derive(Debug)]
pub struct TagTarget {
    /// The id of the tag at the first token of a word, -100 elsewhere; `[B, L]`, int64.
    pub labels: Tensor,
    /// The sentences, which may be fewer than the rows.
    pub sentences: Vec<SentenceTags>,
}

/// A sentence of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentenceTags {
    /// Row and token where each word is judged; `None` for a word without tokens.
    pub places: Vec<Option<(usize, usize)>>,
    /// The id of each word's tag.
    pub tags: Vec<i64>,
}

impl TagTarget {
    /// Words that the loss counts.
    pub fn count(&self) -> usize {
        let places = self.sentences.iter().flat_map(|sentence| &sentence.places);
        places.flatten().count()
    }
}

impl Target for TagTarget {
    fn to_device(self, device: Device) -> Result<Self> {
        Ok(Self {
            labels: self.labels.to_device(device)?,
            sentences: self.sentences,
        })
    }
}

impl TagCollator {
    /// The rows that a sentence becomes.
    pub(crate) fn windows(&self, words: &[impl AsRef<str>]) -> Result<WordWindows> {
        let whole = self.encoder.tokenizer().encode_words(words, usize::MAX)?;
        let longest = self.encoder.max_length();
        Ok(WordWindows::new(whole, words.len(), longest, self.overlap))
    }

    /// The ids of a sentence's tags.
    fn ids(&self, sentence: &TaggedWords) -> Result<Vec<i64>, RowProblem> {
        let (words, tags) = (sentence.words.len(), sentence.tags.len());
        if words != tags {
            return Err(RowProblem::Field {
                field: "tags".to_owned(),
                problem: format!("{tags} tags for {words} words"),
            });
        }
        let id = |tag: &String| {
            self.labels
                .get(tag)
                .ok_or_else(|| RowProblem::UnknownLabel {
                    label: tag.clone(),
                    known: self.labels.names().to_vec(),
                })
        };
        sentence.tags.iter().map(id).collect()
    }
}

impl Collator for TagCollator {
    type Item = TaggedWords;
    type Target = TagTarget;

    fn collate(&self, rows: &[TaggedWords]) -> Result<Batch<TagTarget>> {
        let cut: Vec<Result<WordWindows>> = rows
            .par_iter()
            .map(|sentence| self.windows(&sentence.words))
            .collect();
        let (mut encodings, mut sentences, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (cut, sentence)) in cut.into_iter().zip(rows).enumerate() {
            let tags = self.ids(sentence);
            let tags = tags.map_err(|problem| Error::Row { row, problem })?;
            let WordWindows { rows, places } = cut?;
            let first = encodings.len();
            let shifted =
                |place: Option<(usize, usize)>| place.map(|(row, token)| (first + row, token));
            let places = places.into_iter().map(shifted).collect();
            sentences.push(SentenceTags { places, tags });
            sources.resize(first + rows.len(), row);
            encodings.extend(rows);
        }
        let inputs = self.encoder.inputs(&encodings);
        let inputs = inputs.map_err(|error| error.of_rows(&sources))?;
        let (batch, length) = inputs.size();
        let mut labels = vec![IGNORED; (batch * length) as usize];
        for sentence in &sentences {
            for (place, &tag) in sentence.places.iter().zip(&sentence.tags) {
                if let Some((row, token)) = place {
                    labels[row * length as usize + token] = tag;
                }
            }
        }
        let labels = Tensor::f_from_slice(&labels)
            .and_then(|labels| labels.f_view([batch, length]))
            .doing("making a batch")?;
        Ok(Batch {
            tokens: encodings.iter().map(|encoding| encoding.len()).sum(),
            inputs,
            target: TagTarget { labels, sentences },
        })
    }

    fn lengths(&self, rows: &[TaggedWords]) -> Result<Vec<usize>> {
        rows.par_iter()
            .map(|sentence| Ok(self.windows(&sentence.words)?.tokens()))
            .collect()
    }
}
