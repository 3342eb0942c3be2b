//! A run on its way: what happens to one batch, in one optimizer step, and after it.

use std::collections::BTreeMap;
use std::time::Instant;

use tch::Tensor;

use super::best::{Best, copies};
use super::callback::{Callback, Control};
use super::config::{EvalEvery, TrainConfig};
use super::evaluation::evaluate_on;
use super::frozen_cache::FrozenCache;
use super::gradient_check::check_gradients;
use super::identity::Identity;
use super::optimizer::AdamW;
use super::report::{EvalRecord, LogRecord, Plan, StepRecord, Stopped, TrainReport};
use super::saver::{Saver, Snapshot};
use super::state::RunState;
use crate::checkpoint::{Checkpoints, hex};
use crate::data::Dataset;
use crate::encode::{Batch, Inputs, mix};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, ItemOf, TargetOf, backward, forward};
use crate::native;

/// A run on its way.
pub(super) struct Run<'a, 'c, M: FineTuner> {
    config: &'a TrainConfig,
    callbacks: &'a mut [Box<dyn Callback + 'c>],
    model: &'a M,
    dev: Option<&'a dyn Dataset<Item = ItemOf<M>>>,
    plan: Plan,
    optimizer: AdamW,
    trainable: BTreeMap<String, Tensor>,
    best: Best,
    state: RunState,
    saver: Option<Saver>,
    cache: Option<FrozenCache>,
    group: Group,
    /// All batches of this epoch.
    epoch_batches: usize,
    start: Instant,
    /// Seconds that earlier runs have taken.
    earlier: f64,
}

/// The batches of one optimizer step.
#[derive(Default)]
struct Group {
    batches: usize,
    rows: Vec<usize>,
    loss: f64,
    count: f64,
}

impl<'a, 'c, M: FineTuner> Run<'a, 'c, M> {
    pub(super) fn new(
        config: &'a TrainConfig,
        callbacks: &'a mut [Box<dyn Callback + 'c>],
        model: &'a M,
        train_samples: usize,
        dev: Option<&'a dyn Dataset<Item = ItemOf<M>>>,
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
        let layers = model.backbone().config().num_hidden_layers;
        let trainable = config.freeze.apply(&variables, layers)?;
        let size = |tensors: &BTreeMap<String, Tensor>| tensors.values().map(Tensor::numel).sum();
        let trainable_parameters: usize = size(&trainable);
        let all: usize = size(&variables);

