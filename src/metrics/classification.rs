//! Metrics of classification with one class a row, out of the counts of a
//! confusion matrix: predictions may come in batches and are never kept. The
//! numbers are those of scikit-learn, with `zero_division=0`.

use std::collections::BTreeMap;

/// How often each class was predicted for each class: counts of
/// `[target, predicted]`.
///
/// Of an empty matrix every metric is 0. Means over classes leave out a class that
/// occurs neither among the targets nor among the predictions, as scikit-learn
/// does where it is not given `labels`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// Row-major: target, then predicted.
    counts: Vec<u64>,
    rows: u64,
}

impl ConfusionMatrix {
    /// No rows yet, of `classes` classes.
    ///
    /// # Panics
    /// When `classes` is 0.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "a confusion matrix needs at least one class");
        Self {
            classes,
            counts: vec![0; classes * classes],
            rows: 0,
        }
    }

    /// Counts one row.
    ///
    /// # Panics
    /// When an id is not below the number of classes.
    pub fn update(&mut self, predicted: usize, target: usize) {
        self.add(predicted, target, 1);
    }

    /// Counts `rows` rows with the same outcome.
    ///
    /// # Panics
    /// When an id is not below the number of classes, or the matrix would count
    /// 2^63 rows.
    pub fn add(&mut self, predicted: usize, target: usize, rows: u64) {
        let classes = self.classes;
        assert!(
            predicted < classes,
            "predicted class {predicted} of {classes}"
        );
        assert!(target < classes, "target class {target} of {classes}");
        let total = self.rows.checked_add(rows).filter(|&total| total < 1 << 63);
        self.rows = total.expect("fewer than 2^63 rows");
        self.counts[target * classes + predicted] += rows;
    }

    /// Adds the counts of another matrix, of other rows.
    ///
    /// # Panics
    /// When it has another number of classes, or both together count 2^63 rows.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "matrices of different classes");
        for target in 0..self.classes {
            for predicted in 0..self.classes {
                self.add(predicted, target, other.count(predicted, target));
            }
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of rows counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How often `predicted` was predicted where `target` was right.
    ///
    /// # Panics
    /// When an id is not below the number of classes.
    pub fn count(&self, predicted: usize, target: usize) -> u64 {
        assert!(
            predicted < self.classes,
            "predicted class {predicted} of {}",
            self.classes
        );
        self.counts[target * self.classes + predicted]
    }

    /// How many rows have `class` as their target.
    ///
    /// # Panics
    /// When `class` is not below the number of classes.
    pub fn support(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|predicted| self.count(predicted, class))
            .sum()
    }

    /// How many rows were predicted to be of `class`.
    ///
    /// # Panics
    /// When `class` is not below the number of classes.
    pub fn predictions(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|target| self.count(class, target))
            .sum()
    }

    /// The share of rows predicted right.
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct(), self.rows)
    }

    /// Of the rows predicted to be of `class`, the share that are; 0 if none was.
    ///
    /// # Panics
    /// When `class` is not below the number of classes.
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.predictions(class))
    }

    /// Of the rows of `class`, the share predicted so; 0 if there are none.
    ///
    /// # Panics
    /// When `class` is not below the number of classes.
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.support(class))
    }

    /// The harmonic mean of precision and recall of `class`; 0 if it never occurs.
    ///
    /// # Panics
    /// When `class` is not below the number of classes.
    pub fn f1(&self, class: usize) -> f64 {
        let right = self.count(class, class) as f64;
        let both = self.support(class) as f64 + self.predictions(class) as f64;
        if both == 0.0 { 0.0 } else { 2.0 * right / both }
    }

    /// The plain mean of the classes' precision.
    pub fn precision_macro(&self) -> f64 {
        self.mean(|class| self.precision(class))
    }

    /// The plain mean of the classes' recall.
    pub fn recall_macro(&self) -> f64 {
        self.mean(|class| self.recall(class))
    }

    /// The plain mean of the classes' F1.
    pub fn f1_macro(&self) -> f64 {
        self.mean(|class| self.f1(class))
    }

    /// F1 of all rows together; with one class a row that is the accuracy, and so
    /// are precision and recall.
    pub fn f1_micro(&self) -> f64 {
        self.accuracy()
    }

    /// The mean of the classes' F1, each weighted by its rows.
    pub fn f1_weighted(&self) -> f64 {
        let weighted = |class| self.f1(class) * self.support(class) as f64;
        let sum: f64 = (0..self.classes).map(weighted).sum();
        if self.rows == 0 {
            0.0
        } else {
            sum / self.rows as f64
        }
    }

    /// Matthews' correlation coefficient from -1 to 1, for any number of classes
    /// (Gorodkin 2004, the statistic R_K); 0 where the targets or the predictions
    /// are all of one class.
    pub fn matthews_correlation(&self) -> f64 {
        // Fewer than 2^63 rows: no sum of products reaches 2^126.
        let rows = i128::from(self.rows);
        let targets = || (0..self.classes).map(|class| i128::from(self.support(class)));
        let predictions = || (0..self.classes).map(|class| i128::from(self.predictions(class)));
        let chance: i128 = targets().zip(predictions()).map(|(t, p)| t * p).sum();
        let covariance = i128::from(self.correct()) * rows - chance;
        let target_variance = rows * rows - targets().map(|t| t * t).sum::<i128>();
        let predicted_variance = rows * rows - predictions().map(|p| p * p).sum::<i128>();
        let product = target_variance as f64 * predicted_variance as f64;
        if product == 0.0 {
            0.0
        } else {
            covariance as f64 / product.sqrt()
        }
    }

    /// All numbers by their names in Hugging Face's results: `accuracy`,
    /// `f1_macro`, `f1_micro`, `matthews_correlation`; with two classes also `f1`,
    /// `precision` and `recall` of the positive class, which is id 1.
    pub fn to_metrics(&self) -> BTreeMap<String, f64> {
        let mut metrics = vec![
            ("accuracy", self.accuracy()),
            ("f1_macro", self.f1_macro()),
            ("f1_micro", self.f1_micro()),
            ("matthews_correlation", self.matthews_correlation()),
        ];
        if self.classes == 2 {
            metrics.extend([
                ("f1", self.f1(1)),
                ("precision", self.precision(1)),
                ("recall", self.recall(1)),
            ]);
        }
        metrics
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn correct(&self) -> u64 {
        (0..self.classes)
            .map(|class| self.count(class, class))
            .sum()
    }

    /// The mean over the classes that occur as a target or as a prediction.
    fn mean(&self, metric: impl Fn(usize) -> f64) -> f64 {
        let occurs = |&class: &usize| self.support(class) > 0 || self.predictions(class) > 0;
        let values: Vec<f64> = (0..self.classes).filter(occurs).map(metric).collect();
        if values.is_empty() {
            0.0
        } else {
            values.iter().sum::<f64>() / values.len() as f64
        }
    }
}

/// 0 of 0 is 0.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
