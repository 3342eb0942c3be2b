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

    /// The `k` most probable classes of a row with their probabilities, the best first; all
    /// where there are fewer. Of equals, the first.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn top_k(&self, row: usize, k: usize) -> Vec<(&str, f32)> {
        let names = self.labels.names().iter().map(String::as_str);
        let scores = self.probabilities.row(row);
        let mut classes: Vec<_> = names.zip(scores.iter().copied()).collect();
        classes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        classes.truncate(k);
        classes
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
