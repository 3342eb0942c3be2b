//! Every number of a training run that changes its result, checked before the
//! first step.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::freeze::Freeze;
use super::memory::Memory;
use super::not_finite::OnNotFinite;
use super::optimizer::AdamWConfig;
use super::place::Place;
use super::schedule::{Schedule, Warmup};
use super::state::MOST_COUNT;
use crate::encode::Sampler;
use crate::error::{Error, Result};

/// The batches of each epoch are counted before the first step; more would take for ever.
const MOST_EPOCHS: f64 = 1e6;

/// How to train. The defaults are the usual ones for BERT (Devlin et al. 2019,
/// appendix A.3). Reads from and writes to JSON; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training set, fractions allowed; default 3, at most a million.
    pub epochs: f64,
    /// Optimizer steps, at most 2^53; where given, it overrides `epochs`.
    pub max_steps: Option<usize>,
    /// Rows of one forward and backward pass; default 32.
    pub batch_size: usize,
    /// Tokens of one forward and backward pass, padding counted; where given, batches
    /// are cut by it instead of by `batch_size`. Default none.
    pub tokens_per_batch: Option<usize>,
    /// Whether rows of like length share a batch, which saves padding; batches still
    /// come in random order. Default true.
    pub group_by_length: bool,
    /// Rows of one forward pass in evaluations; default 64.
    pub eval_batch_size: usize,
    /// Batches of one optimizer step; default 1. The gradient is that of the
    /// mean over all their rows, whatever their sizes.
    pub accumulate: usize,
    /// The highest learning rate; default 2e-5.
    pub learning_rate: f64,
    /// What the learning rate of a layer is of that of the layer above it, above 0 and at most 1;
    /// default 1. The last layer and the pooler have `learning_rate` itself, the embeddings that
    /// of a layer below the first (Sun et al. 2019).
    pub layer_decay: f64,
    /// The highest learning rate of what is not the encoder's: the head, and the decoder of a
    /// generator with weights of its own. Default `learning_rate`.
    pub head_learning_rate: Option<f64>,
    /// How the learning rate falls; default linearly to 0.
    pub schedule: Schedule,
    /// How long the learning rate rises first; default a tenth of the steps.
    pub warmup: Warmup,
    /// AdamW's own numbers; default weight decay 0.01.
    pub optimizer: AdamWConfig,
    /// The gradient's norm is cut to this; default 1, `None` for no limit.
    pub max_grad_norm: Option<f64>,
    /// Weights that stay as they are, besides those that do not require gradients when the run
    /// begins (`set_requires_grad(false)`); default none.
    pub freeze: Freeze,
    /// Whether what frozen layers make of each row is computed once and kept, instead
    /// of in every epoch; they then run without dropout. Default false.
    pub cache_frozen: bool,
    /// Whether a forward pass keeps only the input of each layer, which the backward
    /// pass computes again: less memory for about a third more time, and the same
    /// gradients. Default false.
    pub gradient_checkpointing: bool,
    /// How much memory training may take; batches that need more are computed in parts. The
    /// rows of a step stay the same, and so does the loss, but for rounding and for what
    /// dropout draws. Default without a limit.
    pub memory: Memory,
    /// When to evaluate on the development set; default after each epoch.
    pub eval_every: EvalEvery,
    /// The number that tells which evaluation is the best (`accuracy`, `loss`, …);
    /// default the task's own choice. It may begin with `eval_`. That there is such a number is
    /// found out before the first step. Whether less of it is better, as of `loss`, or more, the
    /// task says ([`FineTuner::less_is_better`](crate::FineTuner::less_is_better)).
    pub metric: Option<String>,
    /// Whether the weights of the best evaluation are put back in the end;
    /// default true.
    pub keep_best: bool,
    /// Stops a run that no longer gets better; default none.
    pub early_stopping: Option<EarlyStopping>,
    /// Seed of the order of rows and of dropout; default 42.
    pub seed: u64,
    /// Steps between two records of the loss; default 10.
    pub log_every: usize,
    /// Whether the first step checks that every trainable weight gets a gradient
    /// and no frozen one does; default true.
    pub check_gradients: bool,
    /// Whether the rows are looked over before the first step, for
    /// [`Warning::OneLabel`](crate::Warning::OneLabel) and
    /// [`Warning::TrainRowsInDev`](crate::Warning::TrainRowsInDev). Rows are read for it, at
    /// most 65,536 of each set, equally far apart where there are more, and not tokenized.
    /// Default true.
    pub check_data: bool,
    /// What to do when the loss or the gradient is no longer finite; default to stop.
    pub on_not_finite: OnNotFinite,
}

/// When to evaluate during training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalEvery {
    /// After each epoch.
    #[default]
    Epoch,
    /// After each so many optimizer steps, and at the end.
    Steps(usize),
}

impl FromStr for EvalEvery {
    type Err = Error;

    /// Reads `epoch` or a number of steps.
    fn from_str(text: &str) -> Result<Self> {
        match text.parse() {
            _ if text == "epoch" => Ok(Self::Epoch),
            Ok(steps) if steps > 0 => Ok(Self::Steps(steps)),
            _ => Err(Error::config(
                "eval_every",
                "epoch or a number of steps",
                text,
            )),
        }
    }
}

