//! Examples to batches. `Collator` is the contract; `TextEncoder` is the half
//! that all text tasks share (tokenize, truncate, pad, check), in training and in
//! prediction; `ClassCollator` adds class ids.

use std::fmt::Debug;

use tch::Tensor;

use super::batch::{Batch, Inputs, Limits, Padding, Target, pad};
use super::tokenizer::{Encoding, Tokenizer, Truncation};
use crate::data::{Example, Labels, Text};
use crate::error::{Error, Result, RowProblem, TorchContext};

/// Turns examples into one batch of CPU tensors.
pub trait Collator: Sync {
    /// One example of the data set. A run is resumed only on rows that print the
    /// same by `Debug` as before.
    type Item: Send + Debug;
    /// What the logits of a batch are compared with.
    type Target: Target;

    /// Makes a batch of `rows`, all of them, in order.
    ///
    /// # Errors
    /// [`Error::Row`] with the place in `rows` of the first row that the model
    /// cannot take. After a batch is made, no operation on it may fail because of
    /// the data.
    fn collate(&self, rows: &[Self::Item]) -> Result<Batch<Self::Target>>;

    /// The same for a collator that draws random numbers, with a seed for each row. In
    /// training a row has another seed in each epoch, whatever batch it is in; in
    /// evaluation it has always the same. By default nothing is drawn.
    ///
    /// # Errors
    /// As [`collate`](Self::collate).
    fn collate_seeded(&self, rows: &[Self::Item], _seeds: &[u64]) -> Result<Batch<Self::Target>> {
        self.collate(rows)
    }

    /// The length of each row in tokens, special tokens included, as it will be in a
    /// batch. By default each row is collated alone; do better where it matters.
    ///
    /// # Errors
    /// As [`collate`](Self::collate).
    fn lengths(&self, rows: &[Self::Item]) -> Result<Vec<usize>> {
        let length = |(row, item)| {
            let batch = self.collate(std::slice::from_ref(item));
            Ok(batch.map_err(|error| error.of_rows(&[row]))?.tokens)
        };
        rows.iter().enumerate().map(length).collect()
    }

    /// What a row is to teach, as it prints: a run warns where that is the same for all
    /// rows. By default unknown.
    fn label(&self, _row: &Self::Item) -> Option<String> {
        None
    }
}

/// Tokenizes, truncates, pads and checks texts for one model.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    limits: Limits,
    max_length: usize,
    truncation: Truncation,
    padding: Padding,
}

impl TextEncoder {
    /// Rows are cut to `max_length` tokens, special tokens included.
    ///
    /// # Errors
    /// When `max_length` is longer than the model's positions, or too short for a
    /// pair of texts with its three special tokens.
    pub fn new(
        tokenizer: Tokenizer,
        limits: Limits,
        max_length: usize,
        truncation: Truncation,
    ) -> Result<Self> {
        if !(3..=limits.max_length).contains(&max_length) {
            let rule = format!("from 3 to {}, the model's positions", limits.max_length);
            return Err(Error::config("max_length", rule, max_length));
        }
        Ok(Self {
            tokenizer,
            limits,
            max_length,
            truncation,
            padding: Padding::Longest,
        })
    }

    /// Pads otherwise than to the longest row of each batch.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The most tokens that a row keeps.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Which text of a pair is cut.
    pub fn truncation(&self) -> Truncation {
        self.truncation
    }

    /// Tokenizes texts or pairs, in parallel, in order.
    ///
    /// # Errors
    /// [`Error::Row`] when a row cannot be cut to `max_length` as the truncation
    /// asks for.
    pub fn encode<T: Text + Sync>(&self, texts: &[T]) -> Result<Vec<Encoding>> {
        self.tokenizer
            .encode_batch(texts, self.max_length, self.truncation)
    }

    /// The number of tokens of each text or pair, cut as in a batch.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn lengths<T: Text + Sync>(&self, texts: &[T]) -> Result<Vec<usize>> {
        Ok(self.encode(texts)?.iter().map(Encoding::len).collect())
    }

    /// Pads encodings into the tensors of one batch, `[B, L]`.
    ///
    /// # Errors
    /// As [`pad`].
    pub fn inputs(&self, encodings: &[Encoding]) -> Result<Inputs> {
        pad(
            encodings,
            self.tokenizer.pad_id(),
            self.padding,
            &self.limits,
        )
    }

    /// Both steps, with a target made by the caller.
    ///
    /// # Errors
    /// As [`encode`](Self::encode) and [`pad`].
    pub fn batch<T: Text + Sync, Y>(&self, texts: &[T], target: Y) -> Result<Batch<Y>> {
        let encodings = self.encode(texts)?;
        let tokens = encodings.iter().map(Encoding::len).sum();
        Ok(Batch {
            inputs: self.inputs(&encodings)?,
            target,
            tokens,
        })
    }
}

/// Labelled texts or pairs to inputs and class ids `[B]` (int64).
#[derive(Debug, Clone)]
pub struct ClassCollator {
    /// Turns the texts into inputs.
    pub encoder: TextEncoder,
    /// The classes.
    pub labels: Labels,
}

impl Collator for ClassCollator {
    type Item = Example;
    type Target = Tensor;

    fn collate(&self, rows: &[Example]) -> Result<Batch<Tensor>> {
        let mut ids = Vec::with_capacity(rows.len());
        for (row, example) in rows.iter().enumerate() {
            ids.push(self.labels.get(&example.label).ok_or_else(|| {
                let known = self.labels.names().to_vec();
                let problem = RowProblem::UnknownLabel {
                    label: example.label.clone(),
                    known,
                };
                Error::Row { row, problem }
            })?);
        }
        let target = Tensor::f_from_slice(&ids).doing("making a batch")?;
        self.encoder.batch(rows, target)
    }

    fn lengths(&self, rows: &[Example]) -> Result<Vec<usize>> {
        self.encoder.lengths(rows)
    }

    fn label(&self, row: &Example) -> Option<String> {
        Some(row.label.clone())
    }
}
