//! Questions on contexts to batches: a context that is too long is read in windows, and
//! the answer is learnt in each window that shows it whole.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

use super::batch::{Batch, LOWEST, Target};
use super::collator::{Collator, TextEncoder};
use super::tokenizer::Encoding;
use super::windows::token_windows;
use crate::data::QaExample;
use crate::error::{Error, Result, RowProblem, TorchContext};

/// Questions to inputs and the places of answers. A context that is longer than a row
/// becomes several rows.
#[derive(Debug, Clone)]
pub struct QaCollator {
    /// Turns questions and contexts into inputs.
    pub encoder: TextEncoder,
    /// Tokens that two windows of a long context share.
    pub doc_stride: usize,
}

/// Where the answers of a batch are.
#[derive(Debug)]
pub struct QaTarget {
    /// The first and the last token of the answer in each row, `[B, 2]` (int64); 0, the
    /// place of `[CLS]`, where a row does not show it whole.
    pub positions: Tensor,
    /// What is added to the scores, `[B, L]` (float32): 0, and for padding the lowest
    /// number there is.
    pub bias: Tensor,
    /// The questions, which may be fewer than the rows.
    pub questions: Vec<QaRows>,
}

/// A question of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QaRows {
    /// Its first row in the batch.
    pub first_row: usize,
    /// Its rows.
    pub rows: Vec<Encoding>,
    /// The text that may hold the answer.
    pub context: Arc<str>,
    /// The answers that are right; none if there is no answer.
    pub answers: Vec<String>,
}

impl Target for QaTarget {
    fn to_device(self, device: Device) -> Result<Self> {
        Ok(Self {
            positions: self.positions.to_device(device)?,
            bias: self.bias.to_device(device)?,
            questions: self.questions,
        })
    }
}

impl QaCollator {
    /// The rows that a question becomes: `[CLS] question [SEP] part of the context [SEP]`.
    pub(crate) fn rows(&self, example: &QaExample) -> Result<Vec<Encoding>, RowProblem> {
        let refuse = |field: &str, problem| {
            let field = field.to_owned();
            Err(RowProblem::Field { field, problem })
        };
        if let Some(problem) = example.problem() {
            return refuse("question", problem);
        }
        let (question, context) = (&example.question, &example.context);
        let tokenizer = self.encoder.tokenizer();
        let whole = tokenizer.encode(
            question,
            Some(context),
            usize::MAX,
            self.encoder.truncation(),
        );
        let whole = whole.expect("nothing has to be cut");
        let longest = self.encoder.max_length();
        if whole.len() <= longest {
            return Ok(vec![whole]);
        }
        let is_context = |token: &usize| whole.token_type_ids[*token] == 1;
        let end = whole.len() - 1;
        let start = (0..end).find(is_context).unwrap_or(end);
        match token_windows(&whole, start..end, longest, self.doc_stride) {
            Some(rows) => Ok(rows),
            None => {
                let problem = format!(
                    "the {} tokens of `{}` leave too little room in rows of {longest} that share {}",
                    start - 2,
                    example.id,
                    self.doc_stride
                );
                refuse("question", problem)
            }
        }
    }
}

/// The tokens of a row that come from the context.
pub(crate) fn context_tokens(row: &Encoding) -> Range<usize> {
    let of_context = |part: &Option<usize>| *part == Some(1);
    let parts: Vec<_> = row.sequence_ids().collect();
    let start = parts.iter().position(of_context).unwrap_or(0);
    let end = parts
        .iter()
        .rposition(of_context)
        .map_or(start, |last| last + 1);
    start..end
}

/// The first and the last token of the characters `answer`, as far as a row shows them
/// whole; else `[CLS]`, twice.
fn positions(row: &Encoding, answer: Option<Range<usize>>) -> [i64; 2] {
    let tokens = context_tokens(row);
    let (Some(answer), false) = (answer, tokens.is_empty()) else {
        return [0, 0];
    };
    let offsets = &row.offsets;
    if offsets[tokens.start].0 > answer.start || offsets[tokens.end - 1].1 < answer.end {
        return [0, 0];
    }
    let first = tokens
        .clone()
        .rfind(|&token| offsets[token].0 <= answer.start);
    let last = tokens.clone().find(|&token| offsets[token].1 >= answer.end);
    match (first, last) {
        (Some(first), Some(last)) => [first as i64, last as i64],
        _ => [0, 0],
    }
}

impl Collator for QaCollator {
    type Item = QaExample;
    type Target = QaTarget;

    fn collate(&self, rows: &[QaExample]) -> Result<Batch<QaTarget>> {
        let cut: Vec<_> = rows.par_iter().map(|example| self.rows(example)).collect();
        let (mut encodings, mut places) = (Vec::new(), Vec::new());
        let (mut questions, mut sources) = (Vec::new(), Vec::new());
        for (row, (cut, example)) in cut.into_iter().zip(rows).enumerate() {
            let cut = cut.map_err(|problem| Error::Row { row, problem })?;
            // Where people gave several answers, the first one is learnt.
            let answer = example.answers.first();
            let answer = answer.and_then(|span| {
                let start = span.start?;
                Some(start..start + span.text.chars().count())
            });
            places.extend(cut.iter().flat_map(|row| positions(row, answer.clone())));
            let first_row = encodings.len();
            encodings.extend(cut.iter().cloned());
            sources.resize(encodings.len(), row);
            questions.push(QaRows {
                first_row,
                rows: cut,
                context: Arc::clone(&example.context),
                answers: example
                    .answers
                    .iter()
                    .map(|span| span.text.clone())
                    .collect(),
            });
        }
        let inputs = self.encoder.inputs(&encodings);
        let inputs = inputs.map_err(|error| error.of_rows(&sources))?;
        let tensors = || -> Result<_, TchError> {
            let positions = Tensor::f_from_slice(&places)?.f_view([-1, 2])?;
            let padding = inputs.attention_mask().f_rsub_scalar(1)?;
            let bias = padding.f_to_kind(Kind::Float)?.f_mul_scalar(LOWEST)?;
            Ok((positions, bias))
        };
        let (positions, bias) = tensors().doing("making a batch")?;
        Ok(Batch {
            tokens: encodings.iter().map(Encoding::len).sum(),
            inputs,
            target: QaTarget {
                positions,
                bias,
                questions,
            },
        })
    }

    fn lengths(&self, rows: &[QaExample]) -> Result<Vec<usize>> {
        let length = |(row, example): (usize, &QaExample)| match self.rows(example) {
            Ok(rows) => Ok(rows.iter().map(Encoding::len).sum()),
            Err(problem) => Err(Error::Row { row, problem }),
        };
        rows.par_iter().enumerate().map(length).collect()
    }
}
