//! The contract between tasks and training: what a task says about itself, and
//! what it gets for that.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Tensor};

use crate::data::{Dataset, Text};
use crate::encode::{Batch, Collator, Inputs, Sampler, TextEncoder, lengths, load};
use crate::error::{Result, TorchContext};
use crate::metrics::{Metric, NoMetric};
use crate::model::{Backbone, BertConfig, ModelFiles};
use crate::native::OneDnn;
use crate::predict;
use crate::train::{Control, Evaluation, TrainConfig, TrainReport, Trainer, evaluate};

/// The loss of one batch, not yet divided: the trainer divides by the count of the
/// whole optimizer step, so that gradient accumulation, token-level losses and
/// short last batches are exact.
#[derive(Debug)]
pub struct Loss {
    /// Sum of the losses, a scalar that carries gradients.
    pub sum: Tensor,
    /// How many losses were added (rows, tokens, or their total weight).
    pub count: f64,
}

/// Rows that are checked at once.
const ROWS_AT_ONCE: usize = 64;

/// One example of the data sets that `M` learns from.
pub type ItemOf<M> = <<M as FineTuner>::Collator as Collator>::Item;

/// What `M` compares the logits of one batch with.
pub type TargetOf<M> = <<M as FineTuner>::Collator as Collator>::Target;

/// A model that [`Trainer`] can train: a [`Backbone`] with a head.
///
/// Implement [`backbone`](Self::backbone), [`collator`](Self::collator),
/// [`logits`](Self::logits) and [`loss`](Self::loss), and training, evaluation, prediction of
/// logits and saving work for your task; turning logits into answers stays yours.
pub trait FineTuner: Sized {
    /// Turns the task's examples into batches.
    type Collator: Collator;

    /// The encoder with its weights, tokenizer and configuration.
    fn backbone(&self) -> &Backbone;

    /// The collator for training and evaluation.
    ///
    /// # Errors
    /// When the task's settings do not fit the model.
    fn collator(&self) -> Result<Self::Collator>;

    /// The collator for training, where that is another; default
    /// [`collator`](Self::collator).
    ///
    /// # Errors
    /// As [`collator`](Self::collator).
    fn training_collator(&self) -> Result<Self::Collator> {
        self.collator()
    }

    /// The head's output for a batch, the one forward path of training,
    /// evaluation and prediction. It is computed in the model's precision where
    /// [`Backbone::in_precision`] calls it, as [`training_loss`](Self::training_loss) and
    /// evaluations do, and else in float32. `train` turns dropout on; `inputs` are on the model's
    /// device ([`Batch::to_device`](crate::Batch::to_device)).
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor>;

    /// The loss of a batch.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    fn loss(&self, logits: &Tensor, target: &TargetOf<Self>) -> Result<Loss>;

    /// The loss of a batch in training; default [`loss`](Self::loss) of
    /// [`logits`](Self::logits). A task whose logits take more memory than all the rest may
    /// compute both in one, in the model's precision by
    /// [`Backbone::in_precision`].
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    fn training_loss(&self, inputs: &Inputs, target: &TargetOf<Self>) -> Result<Loss> {
        let logits = forward(self, inputs, true)?;
        self.loss(&logits, target)
    }

    /// What an evaluation reports besides the loss; default nothing.
    fn metric(&self) -> Box<dyn Metric<TargetOf<Self>>> {
        Box::new(NoMetric)
    }

    /// Numbers of an evaluation that need whole answers and not the logits of single batches;
    /// default none.
    ///
    /// # Errors
    /// When an example cannot be read or used.
    fn answer_metrics(
        &self,
        _dataset: &dyn Dataset<Item = ItemOf<Self>>,
    ) -> Result<BTreeMap<String, f64>> {
        Ok(BTreeMap::new())
    }

    /// The number that picks the best evaluation where the configuration names
    /// none; default `loss`.
    fn main_metric(&self) -> &str {
        "loss"
    }

    /// Whether the best evaluation is the one with the least of this number; default for
    /// `loss`, `mse`, `rmse`, `mae` and `perplexity`. A task with another such number says so.
    fn less_is_better(&self, metric: &str) -> bool {
        ["loss", "mse", "rmse", "mae", "perplexity"].contains(&metric)
    }

    /// Is a gradient of zero right for the variable of this name? A bias that adds the
    /// same to all scores of a softmax learns nothing; any other variable without a
    /// gradient stops the run at its first step. Default no.
    fn gradient_may_be_zero(&self, _name: &str) -> bool {
        false
    }

    /// Bytes that the head keeps for the backward pass of a batch whose rows have these
    /// lengths in tokens, for [`memory::plan`](crate::memory::plan): logits above all; default
    /// none, which is near enough where there are few logits.
    fn head_memory(&self, _lengths: &[usize]) -> u64 {
        0
    }

    /// Whether the loss of a batch is the sum of those of its rows, so that a batch which
    /// memory is too small for may be computed in parts; default yes.
    fn may_split_batches(&self) -> bool {
        true
    }

