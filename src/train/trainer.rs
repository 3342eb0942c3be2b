//! The loop. It knows no task and no file format: a model gives logits and losses,
//! a collator gives batches, and everything that varies stands in `TrainConfig`.

use std::collections::BTreeMap;
use std::time::Instant;

use tch::Tensor;

use super::best::Best;
use super::callback::{Callback, Control};
use super::config::{EvalEvery, TrainConfig};
use super::evaluation::evaluate;
use super::gradient_check::check_gradients;
use super::optimizer::AdamW;
use super::report::{EvalRecord, LogRecord, Plan, StepRecord, Stopped, TrainReport};
use crate::data::Dataset;
use crate::encode::{Batch, lengths, load, mix};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, ItemOf, TargetOf};

/// Trains any [`FineTuner`] as a [`TrainConfig`] says.
#[derive(Default)]
pub struct Trainer<'c> {
    config: TrainConfig,
    callbacks: Vec<Box<dyn Callback + 'c>>,
}

impl<'c> Trainer<'c> {
    /// # Errors
    /// When a number of the configuration is out of its range.
    pub fn new(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            callbacks: Vec::new(),
        })
    }

    /// Adds a callback; they are called in the order they were added.
    pub fn callback(mut self, callback: impl Callback + 'c) -> Self {
        self.callbacks.push(Box::new(callback));
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
    /// # Errors
    /// When a set is empty, an example cannot be used, gradients do not flow as
    /// they should, or the loss is no longer finite. The model then keeps the
    /// weights of the last step that was made.
    pub fn run<M: FineTuner>(
        &mut self,
        model: &mut M,
        train: &dyn Dataset<Item = ItemOf<M>>,
        dev: Option<&dyn Dataset<Item = ItemOf<M>>>,
    ) -> Result<TrainReport> {
        let mut run = Run::new(&self.config, &mut self.callbacks, model, train.len(), dev)?;
        let collator = model.collator()?;
        let sampler = self.config.sampler();
        let lengths = lengths(train, &collator, &sampler)?;
        run.plan_steps(|epoch| sampler.batches(&lengths, epoch).len());
        let device = model.backbone().device();
        for callback in run.callbacks.iter_mut() {
            callback.on_start(&run.plan);
        }
        for epoch in 0.. {
            tch::manual_seed(mix(self.config.seed, epoch as u64) as i64);
            let batches = sampler.batches(&lengths, epoch);
            (run.epochs_done, run.batches_done, run.epoch_batches) = (epoch, 0, batches.len());
            load(train, &collator, &batches, device, |rows, batch| {
                run.micro_batch(rows, &batch)
            })?;
            if run.stopped.is_none() && self.config.eval_every == EvalEvery::Epoch {
                run.evaluate()?;
            }
            if run.stopped.is_some() {
                break;
            }
        }
        run.finish()
    }
}

/// A run on its way.
struct Run<'a, 'c, M: FineTuner> {
    config: &'a TrainConfig,
    callbacks: &'a mut [Box<dyn Callback + 'c>],
    model: &'a M,
    dev: Option<&'a dyn Dataset<Item = ItemOf<M>>>,
    plan: Plan,
    optimizer: AdamW,
    trainable: BTreeMap<String, Tensor>,
    best: Best,
    group: Group,
    epochs_done: usize,
    /// Batches of this epoch that are done, and all of them.
    batches_done: usize,
    epoch_batches: usize,
    step: usize,
    seen: Totals,
    unlogged: Totals,
    evaluated_at: Option<usize>,
    stopped: Option<Stopped>,
    log_history: Vec<LogRecord>,
    start: Instant,
}

/// The batches of one optimizer step.
#[derive(Default)]
struct Group {
    batches: usize,
    rows: Vec<usize>,
    loss: f64,
    count: f64,
}

#[derive(Default)]
struct Totals {
    loss: f64,
    count: f64,
    rows: usize,
    tokens: usize,
}