/// When a run has stopped getting better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Evaluations in a row without a new best that end the run.
    pub patience: usize,
    /// By how much an evaluation must beat the best to count as better.
    #[serde(default)]
    pub threshold: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 3.0,
            max_steps: None,
            batch_size: 32,
            tokens_per_batch: None,
            group_by_length: true,
            eval_batch_size: 64,
            accumulate: 1,
            learning_rate: 2e-5,
            layer_decay: 1.0,
            head_learning_rate: None,
            schedule: Schedule::default(),
            warmup: Warmup::default(),
            optimizer: AdamWConfig::default(),
            max_grad_norm: Some(1.0),
            freeze: Freeze::default(),
            cache_frozen: false,
            gradient_checkpointing: false,
            memory: Memory::default(),
            eval_every: EvalEvery::default(),
            metric: None,
            keep_best: true,
            early_stopping: None,
            seed: 42,
            log_every: 10,
            check_gradients: true,
            check_data: true,
            on_not_finite: OnNotFinite::default(),
        }
    }
}

impl TrainConfig {
    /// The order of training that the numbers describe.
    pub fn sampler(&self) -> Sampler {
        let sampler = match self.group_by_length {
            true => Sampler::grouped(self.batch_size, self.seed),
            false => Sampler::shuffled(self.batch_size, self.seed),
        };
        match self.tokens_per_batch {
            Some(tokens) => sampler.tokens_per_batch(tokens),
            None => sampler,
        }
    }

    /// What gradients of this norm are multiplied by, as in PyTorch's
    /// `clip_grad_norm_`.
    pub(super) fn clip_factor(&self, norm: f64) -> f64 {
        let factor = self.max_grad_norm.map(|most| most / (norm + 1e-6));
        factor.map_or(1.0, |factor| factor.min(1.0))
    }

    /// What the learning rate of the variable of this name is of that of the step, in an encoder
    /// of so many layers.
    pub(super) fn rate_factor(&self, layers: usize, name: &str) -> f64 {
        let below = match Place::of(name) {
            Place::Head => {
                let own = self.head_learning_rate;
                return own.map_or(1.0, |rate| rate / self.learning_rate);
            }
            Place::Pooler => 0,
            Place::Layer(layer) => layers.saturating_sub(layer + 1),
            Place::Embeddings => layers,
        };
        self.layer_decay.powi(below as i32)
    }

    /// `metric` without the prefix that it has in results.
    pub(super) fn metric_name(&self) -> Option<&str> {
        let name = self.metric.as_deref()?;
        Some(name.strip_prefix("eval_").unwrap_or(name))
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that is out of its range.
    pub fn validate(&self) -> Result<()> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let counts = [
            ("batch_size", Some(self.batch_size)),
            ("eval_batch_size", Some(self.eval_batch_size)),
            ("accumulate", Some(self.accumulate)),
            ("log_every", Some(self.log_every)),
            ("max_steps", self.max_steps),
            ("tokens_per_batch", self.tokens_per_batch),
            (
                "early_stopping.patience",
                self.early_stopping.map(|stop| stop.patience),
            ),
            (
                "eval_every",
                match self.eval_every {
                    EvalEvery::Steps(steps) => Some(steps),
                    EvalEvery::Epoch => None,
                },
            ),
        ];
        for (field, count) in counts {
            ensure(count != Some(0), field, "at least 1", 0)?;
        }
        if let Some(steps) = self.max_steps {
            let rule = format!("at most {MOST_COUNT}");
            ensure(steps <= MOST_COUNT, "max_steps", &rule, steps)?;
        }
        ensure(
            positive(self.epochs) && self.epochs <= MOST_EPOCHS,
            "epochs",
            "above 0 and at most 1000000",
            self.epochs,
        )?;
        ensure(
            positive(self.learning_rate),
            "learning_rate",
            "above 0",
            self.learning_rate,
        )?;
        let decay = self.layer_decay;
        let fits = decay > 0.0 && decay <= 1.0;
        ensure(fits, "layer_decay", "above 0 and at most 1", decay)?;
        if let Some(rate) = self.head_learning_rate {
            ensure(positive(rate), "head_learning_rate", "above 0", rate)?;
        }
        if let Some(norm) = self.max_grad_norm {
            ensure(positive(norm), "max_grad_norm", "above 0", norm)?;
        }
        if let Warmup::Ratio(ratio) = self.warmup {
            ensure((0.0..=1.0).contains(&ratio), "warmup", "from 0 to 1", ratio)?;
        }
        if let Some(EarlyStopping { threshold, .. }) = self.early_stopping {
            let fits = threshold.is_finite() && threshold >= 0.0;
            ensure(fits, "early_stopping.threshold", "at least 0", threshold)?;
        }
        ensure(
            !self.cache_frozen || self.freeze.frozen_layers(1) > 0,
            "cache_frozen",
            "false where no layer is frozen",
            true,
        )?;
        self.on_not_finite.validate()?;
        self.optimizer.validate()
    }
}

pub(super) fn ensure(
    fits: bool,
    field: &'static str,
    rule: &str,
    got: impl ToString,
) -> Result<()> {
    match fits {
        true => Ok(()),
        false => Err(Error::config(field, rule, got)),
    }
}

#[cfg(test)]
mod tests;
