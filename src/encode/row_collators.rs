//! Texts or pairs with several classes, or with numbers, to batches.

use tch::Tensor;

use super::batch::Batch;
use super::collator::{Collator, TextEncoder};
use crate::data::{Example, Labels};
use crate::error::{Error, Result, RowProblem, TorchContext};

/// Texts or pairs with any number of classes to inputs and zeros and ones, `[B, C]`
/// (float32).
#[derive(Debug, Clone)]
pub struct MultiLabelCollator {
    /// Turns the texts into inputs.
    pub encoder: TextEncoder,
    /// The classes.
    pub labels: Labels,
}

impl Collator for MultiLabelCollator {
    type Item = Example<Vec<String>>;
    type Target = Tensor;

    fn collate(&self, rows: &[Self::Item]) -> Result<Batch<Tensor>> {
        let classes = self.labels.len();
        let mut cells = vec![0.0_f32; rows.len() * classes];
        for (row, example) in rows.iter().enumerate() {
            for label in &example.label {
                let id = self.labels.get(label).ok_or_else(|| {
                    let label = label.clone();
                    let known = self.labels.names().to_vec();
                    let problem = RowProblem::UnknownLabel { label, known };
                    Error::Row { row, problem }
                })?;
                cells[row * classes + id as usize] = 1.0;
            }
        }
        self.encoder.batch(rows, matrix(&cells, classes)?)
    }

    fn lengths(&self, rows: &[Self::Item]) -> Result<Vec<usize>> {
        self.encoder.lengths(rows)
    }

    fn label(&self, row: &Self::Item) -> Option<String> {
        Some(row.label.join(", "))
    }
}

/// Texts or pairs with numbers to inputs and these numbers, `[B, C]` (float32).
#[derive(Debug, Clone)]
pub struct NumberCollator {
    /// Turns the texts into inputs.
    pub encoder: TextEncoder,
    /// How many numbers each row has.
    pub outputs: usize,
}

impl Collator for NumberCollator {
    type Item = Example<Vec<f32>>;
    type Target = Tensor;

    fn collate(&self, rows: &[Self::Item]) -> Result<Batch<Tensor>> {
        let mut cells = Vec::with_capacity(rows.len() * self.outputs);
        for (row, example) in rows.iter().enumerate() {
            let numbers = &example.label;
            let problem = match numbers.iter().find(|number| !number.is_finite()) {
                Some(number) => format!("{number} is not a finite number"),
                None if numbers.len() != self.outputs => {
                    format!("{} numbers, the model has {}", numbers.len(), self.outputs)
                }
                None => {
                    cells.extend(numbers);
                    continue;
                }
            };
            let field = "label".to_owned();
            let problem = RowProblem::Field { field, problem };
            return Err(Error::Row { row, problem });
        }
        self.encoder.batch(rows, matrix(&cells, self.outputs)?)
    }

    fn lengths(&self, rows: &[Self::Item]) -> Result<Vec<usize>> {
        self.encoder.lengths(rows)
    }

    fn label(&self, row: &Self::Item) -> Option<String> {
        Some(format!("{:?}", row.label))
    }
}

fn matrix(cells: &[f32], columns: usize) -> Result<Tensor> {
    Tensor::f_from_slice(cells)
        .and_then(|cells| cells.f_view([-1, columns as i64]))
        .doing("making a batch")
}
