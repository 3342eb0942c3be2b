//! Questions with endings to batches: each ending is a row of its own.

use tch::{Device, Tensor};

use super::batch::{Batch, Target};
use super::collator::{Collator, TextEncoder};
use super::tokenizer::Encoding;
use crate::data::ChoiceExample;
use crate::error::{Error, Result, RowProblem, TorchContext};

/// Questions with endings to inputs, a row for each ending, and the right ones.
#[derive(Debug, Clone)]
pub struct ChoiceCollator {
    /// Turns pairs of a question and an ending into inputs.
    pub encoder: TextEncoder,
}

/// The endings of a batch and the right ones.
#[derive(Debug)]
pub struct ChoiceTarget {
    /// For each question the rows of its endings, `[N, C]` (int64), with the number of all
    /// rows where a question has fewer than `C`.
    pub rows: Tensor,
    /// For each question the place of the right ending, `[N]` (int64); -100 where it is
    /// not known.
    pub labels: Tensor,
}

impl Target for ChoiceTarget {
    fn to_device(self, device: Device) -> Result<Self> {
        Ok(Self {
            rows: self.rows.to_device(device)?,
            labels: self.labels.to_device(device)?,
        })
    }
}

impl ChoiceCollator {
    /// The rows of a question: it with each of its endings.
    pub(crate) fn rows(&self, example: &ChoiceExample) -> Result<Vec<Encoding>, RowProblem> {
        if let Some(problem) = example.problem() {
            let field = "endings".to_owned();
            return Err(RowProblem::Field { field, problem });
        }
        let question = example.question.as_str();
        let pairs: Vec<_> = example
            .endings
            .iter()
            .map(|ending| (question, ending.as_str()))
            .collect();
        match self.encoder.encode(&pairs) {
            Ok(rows) => Ok(rows),
            Err(Error::Row { problem, .. }) => Err(problem),
            Err(other) => Err(RowProblem::Syntax(other.chain())),
        }
    }
}

impl Collator for ChoiceCollator {
    type Item = ChoiceExample;
    type Target = ChoiceTarget;

    fn collate(&self, rows: &[ChoiceExample]) -> Result<Batch<ChoiceTarget>> {
        let (mut encodings, mut sources) = (Vec::new(), Vec::new());
        for (row, example) in rows.iter().enumerate() {
            let cut = self.rows(example);
            encodings.extend(cut.map_err(|problem| Error::Row { row, problem })?);
            sources.resize(encodings.len(), row);
        }
        let inputs = self.encoder.inputs(&encodings);
        let inputs = inputs.map_err(|error| error.of_rows(&sources))?;
        let most = rows.iter().map(|row| row.endings.len()).max().unwrap_or(0);
        let mut places = vec![encodings.len() as i64; rows.len() * most];
        let mut next = 0;
        for (row, example) in rows.iter().enumerate() {
            for place in &mut places[row * most..][..example.endings.len()] {
                *place = next;
                next += 1;
            }
        }
        let label = |row: &ChoiceExample| row.label.map_or(-100, |label| label as i64);
        let labels: Vec<i64> = rows.iter().map(label).collect();
        let rows = Tensor::f_from_slice(&places).and_then(|x| x.f_view([-1, most as i64]));
        Ok(Batch {
            tokens: encodings.iter().map(Encoding::len).sum(),
            inputs,
            target: ChoiceTarget {
                rows: rows.doing("making a batch")?,
                labels: Tensor::f_from_slice(&labels).doing("making a batch")?,
            },
        })
    }

    fn lengths(&self, rows: &[ChoiceExample]) -> Result<Vec<usize>> {
        let length = |(row, example): (usize, &ChoiceExample)| match self.rows(example) {
            Ok(rows) => Ok(rows.iter().map(Encoding::len).sum()),
            Err(problem) => Err(Error::Row { row, problem }),
        };
        rows.iter().enumerate().map(length).collect()
    }
}
