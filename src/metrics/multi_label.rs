//! Metrics of any number of classes a row. The numbers are those of scikit-learn, with
//! `zero_division=0`.

use std::collections::BTreeMap;

use super::regression::ranks;

/// How often each class was predicted where it was right, and where it was not.
///
/// Of no rows every number is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiLabelMetrics {
    /// Of each class: predicted and right, predicted, right.
    counts: Vec<[u64; 3]>,
    rows: u64,
    whole_rows: u64,
}

impl MultiLabelMetrics {
    /// No rows yet.
    ///
    /// # Panics
    /// When `classes` is 0.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "there is at least one class");
        Self {
            counts: vec![[0; 3]; classes],
            rows: 0,
            whole_rows: 0,
        }
    }

    /// Takes in a row: for each class, whether it was predicted and whether it is right.
    ///
    /// # Panics
    /// When there are more or fewer of them than classes.
    pub fn update(&mut self, predicted: &[bool], target: &[bool]) {
        assert_eq!(predicted.len(), self.counts.len(), "predicted classes");
        assert_eq!(target.len(), self.counts.len(), "right classes");
        for ((counts, &predicted), &target) in self.counts.iter_mut().zip(predicted).zip(target) {
            counts[0] += u64::from(predicted && target);
            counts[1] += u64::from(predicted);
            counts[2] += u64::from(target);
        }
        self.rows += 1;
        self.whole_rows += u64::from(predicted == target);
    }

    /// The share of rows of which every class was predicted right.
    pub fn accuracy(&self) -> f64 {
        match self.rows {
            0 => 0.0,
            rows => self.whole_rows as f64 / rows as f64,
        }
    }

    /// Precision, recall and F1 of a class.
    ///
    /// # Panics
    /// When there is no such class.
    pub fn of(&self, class: usize) -> [f64; 3] {
        scores(self.counts[class])
    }

    /// Precision, recall and F1 of all classes counted together.
    pub fn micro(&self) -> [f64; 3] {
        let sum = |part: usize| self.counts.iter().map(|counts| counts[part]).sum();
        scores([sum(0), sum(1), sum(2)])
    }

    /// The plain means of the classes' precision, recall and F1.
    pub fn macro_mean(&self) -> [f64; 3] {
        let all = self.counts.iter().map(|&counts| scores(counts));
        let sums = all.fold([0.0; 3], |sums, scores| {
            [0, 1, 2].map(|part| sums[part] + scores[part])
        });
        sums.map(|sum| sum / self.counts.len() as f64)
    }

    /// All numbers by their names in Hugging Face's results: `f1_micro`, `f1_macro`,
    /// `precision_micro`, `recall_micro`, `accuracy` (of whole rows).
    pub fn to_metrics(&self) -> BTreeMap<String, f64> {
        let [precision, recall, f1] = self.micro();
        let named = [
            ("accuracy", self.accuracy()),
            ("f1_macro", self.macro_mean()[2]),
            ("f1_micro", f1),
            ("precision_micro", precision),
            ("recall_micro", recall),
        ];
        named.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

fn scores([both, predicted, target]: [u64; 3]) -> [f64; 3] {
    let share = |part: u64, whole: u64| match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    };
    [
        share(both, predicted),
        share(both, target),
        share(2 * both, predicted + target),
    ]
}

/// The area under the ROC curve of scores for one class, where `targets` says which rows
/// are of it: the chance that a row of the class has a higher score than another row,
/// equal scores counting half. `None` where all rows are of the class, or none.
///
/// # Panics
/// When there are more or fewer scores than targets.
pub fn roc_auc(scores: &[f64], targets: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), targets.len(), "a score for each target");
    let positive = targets.iter().filter(|&&target| target).count() as f64;
    let negative = targets.len() as f64 - positive;
    if positive == 0.0 || negative == 0.0 {
        return None;
    }
    // Mann and Whitney's statistic, out of the ranks of the class's rows.
    let ranks = ranks(scores);
    let pairs = ranks.iter().zip(targets).filter(|(_, target)| **target);
    let sum: f64 = pairs.map(|(rank, _)| rank).sum();
    Some((sum - positive * (positive + 1.0) / 2.0) / (positive * negative))
}

/// The threshold of a class above which a score means that a row is of it: the one with
/// the highest F1 on these rows, halfway between two scores; of equals, the nearest to a
/// half. Where no row is of the class, a half.
///
/// # Panics
/// When there are more or fewer scores than targets.
pub fn best_threshold(scores: &[f32], targets: &[bool]) -> f32 {
    assert_eq!(scores.len(), targets.len(), "a score for each target");
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let positive = targets.iter().filter(|&&target| target).count() as f64;
    let (mut best, mut threshold) = (0.0, 0.5_f32);
    let mut right = 0.0;
    for (place, &row) in order.iter().enumerate() {
        right += f64::from(u8::from(targets[row]));
        let next = order.get(place + 1).map_or(0.0, |&next| scores[next]);
        if next == scores[row] {
            continue;
        }
        let between = (scores[row] + next) / 2.0;
        let f1 = 2.0 * right / (place as f64 + 1.0 + positive);
        let nearer = (between - 0.5).abs() < (threshold - 0.5).abs();
        if f1 > best || f1 == best && f1 > 0.0 && nearer {
            (best, threshold) = (f1, between);
        }
    }
    threshold
}
