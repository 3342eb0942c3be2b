//! What comes after an optimizer step: the log, an evaluation, a checkpoint, the end.

use super::Run;
use crate::data::Dataset;
use crate::encode::Inputs;
use crate::error::Result;
use crate::fine_tuner::{FineTuner, ItemOf};
use crate::train::callback::{Callback, Control};
use crate::train::config::EvalEvery;
use crate::train::evaluation::{evaluate_on, row_lengths};
use crate::train::report::{EvalRecord, LogRecord, StepRecord, Stopped};
use crate::train::saver::Saver;
use crate::train::warning::Warning;

/// Fewer predictions may be the same by chance.
const LEAST_PREDICTIONS: usize = 20;

impl<'c, M: FineTuner> Run<'_, 'c, M> {
    /// Evaluates, ends the run, and writes a checkpoint, each if it is time. If a
    /// callback has ended the run, its last step is completed when it is resumed.
    pub(super) fn after_step(&mut self) -> Result<()> {
        let step = self.state.global_step;
        let run_ends = step == self.plan.total_steps;
        let evaluation_due = match self.config.eval_every {
            EvalEvery::Epoch => self.epoch_ends(),
            EvalEvery::Steps(every) => step.is_multiple_of(every),
        };
        let due = |saver: &Saver| saver.is_due(step, self.epoch_ends());
        let due = self.saver.as_ref().is_some_and(due);
        if due {
            self.state.back_to = Some(step);
        }
        let dev = self
            .dev
            .filter(|_| (evaluation_due || run_ends) && !self.has_ended());
        // Once for each step.
        let dev = dev.filter(|_| self.state.evaluated_at != Some(step));
        // Before the evaluation, which may fail, or end the process.
        if (due || run_ends && dev.is_some()) && !self.is_saved() {
            self.save()?;
        }
        let is_best = match dev.map(|dev| self.evaluate(dev)) {
            None => false,
            Some(Ok(is_best)) => is_best && self.config.keep_best,
            Some(Err(error)) => {
                self.save_steps();
                return Err(error);
            }
        };
        if run_ends {
            self.state.stopped.get_or_insert(Stopped::Finished);
        }
        if is_best {
            self.state.back_to = Some(step);
        }
        if self.has_ended() || is_best || dev.is_some() && self.is_saved() {
            self.save()?;
        }
        Ok(())
    }

    /// Whether the newest checkpoint is of this step.
    fn is_saved(&self) -> bool {
        let step = self.state.global_step;
        self.saver.as_ref().is_some_and(|saver| saver.has(step))
    }

    /// Writes a checkpoint for a run that is about to end with an error, which is the one to tell.
    fn save_steps(&mut self) {
        if !self.is_saved()
            && let Err(error) = self.save()
        {
            log::error!("{}", error.chain());
        }
    }

    pub(super) fn log(&mut self, record: StepRecord) {
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

    /// Evaluates on the development set; returns whether this is the best evaluation so far.
    fn evaluate(&mut self, dev: &dyn Dataset<Item = ItemOf<M>>) -> Result<bool> {
        let step = self.state.global_step;
        // Rows are sorted by them, so that a set which changes may keep them.
        if self.dev_lengths.len() != dev.len() {
            self.dev_lengths = row_lengths(self.model, dev)?;
        }
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
        let (lengths, batch_size) = (&self.dev_lengths, self.config.eval_batch_size);
        let evaluated = evaluate_on(self.model, dev, lengths, batch_size, cached, control);
        let Some(evaluation) = evaluated? else {
            self.state.stopped = Some(Stopped::Callback);
            return Ok(false);
        };
        let name = self.config.metric_name();
        let value = evaluation.main(name.unwrap_or(self.model.main_metric()))?;
        let is_best = self.best.offer(value, step, &self.changing)?;
        self.state.evaluated_at = Some(step);
        let record = EvalRecord::new(step, self.state.epoch, &evaluation);
        for callback in self.callbacks.iter_mut() {
            if callback.on_evaluate(&record, is_best) == Control::Stop {
                self.state.stopped = Some(Stopped::Callback);
            }
        }
        self.state.log_history.push(LogRecord::Eval(record));
        self.judge_predictions(evaluation.one_prediction);
        // Whoever else has ended it, it is at its end, and does not go on when it is resumed.
        if self.best.is_stale() {
            self.state.stopped = Some(Stopped::EarlyStopping);
        }
        Ok(is_best)
    }

    /// The same prediction for all of a few rows, or early in a run, is no wonder.
    fn judge_predictions(&mut self, one_prediction: Option<String>) {
        let step = self.state.global_step;
        let is_known = |warning: &Warning| matches!(warning, Warning::OnePrediction { .. });
        let is_new = !self.state.warnings.iter().any(is_known);
        let is_late = 2 * step >= self.plan.total_steps;
        let are_many = self.dev.is_some_and(|dev| dev.len() >= LEAST_PREDICTIONS);
        if let Some(prediction) = one_prediction.filter(|_| is_new && is_late && are_many) {
            self.warn(Warning::OnePrediction { step, prediction });
        }
    }
}
