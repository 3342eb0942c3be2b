//! A run on its way: how it begins and ends, and what happens to one batch. What is done
//! in an optimizer step, and after it, has files of its own.

mod after_step;
mod checkpoints;
mod parts;
mod step;

use std::collections::BTreeMap;
use std::time::Instant;

use tch::Tensor;

use super::best::Best;
use super::callback::Callback;
use super::config::TrainConfig;
use super::data_check::{MOST_ROWS, check_data};
use super::evaluation::{ALWAYS, evaluate};
use super::frozen_cache::FrozenCache;
use super::memory::{Copies, Planner};
use super::optimizer::AdamW;
use super::report::{Plan, Stopped, TrainReport};
use super::saver::Saver;
use super::state::{RunState, Totals};
use super::warning::Warning;
use crate::data::{Dataset, Subset};
use crate::encode::{Batch, Collator, mix};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, ItemOf, TargetOf, backward};
use crate::native;
use parts::Part;

/// A run on its way.
pub(super) struct Run<'a, 'c, M: FineTuner> {
    config: &'a TrainConfig,
    callbacks: &'a mut [Box<dyn Callback + 'c>],
    model: &'a M,
    dev: Option<&'a dyn Dataset<Item = ItemOf<M>>>,
    /// Of each row, in tokens; none before the first evaluation.
    dev_lengths: Vec<u32>,
    plan: Plan,
    optimizer: AdamW,
    /// What the run may change: the weights that it trains, and what a forward pass moves by
    /// itself, such as the running mean of a norm.
    changing: BTreeMap<String, Tensor>,
    best: Best,
    state: RunState,
    saver: Option<Saver>,
    cache: Option<FrozenCache>,
    group: Group,
    planner: Planner,
    /// Whether the state has been put back to an earlier one, where a new pass begins.
    rewound: bool,
    /// All batches of this epoch.
    epoch_batches: usize,
    start: Instant,
    /// Seconds that earlier runs have taken.
    earlier: f64,
}

/// The batches of one optimizer step.
#[derive(Default)]
struct Group {
    /// Those that are done whole.
    batches: usize,
    /// The generator's state before the first.
    generator: Vec<u8>,
    rows: Vec<usize>,
    seen: Totals,
}