        let plan = Plan {
            total_steps: 0,
            warmup_steps: 0,
            train_samples,
            trainable_parameters,
            frozen_parameters: all - trainable_parameters,
            resumed_step: 0,
        };
        let shallow = trainable
            .iter()
            .map(|(name, x)| (name.clone(), x.shallow_clone()))
            .collect();
        let optimizer = AdamW::new(shallow, config.optimizer)?;
        let metric = config.metric.as_deref().unwrap_or(model.main_metric());
        Ok(Self {
            config,
            callbacks,
            model,
            dev,
            plan,
            optimizer,
            trainable,
            best: Best::new(metric, config.early_stopping, config.keep_best),
            state: RunState::default(),
            saver: None,
            cache: None,
            group: Group::default(),
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

    /// Gets ready to write checkpoints, and goes on from one if that is wanted.
    pub(super) fn open_checkpoints(
        &mut self,
        checkpoints: &Checkpoints,
        train: &dyn Dataset<Item = ItemOf<M>>,
    ) -> Result<()> {
        let backbone = self.model.backbone();
        let files = self.model.files();
        let identity =
            Identity::of::<M>(self.config, backbone.precision(), &files, train, self.dev)?;
        let mut saver = Saver::new(checkpoints, identity)?;
        if let Some(state) = saver.resumed(self.config.keep_best, self.plan.total_steps)? {
            let step = state.global_step;
            let kept = state.best.global_step.filter(|_| self.config.keep_best);
            if let Some(best) = kept {
                saver.load_weights(best, &files.weights)?;
            }
            let weights = kept.map(|_| copies(&self.trainable)).transpose()?;
            self.best.resume(state.best, weights);
            saver.load_weights(step, &files.weights)?;
            self.optimizer.load_state(&saver.optimizer_state(step)?)?;
            self.plan.resumed_step = step;
            self.earlier = state.runtime;
            self.state = state;
        }
        self.saver = Some(saver);
        Ok(())
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
        if self.config.cache_frozen && !self.has_ended() {
            let layers = self.model.backbone().config().num_hidden_layers as usize;
            let frozen = self.config.freeze.frozen_layers(layers);
            let mut cache = FrozenCache::new(frozen, cache_memory);
            for data in [Some(train), self.dev].into_iter().flatten() {
                cache.fill(self.model, data)?;
            }
            self.cache = Some(cache);
        }
        Ok(())
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
        if !self.has_ended() {
            self.state.epochs_done += 1;
            self.state.batches_done = 0;
        }
    }

    /// One forward and backward pass, and the optimizer's step if it completes a
    /// group. Returns whether the run goes on.
    pub(super) fn micro_batch(
        &mut self,
        rows: &[usize],
        mut batch: Batch<TargetOf<M>>,
    ) -> Result<bool> {
        if let Some(cache) = &mut self.cache {
            cache.attach(self.model, &mut batch.inputs)?;
        }
        let logits = forward(self.model, &batch.inputs, true)?;
        let loss = self.model.loss(&logits, &batch.target)?;
        backward(self.model, &loss.sum)?;
        let sum = loss.sum.f_double_value(&[]).doing("reading the loss")?;

        self.group.batches += 1;
        self.group.rows.extend_from_slice(rows);
        self.group.loss += sum;
        self.group.count += loss.count;
        for totals in [&mut self.state.seen, &mut self.state.unlogged] {
            totals.loss += sum;
            totals.count += loss.count;
            totals.rows += rows.len();
            totals.tokens += batch.tokens;
        }
        self.state.batches_done += 1;
        // The last group of an epoch may have fewer batches; it steps all the same.
        if self.group.batches == self.config.accumulate || self.epoch_ends() {
            self.optimizer_step()?;
            self.after_step()?;
        }
        Ok(!self.has_ended())
    }

    fn epoch_ends(&self) -> bool {
        self.state.batches_done == self.epoch_batches
    }

    fn optimizer_step(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        let Plan {
            total_steps,
            warmup_steps,
            ..
        } = self.plan;
        let done = self.state.global_step;
        let schedule = self.config.schedule;
        let learning_rate =
            self.config.learning_rate * schedule.factor(done, warmup_steps, total_steps);
        // A step may have nothing to learn from, if none of its tokens has a label.
        let count = if group.count == 0.0 { 1.0 } else { group.count };
        let loss = group.loss / count;
        let not_finite = |what, value| {
            let (step, rows) = (done + 1, group.rows.clone());
            Error::NotFinite {
                what,
                value,
                step,
                learning_rate,
                rows,
            }
        };
        if !loss.is_finite() {
            return Err(not_finite("loss", loss));
        }
        // Of a loss that has nothing left to gain all gradients are zero.
        if done == 0 && self.config.check_gradients && group.count > 0.0 && group.loss != 0.0 {
            let variables = self.model.backbone().named_variables();
            check_gradients(&variables, |name| self.model.gradient_may_be_zero(name))?;
        }
        let grad_norm = self.optimizer.gradient_norm()? / count;
        if !grad_norm.is_finite() {
            return Err(not_finite("gradient norm", grad_norm));
        }
        let clip = self.config.clip_factor(grad_norm);
        self.optimizer.step(learning_rate, clip / count)?;
        self.optimizer.zero_grad()?;
        self.state.global_step += 1;
        self.state.epoch = self.state.epochs_done as f64
            + self.state.batches_done as f64 / self.epoch_batches as f64;

        let record = StepRecord {
            step: self.state.global_step,
            epoch: self.state.epoch,
            loss,
            grad_norm,
            learning_rate,
        };
        self.log(record);
        for callback in self.callbacks.iter_mut() {
            if callback.on_step(&record) == Control::Stop {
                self.state.stopped = Some(Stopped::Callback);
            }
        }
        Ok(())
    }

    /// Evaluates, ends the run, and writes a checkpoint, each if it is time. If a
    /// callback has ended the run, its last step is completed when it is resumed.
    fn after_step(&mut self) -> Result<()> {
        let step = self.state.global_step;
        let run_ends = step == self.plan.total_steps;
        let evaluation_due = match self.config.eval_every {
            EvalEvery::Epoch => self.epoch_ends(),
            EvalEvery::Steps(every) => step.is_multiple_of(every),
        };
        let mut is_best = false;
        if (evaluation_due || run_ends) && !self.has_ended() {
            is_best = self.evaluate()?;
        }
        if run_ends {
            self.state.stopped.get_or_insert(Stopped::Finished);
        }
        let due = |saver: &Saver| saver.is_due(step, self.epoch_ends()) && !saver.has(step);
        let save = self.has_ended() || is_best && self.config.keep_best;
        if self.saver.as_ref().is_some_and(|saver| save || due(saver)) {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let Some(saver) = &mut self.saver else {
            return Ok(());
        };
        let backbone = self.model.backbone();
        let mut files = self.model.files();
        files.weights = copies(&files.weights)?;
        self.state.best = self.best.record();
        self.state.runtime = self.earlier + self.start.elapsed().as_secs_f64();
        let generator = native::generator_state(backbone.device());
        self.state.generator = hex(&generator.doing("reading the random generator")?);
        let mut state = self.state.clone();
        // A run that was interrupted goes on when it is resumed.
        state.stopped = state.stopped.filter(|why| *why != Stopped::Callback);
        let snapshot = Snapshot {
            files,
            optimizer: copies(&self.optimizer.state())?,
            state,
        };
        saver.write(snapshot, self.best.step_to_restore())
    }

    fn log(&mut self, record: StepRecord) {
        let due = record.step.is_multiple_of(self.config.log_every)
            || record.step == self.plan.total_steps;
        if due || record.step == 1 {
            let totals = std::mem::take(&mut self.state.unlogged);
            self.state.log_history.push(LogRecord::Step(StepRecord {
                loss: totals.mean_loss(),
                ..record
            }));
        }
    }

    /// Evaluates on the development set, once for each step; returns whether this is
    /// the best evaluation so far.
    fn evaluate(&mut self) -> Result<bool> {
        let step = self.state.global_step;
        let Some(dev) = self.dev.filter(|_| self.state.evaluated_at != Some(step)) else {
            return Ok(false);
        };
        let cached = |inputs: &mut Inputs| match &mut self.cache {
            Some(cache) => cache.attach(self.model, inputs),
            None => Ok(()),
        };
        let callbacks = &mut self.callbacks;
        let stops =
            |callback: &mut Box<dyn Callback + 'c>| callback.on_evaluation_batch() == Control::Stop;
        let control = || match callbacks.iter_mut().any(stops) {
            true => Control::Stop,
            false => Control::Continue,
        };
        let batch_size = self.config.eval_batch_size;
        let Some(evaluation) = evaluate_on(self.model, dev, batch_size, cached, control)? else {
            self.state.stopped = Some(Stopped::Callback);
            return Ok(false);
        };
        self.state.evaluated_at = Some(step);
        let name = self.config.metric.as_deref();
        let value = evaluation.main(name.unwrap_or(self.model.main_metric()))?;
        let is_best = self.best.offer(value, step, &self.trainable)?;
        let record = EvalRecord::new(step, self.state.epoch, &evaluation);
        for callback in self.callbacks.iter_mut() {
            if callback.on_evaluate(&record, is_best) == Control::Stop {
                self.state.stopped = Some(Stopped::Callback);
            }
        }
        self.state.log_history.push(LogRecord::Eval(record));
        // Whoever else has ended it, it is at its end, and does not go on when it is resumed.
        if self.best.is_stale() {
            self.state.stopped = Some(Stopped::EarlyStopping);
        }
        Ok(is_best)
    }

    pub(super) fn finish(mut self) -> Result<TrainReport> {
        if let Some(saver) = &mut self.saver {
            saver.finish()?;
        }
        self.best.restore(&self.trainable)?;
        let state = self.state;
        if state.seen.rows > 0 && state.seen.loss == 0.0 {
            log::warn!("the loss was 0 in all steps: there was nothing to learn");
        }
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
            log_history: state.log_history,
        };
        for callback in self.callbacks.iter_mut() {
            callback.on_end(&report);
        }
        Ok(report)
    }
}
