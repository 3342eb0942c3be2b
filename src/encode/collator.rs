//! Examples to batches. `Collator` is the contract; `TextEncoder` is the half
//! that all text tasks share (tokenize, truncate, pad, check), in training and in
//! prediction; `ClassCollator` adds class ids.

use std::fmt::Debug;
use std::sync::{Arc, Once};

use rayon::prelude::*;
use tch::Tensor;

use super::batch::{Batch, Inputs, Limits, Padding, Target, pad};
use super::long_text::{LongText, spread};
use super::tokenizer::{Encoding, Tokenizer, Truncation, TruncationSide};
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

    /// Whether the inputs of a row depend on its seed; default no.
    fn draws(&self) -> bool {
        false
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
    long_text: LongText,
    /// The most windows of a text, and whether it has been said that some are left out.
    most_windows: Option<(usize, Arc<Once>)>,
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
        let long_text = match tokenizer.config().truncation_side {
            TruncationSide::Right => LongText::Head,
            TruncationSide::Left => LongText::Tail,
        };
        let mut limits = limits;
        if !tokenizer.has_segments() {
            // Those of a pair, which no batch will have.
            limits.type_vocab_size = limits.type_vocab_size.max(2);
        }
        Ok(Self {
            tokenizer,
            limits,
            max_length,
            truncation,
            long_text,
            most_windows: None,
            padding: Padding::Longest,
        })
    }

    /// What is read of a text that is too long; default what the tokenizer's
    /// `truncation_side` says, which is the beginning unless it is set.
    ///
    /// # Errors
    /// When a number is out of its range, or does not fit the maximal length.
    pub fn with_long_text(mut self, long_text: LongText) -> Result<Self> {
        self.long_text = long_text.checked(self.max_length)?;
        Ok(self)
    }

    /// The same, but for training: of a text with more than
    /// [`max_windows`](super::TextWindows::max_windows) windows so many are read.
    pub fn for_training(mut self) -> Self {
        self.most_windows = match self.long_text {
            LongText::Windows(windows) => windows
                .max_windows
                .map(|most| (most, Arc::new(Once::new()))),
            _ => None,
        };
        self
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

    /// What is read of a text that is too long, all numbers said.
    pub fn long_text(&self) -> LongText {
        self.long_text
    }

    /// Tokenizes texts or pairs, in parallel, in order.
    ///
    /// # Errors
    /// [`Error::Row`] when a row cannot be cut to `max_length` as the truncation
    /// asks for, or is read in several windows, which [`rows`](Self::rows) gives.
    pub fn encode<T: Text + Sync>(&self, texts: &[T]) -> Result<Vec<Encoding>> {
        let one = |(row, mut rows): (usize, Vec<Encoding>)| match (rows.pop(), rows.len()) {
            (Some(encoding), 0) => Ok(encoding),
            (_, others) => {
                let field = "text".to_owned();
                let problem = format!("{} windows where one row is wanted", others + 1);
                let problem = RowProblem::Field { field, problem };
                Err(Error::Row { row, problem })
            }
        };
        self.rows(texts)?.into_iter().enumerate().map(one).collect()
    }

    /// Tokenizes texts or pairs, in parallel, in order, each to its rows: one, or its windows.
    ///
    /// # Errors
    /// [`Error::Row`] when a row cannot be cut to `max_length` as the truncation
    /// asks for.
    pub fn rows<T: Text + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<Encoding>>> {
        let (longest, truncation) = (self.max_length, self.truncation);
        let side = self.tokenizer.config().truncation_side;
        if let (LongText::Head, TruncationSide::Right) | (LongText::Tail, TruncationSide::Left) =
            (self.long_text, side)
        {
            let encodings = self.tokenizer.encode_batch(texts, longest, truncation)?;
            return Ok(encodings
                .into_iter()
                .map(|encoding| vec![encoding])
                .collect());
        }
        let rows_of = |text: &T| {
            let uncut = Truncation::default();
            let whole = self
                .tokenizer
                .encode(text.text(), text.pair(), usize::MAX, uncut)?;
            Ok(self.long_text.rows(whole, longest, truncation))
        };
        let cut: Vec<Result<_>> = texts.par_iter().map(rows_of).collect();
        let numbered = cut.into_iter().enumerate();
        let rows = numbered.map(|(row, cut)| match cut? {
            Ok(rows) => Ok(self.read_in_training(rows)),
            Err(problem) => Err(Error::Row { row, problem }),
        });
        rows.collect()
    }

    fn read_in_training(&self, rows: Vec<Encoding>) -> Vec<Encoding> {
        match &self.most_windows {
            Some((most, said)) if rows.len() > *most => {
                said.call_once(|| {
                    log::warn!(
                        "texts of more than {most} windows: training reads {most} of each, \
                         evenly spread; evaluations and predictions read all"
                    );
                });
                spread(rows, *most)
            }
            _ => rows,
        }
    }

    /// The number of tokens of each text or pair, cut as in a batch; of all its windows.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn lengths<T: Text + Sync>(&self, texts: &[T]) -> Result<Vec<usize>> {
        let tokens = |rows: &Vec<Encoding>| rows.iter().map(Encoding::len).sum();
        Ok(self.rows(texts)?.iter().map(tokens).collect())
    }

    /// Pads encodings into the tensors of one batch, `[B, L]`. Where the tokenizer has
    /// [no segments](Tokenizer::has_segments), all segment ids are 0.
    ///
    /// # Errors
    /// As [`pad`].
    pub fn inputs(&self, encodings: &[Encoding]) -> Result<Inputs> {
        let pad_id = self.tokenizer.pad_id();
        let inputs = pad(encodings, pad_id, self.padding, &self.limits)?;
        match self.tokenizer.has_segments() {
            true => Ok(inputs),
            false => inputs.without_segments(),
        }
    }

    /// The same for texts that may have several rows each; see [`Inputs::windows`].
    ///
    /// # Errors
    /// As [`pad`], with the number of the text.
    pub fn inputs_of_texts(&self, texts: Vec<Vec<Encoding>>) -> Result<Inputs> {
        let counts: Vec<usize> = texts.iter().map(Vec::len).collect();
        let numbered = counts.iter().enumerate();
        let sources: Vec<usize> = numbered
            .flat_map(|(text, &count)| std::iter::repeat_n(text, count))
            .collect();
        let encodings: Vec<Encoding> = texts.into_iter().flatten().collect();
        let inputs = self.inputs(&encodings);
        inputs
            .map_err(|error| error.of_rows(&sources))?
            .in_windows(&counts)
    }

    /// Both steps, with a target made by the caller, one for each text.
    ///
    /// # Errors
    /// As [`rows`](Self::rows) and [`pad`].
    pub fn batch<T: Text + Sync, Y>(&self, texts: &[T], target: Y) -> Result<Batch<Y>> {
        let rows = self.rows(texts)?;
        let tokens = rows.iter().flatten().map(Encoding::len).sum();
        Ok(Batch {
            inputs: self.inputs_of_texts(rows)?,
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
