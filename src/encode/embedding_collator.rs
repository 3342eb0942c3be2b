//! Texts to compare to batches: each text is a row of its own, first all texts, then what
//! they are compared with, then those that are unlike both.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use tch::{Device, Tensor};

use super::batch::{Batch, Target};
use super::collator::{Collator, TextEncoder};
use super::tokenizer::Encoding;
use crate::data::EmbeddingExample;
use crate::error::{Error, Result, RowProblem, TorchContext};

/// Texts that are compared to inputs, and what is known of them.
#[derive(Debug, Clone)]
pub struct EmbeddingCollator {
    /// Turns each text into a row.
    pub encoder: TextEncoder,
    /// The scores that each example must have; `None` where it may have any or none.
    pub scores: Option<RangeInclusive<f32>>,
    /// Whether each example must have a negative.
    pub negatives: bool,
}

/// How the rows of a batch belong together: of `N` examples, row `i` is a text, `N + i` its
/// pair, and the `M` rows from `2N` on are negatives.
#[derive(Debug)]
pub struct EmbeddingTarget {
    /// For each negative its example, `[M]` (int64).
    pub negatives: Tensor,
    /// For each example its score, `[N]` (float32); NaN where it has none.
    pub scores: Tensor,
    /// For each example the rows from `N` on that are like it as far as the batch tells,
    /// its own pair apart, `[N, N + M]` (bool): its text or its pair once more, and the pair
    /// of an example that has one of these two. Texts are the same if their tokens are.
    pub like: Tensor,
}

impl EmbeddingTarget {
    /// `N`
    pub fn examples(&self) -> i64 {
        self.scores.size()[0]
    }
}

impl Target for EmbeddingTarget {
    fn to_device(self, device: Device) -> Result<Self> {
        Ok(Self {
            negatives: self.negatives.to_device(device)?,
            scores: self.scores.to_device(device)?,
            like: self.like.to_device(device)?,
        })
    }
}

impl EmbeddingCollator {
    fn problem(&self, example: &EmbeddingExample) -> Option<RowProblem> {
        let (field, problem) = match (example.score, &self.scores) {
            (Some(score), _) if !score.is_finite() => {
                ("score", format!("{score} is not a finite number"))
            }
            (Some(score), Some(range)) if !range.contains(&score) => {
                let (lowest, highest) = range.clone().into_inner();
                let rule = format!("from {lowest} to {highest}, as a cosine is");
                ("score", format!("expected a number {rule}, found {score}"))
            }
            (None, Some(_)) => ("score", "absent, but the loss compares with it".to_owned()),
            _ if self.negatives && example.negative.is_none() => (
                "negative",
                "absent, but the loss compares with it".to_owned(),
            ),
            _ => return None,
        };
        let field = field.to_owned();
        Some(RowProblem::Field { field, problem })
    }
}

/// The texts of some examples, column by column, with the example of each.
fn columns(examples: &[EmbeddingExample]) -> (Vec<&str>, Vec<usize>) {
    let numbered = || examples.iter().enumerate();
    let texts = numbered().map(|(row, example)| (example.text.as_str(), row));
    let pairs = numbered().map(|(row, example)| (example.pair.as_str(), row));
    let negatives = numbered()
        .filter_map(|(row, example)| example.negative.as_deref().map(|negative| (negative, row)));
    texts.chain(pairs).chain(negatives).unzip()
}

/// [`EmbeddingTarget::like`], row by row.
fn like(rows: &[Encoding], examples: usize) -> Vec<bool> {
    let mut known: HashMap<&[i64], usize> = HashMap::new();
    let number = |row| {
        let next = known.len();
        *known.entry(row).or_insert(next)
    };
    let ids = rows.iter().map(|row| &row.input_ids[..]);
    let numbers: Vec<usize> = ids.map(number).collect();
    let mut cells = Vec::with_capacity(examples * (rows.len() - examples));
    for example in 0..examples {
        let own = [numbers[example], numbers[examples + example]];
        for candidate in examples..rows.len() {
            let of_pair = candidate - examples;
            let is_own = of_pair == example;
            let is_like = own.contains(&numbers[candidate])
                || of_pair < examples && own.contains(&numbers[of_pair]);
            cells.push(is_like && !is_own);
        }
    }
    cells
}

impl Collator for EmbeddingCollator {
    type Item = EmbeddingExample;
    type Target = EmbeddingTarget;

    fn collate(&self, examples: &[EmbeddingExample]) -> Result<Batch<EmbeddingTarget>> {
        let problems = examples.iter().map(|example| self.problem(example));
        if let Some((row, problem)) = (0..).zip(problems).find_map(|(row, p)| Some((row, p?))) {
            return Err(Error::Row { row, problem });
        }
        let (texts, sources) = columns(examples);
        let in_data = |error: Error| error.of_rows(&sources);
        let rows = self.encoder.encode(&texts).map_err(in_data)?;
        let like = like(&rows, examples.len());
        let negatives = sources[2 * examples.len()..].iter();
        let negatives: Vec<i64> = negatives.map(|&example| example as i64).collect();
        let scores = examples
            .iter()
            .map(|example| example.score.unwrap_or(f32::NAN));
        let scores: Vec<f32> = scores.collect();
        let target = || {
            Ok(EmbeddingTarget {
                negatives: Tensor::f_from_slice(&negatives)?,
                scores: Tensor::f_from_slice(&scores)?,
                like: Tensor::f_from_slice(&like)?.f_view([examples.len() as i64, -1])?,
            })
        };
        Ok(Batch {
            tokens: rows.iter().map(Encoding::len).sum(),
            inputs: self.encoder.inputs(&rows).map_err(in_data)?,
            target: target().doing("making a batch")?,
        })
    }

    /// Of an example, all its rows, each as long as the longest.
    fn lengths(&self, examples: &[EmbeddingExample]) -> Result<Vec<usize>> {
        let (texts, sources) = columns(examples);
        let of_texts = self.encoder.lengths(&texts);
        let of_texts = of_texts.map_err(|error| error.of_rows(&sources))?;
        let mut rows = vec![(0, 0); examples.len()];
        for (length, &example) in of_texts.into_iter().zip(&sources) {
            let (count, longest) = &mut rows[example];
            *count += 1;
            *longest = length.max(*longest);
        }
        Ok(rows
            .into_iter()
            .map(|(count, longest)| count * longest)
            .collect())
    }
}