    /// What else decides what a run learns, and which evaluation is its best, and does not stand
    /// in the JSON of [`files`](Self::files): the numbers of a loss, what is hidden. A run is
    /// resumed only where it is the same; default nothing.
    fn training_settings(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Writes what the task knows (label names, architecture, …) into the
    /// `config.json` that is saved; default nothing.
    fn describe(&self, _config: &mut BertConfig) {}

    /// What [`save`](Self::save) and checkpoints write; default the backbone's files with
    /// [`describe`](Self::describe). The names of the weights may be others than the
    /// variables', if the builder of the task understands them.
    fn files(&self) -> ModelFiles {
        self.backbone().files(|config| self.describe(config))
    }

    /// Trains on `train`, evaluates on `dev`, and keeps the best weights.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    fn fit(
        &mut self,
        train: &dyn Dataset<Item = ItemOf<Self>>,
        dev: &dyn Dataset<Item = ItemOf<Self>>,
        config: &TrainConfig,
    ) -> Result<TrainReport> {
        Trainer::new(config.clone())?.run(self, train, Some(dev))
    }

    /// The loss and the task's metrics on `dataset`, in evaluation mode.
    ///
    /// # Errors
    /// When an example cannot be read or used.
    fn evaluate(&self, dataset: &dyn Dataset<Item = ItemOf<Self>>) -> Result<Evaluation> {
        evaluate(self, dataset, TrainConfig::default().eval_batch_size)
    }

    /// Makes batches of all rows and computes nothing: a row that cannot be used is found
    /// before a long run, and not at the evaluation in its middle.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), when an example cannot be read or used.
    fn check(&self, dataset: &dyn Dataset<Item = ItemOf<Self>>) -> Result<()> {
        let count = dataset.len();
        let batches = (0..count).step_by(ROWS_AT_ONCE);
        let batches = batches.map(|first| (first..count.min(first + ROWS_AT_ONCE)).collect());
        let collator = self.collator()?;
        load(
            dataset,
            &collator,
            batches,
            0,
            Device::Cpu,
            |_: &Vec<usize>, _| Ok(true),
        )
    }

    /// Calls `consume` with each batch of a pass over `dataset`, for a training loop of one's own.
    /// A batch is on the model's device, and the next ones are made on another thread meanwhile.
    /// What the collator draws depends on `epoch` and the row.
    ///
    /// # Errors
    /// When an example cannot be read or used, and those of `consume`.
    fn for_each_batch(
        &self,
        dataset: &dyn Dataset<Item = ItemOf<Self>>,
        sampler: &Sampler,
        epoch: usize,
        mut consume: impl FnMut(Batch<TargetOf<Self>>) -> Result<Control>,
    ) -> Result<()> {
        let collator = self.training_collator()?;
        let lengths = lengths(dataset, &collator, sampler.needs_lengths())?;
        let pass = sampler.pass(&lengths, epoch);
        let device = self.backbone().device();
        load(
            dataset,
            &collator,
            pass.iter(),
            epoch as u64,
            device,
            |_, batch| Ok(consume(batch)? == Control::Continue),
        )
    }

    /// The gradients of a [`training_loss`](Self::training_loss), added to those that are there.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    fn backward(&self, loss: &Loss) -> Result<()> {
        let device = self.backbone().device();
        let _products = OneDnn::begin(device).doing("choosing oneDNN")?;
        backward(self, &loss.sum)
    }

    /// The logits of each text in evaluation mode, in the order of `texts`. Rows
    /// of like length share a batch of up to `tokens_per_batch` tokens; a longer row is
    /// a batch of its own.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    fn predict_logits<T: Text + Sync>(
        &self,
        texts: &[T],
        encoder: &TextEncoder,
        tokens_per_batch: usize,
    ) -> Result<Vec<Tensor>> {
        predict::logits(self, texts, encoder, tokens_per_batch)
    }

    /// Writes a model folder: `config.json`, `model.safetensors` and the
    /// tokenizer's files. A new one appears whole or not at all; in an existing one each file,
    /// whole, takes the place of its namesake, one after another.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.files().save(dir.as_ref())
    }

    /// The same with a pooler of zeros where the model has none: rust-bert's question
    /// answering does not load without one, though it does not use it. transformers warns
    /// of it. rust-bert reads question and context without segment ids, so that its
    /// answers may be others.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save_for_rust_bert(&self, dir: impl AsRef<Path>) -> Result<()> {
        let mut files = self.files();
        files.add_pooler()?;
        files.save(dir.as_ref())
    }
}

/// The logits of a batch as float32, computed in the model's precision.
pub(crate) fn forward<M: FineTuner>(model: &M, inputs: &Inputs, train: bool) -> Result<Tensor> {
    model
        .backbone()
        .in_precision(|| model.logits(inputs, train))
}

/// The backward pass of a [`training_loss`](FineTuner::training_loss).
pub(crate) fn backward<M: FineTuner>(model: &M, loss: &Tensor) -> Result<()> {
    loss.f_backward().doing("computing gradients")?;
    let backbone = model.backbone();
    let again = |compute: &dyn Fn() -> Result<Tensor>| backbone.in_precision(compute);
    backbone.encoder().finish_backward(again)
}
