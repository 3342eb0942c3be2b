//! The loop. It knows no task and no file format: a model gives logits and losses,
//! a collator gives batches, and everything that varies stands in `TrainConfig`.

use tch::Device;

use super::callback::Callback;
use super::config::TrainConfig;
use super::freeze::Unfreeze;
use super::identity::Identity;
use super::report::TrainReport;
use super::run::Run;
use super::saver::Saver;
use crate::checkpoint::Checkpoints;
use crate::data::Dataset;
use crate::encode::{lengths, load};
use crate::error::{Result, TorchContext};
use crate::fine_tuner::{FineTuner, ItemOf};
use crate::model::BertEncoder;
use crate::native::OneDnn;

/// Trains any [`FineTuner`] as a [`TrainConfig`] says.
#[derive(Default)]
pub struct Trainer<'c> {
    config: TrainConfig,
    callbacks: Vec<Box<dyn Callback + 'c>>,
    checkpoints: Option<Checkpoints>,
    cache_memory: Option<usize>,
}

/// Ends what training has asked of an encoder, also where it ends with a panic: nobody else's
/// backward pass knows of either.
struct AsBefore<'a>(&'a BertEncoder);

impl Drop for AsBefore<'_> {
    fn drop(&mut self) {
        self.0.checkpoint_gradients(false);
        self.0.make_gradient_sparse(false);
    }
}

/// Bytes of memory for what frozen layers have computed.
const CACHE_MEMORY: usize = 1 << 30;

impl<'c> Trainer<'c> {
    /// # Errors
    /// When a number of the configuration is out of its range.
    pub fn new(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            callbacks: Vec::new(),
            checkpoints: None,
            cache_memory: None,
        })
    }

    /// Adds a callback; they are called in the order they were added.
    pub fn callback(mut self, callback: impl Callback + 'c) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Writes checkpoints on the way, and goes on from one if they say so; default
    /// none. A run that was resumed ends with the weights of one that never stopped,
    /// bit for bit, on the same machine with the same number of threads.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// So many bytes of memory for what [`TrainConfig::cache_frozen`] keeps; the rest
    /// goes to a temporary file. Default 1 GiB.
    pub fn cache_memory(mut self, bytes: usize) -> Self {
        self.cache_memory = Some(bytes);
        self
    }

    /// Trains `model` on `train`. With `dev` it evaluates as the configuration
    /// says, and leaves the model with the weights of the best evaluation; without,
    /// with those of the last step.
    ///
    /// Seeds libtorch's global generator at the start of each epoch, so that a run
    /// can be repeated bit for bit on the same machine with the same number of
    /// threads.
    ///
    /// To resume a run, call this again with a model made as the first time, the same
    /// data and settings, and [`Checkpoints::resume`].
    ///
    /// # Errors
    /// When a set is empty, an example cannot be used, gradients do not flow as
    /// they should, or the loss is no longer finite and [`TrainConfig::on_not_finite`] does
    /// not say to go on; when memory is too small for a single row. The model then keeps the
    /// weights of the last step that was made.
    /// When a checkpoint cannot be written, or the one to resume is damaged or of another
    /// run.
    pub fn run<M: FineTuner>(
        &mut self,
        model: &mut M,
        train: &dyn Dataset<Item = ItemOf<M>>,
        dev: Option<&dyn Dataset<Item = ItemOf<M>>>,
    ) -> Result<TrainReport> {
        let backbone = model.backbone();
        let encoder = backbone.encoder();
        encoder.checkpoint_gradients(self.config.gradient_checkpointing);
        encoder.make_gradient_sparse(backbone.device() == Device::Cpu);
        let _as_before = AsBefore(encoder);
        let _unfreeze = Unfreeze::as_now(&backbone.named_variables());
        self.run_to_the_end(model, train, dev)
    }

    /// Checks that the newest checkpoint, if there is one, is of this run, and trains nothing:
    /// for a run whose results are known already.
    ///
    /// # Errors
    /// [`Error::OtherRun`](crate::Error::OtherRun) with what differs.
    pub fn check_run<M: FineTuner>(
        &self,
        model: &M,
        train: &dyn Dataset<Item = ItemOf<M>>,
        dev: Option<&dyn Dataset<Item = ItemOf<M>>>,
    ) -> Result<()> {
        match &self.checkpoints {
            Some(checkpoints) => {
                let identity = Identity::of(&self.config, model, train, dev)?;
                Saver::check(checkpoints, &identity)
            }
            None => Ok(()),
        }
    }

    fn run_to_the_end<M: FineTuner>(
        &mut self,
        model: &M,
        train: &dyn Dataset<Item = ItemOf<M>>,
        dev: Option<&dyn Dataset<Item = ItemOf<M>>>,
    ) -> Result<TrainReport> {
        let mut run = Run::new(
            &self.config,
            &mut self.callbacks,
            model,
            train.len(),
            dev,
            self.checkpoints.is_some(),
        )?;
        let collator = model.training_collator()?;
        let sampler = self.config.sampler();
        let are_needed = sampler.needs_lengths() || run.needs_lengths();
        let lengths = lengths(train, &collator, are_needed)?;
        run.plan_steps(|epoch| sampler.count(&lengths, epoch));
        run.open_checkpoints(self.checkpoints.as_ref(), train)?;
        run.check_memory(&lengths)?;
        run.check_data(&collator, train)?;
        run.check_metric()?;
        let device = model.backbone().device();
        let _products = OneDnn::begin(device).doing("choosing oneDNN")?;
        run.start(train, self.cache_memory.unwrap_or(CACHE_MEMORY))?;
        while !run.has_ended() {
            let pass = sampler.pass(&lengths, run.epoch());
            let done = run.begin_epoch(pass.len())?;
            if run.has_ended() {
                break;
            }
            let parts = run.parts(&pass, done, &lengths);
            let seed = run.epoch_seed();
            load(train, &collator, parts, seed, device, |part, batch| {
                run.micro_batch(part, batch)
            })?;
            run.end_epoch();
        }
        run.finish()
    }
}
