//! What a classifier answers: plain numbers and names, no tensors.

use ndarray::Array2;

use crate::data::Labels;

/// The answers of a classifier, one row for each text, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The probability of each class, `[N, C]`.
    pub probabilities: Array2<f32>,
    labels: Labels,
}

impl Predictions {
    pub(super) fn new(probabilities: Array2<f32>, labels: Labels) -> Self {
        Self {
            probabilities,
            labels,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.probabilities.nrows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The classes, in the order of the columns.
    pub fn classes(&self) -> &Labels {
        &self.labels
    }

    /// The most probable class of a row and its probability; of equals, the first.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn best(&self, row: usize) -> (&str, f32) {
        let scores = self.probabilities.row(row);
        let mut best = 0;
        for (class, &score) in scores.iter().enumerate() {
            if score > scores[best] {
                best = class;
            }
        }
        (&self.labels.names()[best], scores[best])
    }

    /// [`best`](Self::best) of each row, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f32)> {
        (0..self.len()).map(|row| self.best(row))
    }

    /// The most probable class of each row, in order.
    pub fn labels(&self) -> Vec<&str> {
        self.iter().map(|(label, _)| label).collect()
    }
}
