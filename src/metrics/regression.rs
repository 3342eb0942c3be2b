//! Metrics of numbers against numbers, as SciPy and scikit-learn give them.

use std::collections::BTreeMap;

/// Numbers predicted and numbers that are right, row by row, for one or several outputs.
/// Correlations over ranks need all of them at once, so they are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionMetrics {
    /// For each output: predicted, right.
    outputs: Vec<(Vec<f64>, Vec<f64>)>,
}

impl RegressionMetrics {
    /// No rows yet.
    ///
    /// # Panics
    /// When there are no outputs.
    pub fn new(outputs: usize) -> Self {
        assert!(outputs > 0, "a regression has at least one output");
        Self {
            outputs: vec![Default::default(); outputs],
        }
    }

    /// Takes in a row.
    ///
    /// # Panics
    /// When there are more or fewer numbers than outputs.
    pub fn update(&mut self, predicted: &[f32], target: &[f32]) {
        assert_eq!(predicted.len(), self.outputs.len(), "predicted numbers");
        assert_eq!(target.len(), self.outputs.len(), "right numbers");
        for ((output, &predicted), &target) in self.outputs.iter_mut().zip(predicted).zip(target) {
            output.0.push(f64::from(predicted));
            output.1.push(f64::from(target));
        }
    }

    /// The mean of the squared errors, over all outputs; 0 of no rows.
    pub fn mse(&self) -> f64 {
        self.mean(|predicted, target| {
            let squares = predicted.iter().zip(target).map(|(p, t)| (p - t).powi(2));
            squares.sum::<f64>() / predicted.len().max(1) as f64
        })
    }

    /// Pearson's correlation, the mean over the outputs.
    pub fn pearson(&self) -> f64 {
        self.mean(pearson)
    }

    /// Spearman's correlation of ranks, the mean over the outputs.
    pub fn spearman(&self) -> f64 {
        self.mean(spearman)
    }

    /// All numbers by their names in Hugging Face's results: `mse`, `pearson`,
    /// `spearmanr`.
    pub fn to_metrics(&self) -> BTreeMap<String, f64> {
        let named = [
            ("mse", self.mse()),
            ("pearson", self.pearson()),
            ("spearmanr", self.spearman()),
        ];
        named.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn mean(&self, of: impl Fn(&[f64], &[f64]) -> f64) -> f64 {
        let values = self
            .outputs
            .iter()
            .map(|(predicted, target)| of(predicted, target));
        values.sum::<f64>() / self.outputs.len() as f64
    }
}

/// Pearson's correlation of two lists, from -1 to 1; 0 where one of them does not vary,
/// of which SciPy says that it is not defined.
///
/// # Panics
/// When the lists are not equally long.
pub fn pearson(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lists of equal length");
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut covariance, mut variance_a, mut variance_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        covariance += a * b;
        variance_a += a * a;
        variance_b += b * b;
    }
    let size = (variance_a * variance_b).sqrt();
    match size > 0.0 {
        true => (covariance / size).clamp(-1.0, 1.0),
        false => 0.0,
    }
}

/// Spearman's correlation: Pearson's of the ranks, where equal numbers share the mean of
/// theirs.
///
/// # Panics
/// When the lists are not equally long.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

/// The rank of each number, from 1; equal numbers have the mean of their ranks.
pub(super) fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| numbers[a] == numbers[b]) {
        let mean = first as f64 + (equal.len() + 1) as f64 / 2.0;
        for &place in equal {
            ranks[place] = mean;
        }
        first += equal.len();
    }
    ranks
}