impl<'a, 'c, M: FineTuner> Run<'a, 'c, M> {
    pub(super) fn new(
        config: &'a TrainConfig,
        callbacks: &'a mut [Box<dyn Callback + 'c>],
        model: &'a M,
        train_samples: usize,
        dev: Option<&'a dyn Dataset<Item = ItemOf<M>>>,
        writes_checkpoints: bool,
    ) -> Result<Self> {
        for (field, samples) in [
            ("train", Some(train_samples)),
            ("dev", dev.map(|dev| dev.len())),
        ] {
            if samples == Some(0) {
                return Err(Error::config(field, "a data set with rows", "an empty one"));
            }
        }
        let variables = model.backbone().named_variables();
        let trainable = config.freeze.apply(model.backbone())?;
        let size = |tensors: &BTreeMap<String, Tensor>| tensors.values().map(Tensor::numel).sum();
        let trainable_parameters: usize = size(&trainable);
        let all: usize = size(&variables);
        let changing = variables
            .into_iter()
            .filter(|(name, _)| !config.freeze.covers(name))
            .collect();

        let plan = Plan {
            total_steps: 0,
            warmup_steps: 0,
            train_samples,
            trainable_parameters,
            frozen_parameters: all - trainable_parameters,
            resumed_step: 0,
        };
        let copies = Copies {
            best: config.keep_best && dev.is_some(),
            checkpoint: writes_checkpoints,
        };
        let planner = Planner::new(model, config, copies);
        // Before the moments are made, which are a part of it.
        let device = model.backbone().device();
        let memory = config.memory.bytes(device, planner.weights())?;
        let layers = model.backbone().config().num_hidden_layers as usize;
        let optimizer = AdamW::new(trainable, config.optimizer)?
            .with_rate_factors(|name| config.rate_factor(layers, name))?;
        let metric = config.metric_name().unwrap_or(model.main_metric());
        Ok(Self {
            config,
            callbacks,
            model,
            dev,
            dev_lengths: Vec::new(),
            plan,
            optimizer,
            changing,
            best: Best::new(
                model.less_is_better(metric),
                config.early_stopping,
                config.keep_best,
            ),
            state: RunState {
                memory,
                ..RunState::default()
            },
            saver: None,
            cache: None,
            group: Group::default(),
            planner,
            rewound: false,
            epoch_batches: 0,
            start: Instant::now(),
            earlier: 0.0,
        })
    }

    /// Counts the steps of the run; epochs differ if batches are cut by tokens.
    pub(super) fn plan_steps(&mut self, batches: impl Fn(usize) -> usize) {
        let steps = |epoch| batches(epoch).div_ceil(self.config.accumulate);
        let whole = self.config.epochs.floor();
        let part = self.config.epochs - whole;
        let total_steps = self.config.max_steps.unwrap_or_else(|| {
            let last = (part * steps(whole as usize) as f64).ceil() as usize;
            (0..whole as usize).map(steps).sum::<usize>() + last
        });
        self.plan.total_steps = total_steps;
        self.plan.warmup_steps = self.config.warmup.steps(total_steps);
        self.state.max_steps = total_steps;
    }

    /// Tells the callbacks, then does what is done once. `cache_memory` is in bytes.
    pub(super) fn start(
        &mut self,
        train: &dyn Dataset<Item = ItemOf<M>>,
        cache_memory: usize,
    ) -> Result<()> {
        for callback in self.callbacks.iter_mut() {
            callback.on_start(&self.plan);
        }
        let collator = self.model.training_collator()?;
        if self.config.cache_frozen && collator.draws() {
            let rule = "false where the inputs of a row are others in each epoch";
            return Err(Error::config("cache_frozen", rule, true));
        }
        if self.config.cache_frozen && !self.has_ended() {
            let layers = self.model.backbone().config().num_hidden_layers as usize;
            let frozen = self.config.freeze.frozen_layers(layers);
            let mut cache = FrozenCache::new(frozen, cache_memory);
            cache.fill(self.model, &collator, train)?;
            if let Some(dev) = self.dev {
                cache.fill(self.model, &self.model.collator()?, dev)?;
            }
            self.cache = Some(cache);
        }
        Ok(())
    }

    /// Looks over the rows, if no earlier run has.
    pub(super) fn check_data(
        &mut self,
        collator: &M::Collator,
        train: &dyn Dataset<Item = ItemOf<M>>,
    ) -> Result<()> {
        if self.config.check_data && self.plan.resumed_step == 0 {
            let warnings = check_data(collator, train, self.dev, MOST_ROWS)?;
            warnings.into_iter().for_each(|warning| self.warn(warning));
        }
        Ok(())
    }

    /// A metric that no evaluation reports is an error now, and not after the first epoch.
    pub(super) fn check_metric(&self) -> Result<()> {
        let (metric, rows) = (self.config.metric_name(), self.config.eval_batch_size);
        let Some(dev) = self.dev else {
            if metric.is_some() || self.config.early_stopping.is_some() {
                log::warn!("a metric and early stopping do nothing without a development set");
            }
            return Ok(());
        };
        let metric = metric.filter(|name| !ALWAYS.contains(name));
        let Some(name) = metric.filter(|_| self.plan.resumed_step == 0) else {
            return Ok(());
        };
        let few = evaluate(self.model, &Subset::first(dev, rows), rows);
        if few.is_ok_and(|few| few.get(name).is_some()) {
            return Ok(());
        }
        // Some numbers are of certain rows alone, such as the F1 of a rare label.
        evaluate(self.model, dev, rows)?.main(name)?;
        Ok(())
    }

    fn warn(&mut self, warning: Warning) {
        log::warn!("{warning}");
        self.state.warnings.push(warning);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.stopped.is_some()
    }

    /// The number of the current pass over the data, from 0.
    pub(super) fn epoch(&self) -> usize {
        self.state.epochs_done
    }

    /// Of all that is drawn in this pass.
    pub(super) fn epoch_seed(&self) -> u64 {
        mix(self.config.seed, self.state.epochs_done as u64)
    }

    /// Starts a pass over so many batches, or goes on with it; returns the number of
    /// those that are done.
    pub(super) fn begin_epoch(&mut self, batches: usize) -> Result<usize> {
        self.epoch_batches = batches;
        if self.state.batches_done == 0 {
            tch::manual_seed(self.epoch_seed() as i64);
        } else {
            let state = self.state.generator_bytes()?;
            native::set_generator_state(self.model.backbone().device(), &state)
                .doing("restoring the random generator")?;
            // What the last run left undone after its last step, if anything.
            self.after_step()?;
        }
        Ok(self.state.batches_done)
    }

    pub(super) fn end_epoch(&mut self) {
        if !std::mem::take(&mut self.rewound) && !self.has_ended() {
            self.state.epochs_done += 1;
            self.state.batches_done = 0;
        }
    }

    /// One forward and backward pass, and the optimizer's step if it completes a
    /// group. Returns whether the pass goes on.
    pub(super) fn micro_batch(
        &mut self,
        part: &Part,
        mut batch: Batch<TargetOf<M>>,
    ) -> Result<bool> {
        self.note_generator(self.model.backbone().device())?;
        let seen = match self.gradients(part.as_ref().len(), &mut batch) {
            Ok(seen) => seen,
            Err(error) => {
                let problem = error.out_of_memory().ok_or(error)?;
                self.halve(problem, part, &batch.inputs.row_lengths())?;
                return Ok(false);
            }
        };
        self.group.rows.extend_from_slice(part.as_ref());
        self.group.seen.add(&seen);
        if !part.ends_batch {
            return Ok(true);
        }
        self.group.batches += 1;
        self.state.batches_done += 1;
        // The last group of an epoch may have fewer batches; it steps all the same.
        if self.group.batches == self.config.accumulate || self.epoch_ends() {
            self.optimizer_step()?;
            if self.rewound {
                return Ok(false);
            }
            self.after_step()?;
        }
        Ok(!self.has_ended())
    }

    /// Adds the gradients of so many rows.
    fn gradients(&mut self, rows: usize, batch: &mut Batch<TargetOf<M>>) -> Result<Totals> {
        if let Some(cache) = &mut self.cache {
            cache.attach(self.model, &mut batch.inputs)?;
        }
        let loss = self.model.training_loss(&batch.inputs, &batch.target)?;
        backward(self.model, &loss.sum)?;
        Ok(Totals {
            loss: loss.sum.f_double_value(&[]).doing("reading the loss")?,
            count: loss.count,
            rows,
            tokens: batch.tokens,
        })
    }

    fn epoch_ends(&self) -> bool {
        self.state.batches_done == self.epoch_batches
    }

    pub(super) fn finish(mut self) -> Result<TrainReport> {
        if let Some(saver) = &mut self.saver {
            saver.finish()?;
        }
        self.best.restore(&self.changing)?;
        let seen = self.state.seen;
        let was_zero = seen.rows > 0 && seen.loss == 0.0 && self.state.skipped_steps == 0;
        if was_zero && !self.state.warnings.contains(&Warning::NothingToLearn) {
            self.warn(Warning::NothingToLearn);
        }
        let state = self.state;
        // A run that had ended before has taken no time since.
        let train_runtime = match state.global_step > self.plan.resumed_step {
            true => self.earlier + self.start.elapsed().as_secs_f64(),
            false => state.runtime,
        };
        let report = TrainReport {
            plan: self.plan,
            stopped: state.stopped.unwrap_or(Stopped::Finished),
            global_step: state.global_step,
            epoch: state.epoch,
            train_loss: state.seen.mean_loss(),
            train_runtime,
            train_samples_per_second: state.seen.rows as f64 / train_runtime,
            train_tokens_per_second: state.seen.tokens as f64 / train_runtime,
            best_metric: self.best.record().metric,
            best_step: self.best.record().global_step,
            skipped_steps: state.skipped_steps,
            went_back: state.went_back,
            warnings: state.warnings,
            log_history: state.log_history,
        };
        for callback in self.callbacks.iter_mut() {
            callback.on_end(&report);
        }
        Ok(report)
    }
}
