//! The answers that a batch's logits say, against the right ones.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::encode::QaTarget;
use crate::error::{Result, TorchContext};
use crate::metrics::{Metric, SquadMetrics};
use crate::task::answers::{Search, find};

/// Exact match and F1 of a question answerer.
pub(super) struct AnswerMetric {
    pub(super) metrics: SquadMetrics,
    pub(super) search: Search,
    /// Whether no answer may be given, and by how much it must lead.
    pub(super) nullable: bool,
    pub(super) null_threshold: f32,
}

impl Metric<QaTarget> for AnswerMetric {
    fn update(&mut self, logits: &Tensor, target: &QaTarget) -> Result<()> {
        let row_length = 2 * logits.size()[1] as usize;
        let logits = flat(logits)?;
        for question in &target.questions {
            let rows = question.rows.iter().enumerate().map(|(row, encoding)| {
                let start = (question.first_row + row) * row_length;
                (encoding, &logits[start..start + row_length])
            });
            let found = find(rows, self.search);
            let best = found.answers(&question.context, self.nullable, self.null_threshold);
            self.metrics.update(&best[0].text, &question.answers);
        }
        Ok(())
    }

    fn compute(&self) -> BTreeMap<String, f64> {
        self.metrics.to_metrics()
    }
}

/// All numbers of a tensor, in order.
pub(super) fn flat(logits: &Tensor) -> Result<Vec<f32>> {
    let flat = logits.f_reshape([-1]).and_then(Vec::<f32>::try_from);
    flat.doing("reading logits")
}
