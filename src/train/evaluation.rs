//! The loss and the metrics of a model on a data set, in evaluation mode.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::callback::Control;
use crate::data::Dataset;
use crate::encode::{Inputs, Sampler, lengths, load};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, ItemOf, Loss, forward};

/// Of what collators draw: evaluations are to be compared with each other.
pub(super) const EVALUATION_SEED: u64 = 0;

/// Numbers that each evaluation has, whatever the task and the rows.
pub(super) const ALWAYS: [&str; 2] = ["loss", "perplexity"];

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f64,
    /// The task's metrics by name (`accuracy`, `f1`, …).
    pub metrics: BTreeMap<String, f64>,
    /// Rows evaluated.
    pub samples: usize,
    /// Duration in seconds.
    pub runtime: f64,
    /// What was predicted for all rows, if that was the same for all and should not have
    /// been; not known of every task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_prediction: Option<String>,
}

impl Evaluation {
    /// A number by its name: `loss`, `perplexity` (e to the power of the loss), or one of the
    /// metrics.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "loss" => Some(self.loss),
            "perplexity" => Some(self.loss.exp()),
            _ => self.metrics.get(name).copied(),
        }
    }

    /// The number that tells which evaluation is the best.
    pub(super) fn main(&self, name: &str) -> Result<f64> {
        self.get(name).ok_or_else(|| {
            let known: Vec<_> = self.metrics.keys().map(String::as_str).collect();
            Error::config(
                "metric",
                format!("loss, perplexity or one of {}", known.join(", ")),
                name,
            )
        })
    }

    /// All numbers under Hugging Face's names, each with a prefix (`eval`,
    /// `test`): `eval_loss`, `eval_accuracy`, `eval_samples`, …
    pub fn to_results(&self, prefix: &str) -> BTreeMap<String, f64> {
        let own = [
            ("loss", self.loss),
            ("samples", self.samples as f64),
            ("runtime", self.runtime),
            (
                "samples_per_second",
                self.samples as f64 / self.runtime.max(f64::MIN_POSITIVE),
            ),
        ];
        let metrics = self
            .metrics
            .iter()
            .map(|(name, &value)| (name.as_str(), value));
        let all = own.into_iter().chain(metrics);
        all.map(|(name, value)| (format!("{prefix}_{name}"), value))
            .collect()
    }
}

/// Evaluates `model` on all rows of `dataset`, `batch_size` rows at a time,
/// without dropout and without gradients.
///
/// # Errors
/// When the data set is empty, or an example cannot be read or used.
pub fn evaluate<M: FineTuner>(
    model: &M,
    dataset: &dyn Dataset<Item = ItemOf<M>>,
    batch_size: usize,
) -> Result<Evaluation> {
    let lengths = row_lengths(model, dataset)?;
    let prepare = |_: &mut Inputs| Ok(());
    let evaluated = evaluate_on(model, dataset, &lengths, batch_size, prepare, || {
        Control::Continue
    });
    evaluated?.ok_or(Error::Worker {
        doing: "evaluating",
    })
}

/// The lengths of rows, by which an evaluation sorts them.
pub(super) fn row_lengths<M: FineTuner>(
    model: &M,
    dataset: &dyn Dataset<Item = ItemOf<M>>,
) -> Result<Vec<u32>> {
    lengths(dataset, &model.collator()?, true)
}

/// [`evaluate`] of rows whose lengths are known, with `prepare` called on the inputs of each
/// batch, and `after_batch` after it; `None` where that stops it.
pub(super) fn evaluate_on<M: FineTuner>(
    model: &M,
    dataset: &dyn Dataset<Item = ItemOf<M>>,
    lengths: &[u32],
    batch_size: usize,
    mut prepare: impl FnMut(&mut Inputs) -> Result<()>,
    mut after_batch: impl FnMut() -> Control,
) -> Result<Option<Evaluation>> {
    for (field, count) in [
        ("evaluation set", dataset.len()),
        ("eval_batch_size", batch_size),
    ] {
        if count == 0 {
            return Err(Error::config(field, "at least 1 row", "0"));
        }
    }
    let start = Instant::now();
    let backbone = model.backbone();
    let _kept = backbone.precision().keep_converted()?;
    let collator = model.collator()?;
    let mut metric = model.metric();
    let (mut sum, mut count) = (0.0, 0.0);
    // No metric depends on the order of the rows.
    let sampler = Sampler::longest_first(batch_size);
    let mut control = Control::Continue;
    let pass = sampler.pass(lengths, 0);
    load(
        dataset,
        &collator,
        pass.iter(),
        EVALUATION_SEED,
        backbone.device(),
        |_, mut batch| {
            prepare(&mut batch.inputs)?;
            let no_grad = tch::no_grad_guard();
            let logits = forward(model, &batch.inputs, false)?;
            let loss: Loss = model.loss(&logits, &batch.target)?;
            sum += loss.sum.f_double_value(&[]).doing("reading the loss")?;
            count += loss.count;
            metric.update(&logits, &batch.target)?;
            drop(no_grad);
            control = after_batch();
            Ok(control == Control::Continue)
        },
    )?;
    if control == Control::Stop {
        return Ok(None);
    }
    if count == 0.0 {
        let rule = "rows of which at least one has a label that counts";
        return Err(Error::config("evaluation set", rule, "none"));
    }
    let mut metrics = metric.compute();
    metrics.extend(model.answer_metrics(dataset)?);
    Ok(Some(Evaluation {
        loss: sum / count,
        metrics,
        samples: dataset.len(),
        runtime: start.elapsed().as_secs_f64(),
        one_prediction: metric.one_prediction(),
    }))
}