impl<'a, 'c, M: FineTuner> Run<'a, 'c, M> {
    fn new(
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
                let (rule, got) = ("a data set with rows".to_owned(), "an empty one".to_owned());
                return Err(Error::Config { field, rule, got });
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
        };
        let shallow = trainable
            .iter()
            .map(|(name, x)| (name.clone(), x.shallow_clone()))
            .collect();
        let mut optimizer = AdamW::new(shallow, config.optimizer)?;
        optimizer.zero_grad();
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
            group: Group::default(),
            epochs_done: 0,
            batches_done: 0,
            epoch_batches: 0,
            step: 0,
            seen: Totals::default(),
            unlogged: Totals::default(),
            evaluated_at: None,
            stopped: None,
            log_history: Vec::new(),
            start: Instant::now(),
        })
    }

    /// Counts the steps of the run; epochs differ if batches are cut by tokens.
    fn plan_steps(&mut self, batches: impl Fn(usize) -> usize) {
        let steps = |epoch| batches(epoch).div_ceil(self.config.accumulate);
        let whole = self.config.epochs.floor();
        let part = self.config.epochs - whole;
        let total_steps = self.config.max_steps.unwrap_or_else(|| {
            let last = (part * steps(whole as usize) as f64).ceil() as usize;
            (0..whole as usize).map(steps).sum::<usize>() + last
        });
        self.plan.total_steps = total_steps;
        self.plan.warmup_steps = self.config.warmup.steps(total_steps);
    }

    /// One forward and backward pass, and the optimizer's step if it completes a
    /// group. Returns whether the run goes on.
    fn micro_batch(&mut self, rows: &[usize], batch: &Batch<TargetOf<M>>) -> Result<bool> {
        let logits = self.model.logits(&batch.inputs, true)?;
        let loss = self.model.loss(&logits, &batch.target)?;
        loss.sum.f_backward().doing("computing gradients")?;
        let sum = loss.sum.f_double_value(&[]).doing("reading the loss")?;

        self.group.batches += 1;
        self.group.rows.extend_from_slice(rows);
        self.group.loss += sum;
        self.group.count += loss.count;
        for totals in [&mut self.seen, &mut self.unlogged] {
            totals.loss += sum;
            totals.count += loss.count;
            totals.rows += rows.len();
            totals.tokens += batch.tokens;
        }
        self.batches_done += 1;
        // The last group of an epoch may have fewer batches; it steps all the same.
        let epoch_ends = self.batches_done == self.epoch_batches;
        if self.group.batches == self.config.accumulate || epoch_ends {
            self.optimizer_step()?;
        }
        Ok(self.stopped.is_none())
    }

    fn optimizer_step(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        let Plan {
            total_steps,
            warmup_steps,
            ..
        } = self.plan;
        let factor = self
            .config
            .schedule
            .factor(self.step, warmup_steps, total_steps);
        let learning_rate = self.config.learning_rate * factor;
        let loss = group.loss / group.count;
        let not_finite = |what, value| {
            let (step, rows) = (self.step + 1, group.rows.clone());
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
        if self.step == 0 && self.config.check_gradients {
            check_gradients(&self.model.backbone().named_variables())?;
        }
        let clip = self.config.max_grad_norm;
        let grad_norm = self.optimizer.clip_gradients(1.0 / group.count, clip)?;
        if !grad_norm.is_finite() {
            return Err(not_finite("gradient norm", grad_norm));
        }
        self.optimizer.step(learning_rate)?;
        self.optimizer.zero_grad();
        self.step += 1;

        let epoch = self.epoch();
        let record = StepRecord {
            step: self.step,
            epoch,
            loss,
            grad_norm,
            learning_rate,
        };
        self.log(record);
        for callback in self.callbacks.iter_mut() {
            if callback.on_step(&record) == Control::Stop {
                self.stopped = Some(Stopped::Callback);
            }
        }
        if let EvalEvery::Steps(every) = self.config.eval_every
            && self.step.is_multiple_of(every)
        {
            self.evaluate()?;
        }
        if self.step == total_steps && self.stopped.is_none() {
            // The end of the run is also the end of its last epoch.
            self.evaluate()?;
            self.stopped.get_or_insert(Stopped::Finished);
        }
        Ok(())
    }

    fn log(&mut self, record: StepRecord) {
        let due = record.step.is_multiple_of(self.config.log_every)
            || record.step == self.plan.total_steps;
        if due || record.step == 1 {
            let Totals { loss, count, .. } = std::mem::take(&mut self.unlogged);
            self.log_history.push(LogRecord::Step(StepRecord {
                loss: loss / count,
                ..record
            }));
        }
    }

    /// Evaluates on the development set, once for each step.
    fn evaluate(&mut self) -> Result<()> {
        let Some(dev) = self.dev.filter(|_| self.evaluated_at != Some(self.step)) else {
            return Ok(());
        };
        self.evaluated_at = Some(self.step);
        let evaluation = evaluate(self.model, dev, self.config.eval_batch_size)?;
        let name = self
            .config
            .metric
            .as_deref()
            .unwrap_or(self.model.main_metric());
        let value = evaluation.get(name).ok_or_else(|| {
            let known: Vec<_> = evaluation.metrics.keys().map(String::as_str).collect();
            let rule = format!("loss or one of {}", known.join(", "));
            Error::Config {
                field: "metric",
                rule,
                got: name.to_owned(),
            }
        })?;
        let is_best = self.best.offer(value, self.step, &self.trainable)?;
        let record = EvalRecord::new(self.step, self.epoch(), &evaluation);
        for callback in self.callbacks.iter_mut() {
            if callback.on_evaluate(&record, is_best) == Control::Stop {
                self.stopped = Some(Stopped::Callback);
            }
        }
        self.log_history.push(LogRecord::Eval(record));
        if self.best.is_stale() {
            self.stopped.get_or_insert(Stopped::EarlyStopping);
        }
        Ok(())
    }

    fn epoch(&self) -> f64 {
        self.epochs_done as f64 + self.batches_done as f64 / self.epoch_batches.max(1) as f64
    }

    fn finish(self) -> Result<TrainReport> {
        self.best.restore(&self.trainable)?;
        let train_runtime = self.start.elapsed().as_secs_f64();
        let report = TrainReport {
            plan: self.plan,
            stopped: self.stopped.unwrap_or(Stopped::Finished),
            global_step: self.step,
            epoch: self.epoch(),
            train_loss: self.seen.loss / self.seen.count,
            train_runtime,
            train_samples_per_second: self.seen.rows as f64 / train_runtime,
            train_tokens_per_second: self.seen.tokens as f64 / train_runtime,
            best_metric: self.best.value(),
            best_step: self.best.step(),
            log_history: self.log_history,
        };
        for callback in self.callbacks.iter_mut() {
            callback.on_end(&report);
        }
        Ok(report)
    }
}
