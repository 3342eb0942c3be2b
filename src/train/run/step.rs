//! One optimizer step, and what is done if its loss or its gradient is not a number.

use super::Run;
use crate::error::{Error, Result};
use crate::fine_tuner::FineTuner;
use crate::train::callback::Control;
use crate::train::gradient_check::check_gradients;
use crate::train::not_finite::{OnNotFinite, largest_parameter};
use crate::train::report::{StepRecord, Stopped};
use crate::train::warning::Warning;

impl<M: FineTuner> Run<'_, '_, M> {
    pub(super) fn optimizer_step(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        let learning_rate = self.learning_rate();
        // A step may have nothing to learn from, if none of its tokens has a label.
        let count = match group.seen.count {
            0.0 => 1.0,
            count => count,
        };
        let loss = group.seen.loss / count;
        let grad_norm = self.optimizer.gradient_norm()? / count;
        let numbers = [("loss", loss), ("gradient norm", grad_norm)];
        let wrong = numbers.into_iter().find(|(_, value)| !value.is_finite());
        if let Some((what, value)) = wrong {
            self.optimizer.zero_grad()?;
            let (parameter, largest) = largest_parameter(&self.model.backbone().named_variables())?;
            self.not_finite(Error::NotFinite {
                what,
                value,
                step: self.state.global_step + 1,
                learning_rate,
                rows: group.rows,
                parameter,
                largest,
            })?;
            if self.rewound {
                return Ok(());
            }
            // They were seen, but their loss is no number to add.
            for totals in [&mut self.state.seen, &mut self.state.unlogged] {
                totals.rows += group.seen.rows;
                totals.tokens += group.seen.tokens;
            }
        } else {
            // Of a loss that has nothing left to gain all gradients are zero.
            let is_first = self.state.global_step == self.state.skipped_steps;
            let can_learn = group.seen.count > 0.0 && group.seen.loss != 0.0;
            if is_first && self.config.check_gradients && can_learn {
                let variables = self.model.backbone().named_variables();
                check_gradients(&variables, |name| self.model.gradient_may_be_zero(name))?;
            }
            let clip = self.config.clip_factor(grad_norm);
            self.optimizer.step(learning_rate, clip / count)?;
            self.optimizer.zero_grad()?;
            for totals in [&mut self.state.seen, &mut self.state.unlogged] {
                totals.add(&group.seen);
            }
        }
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
        if wrong.is_none() {
            self.log(record);
        }
        self.judge_loss(wrong.is_none().then_some(loss));
        for callback in self.callbacks.iter_mut() {
            if callback.on_step(&record) == Control::Stop {
                self.state.stopped = Some(Stopped::Callback);
            }
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        let (step, plan) = (self.state.global_step, &self.plan);
        let schedule = self.config.schedule;
        let factor = schedule.factor(step, plan.warmup_steps, plan.total_steps);
        let lowered = self.config.on_not_finite.rate_factor(self.state.went_back);
        self.config.learning_rate * factor * lowered
    }

    /// Skips the step, goes back, or gives `problem` back, as the configuration says.
    fn not_finite(&mut self, problem: Error) -> Result<()> {
        let weights_are_finite =
            matches!(problem, Error::NotFinite { largest, .. } if largest.is_finite());
        match self.config.on_not_finite {
            OnNotFinite::SkipStep { at_most }
                if self.state.skipped_steps < at_most && weights_are_finite =>
            {
                self.state.skipped_steps += 1;
                let problem = problem.to_string();
                self.warn(Warning::SkippedStep { problem });
                Ok(())
            }
            // The first step after a checkpoint would be the same again, whatever the rate.
            OnNotFinite::GoBack { at_most, .. }
                if self.state.went_back < at_most
                    && self.state.back_to != Some(self.state.global_step) =>
            {
                self.go_back(&problem)
            }
            _ => Err(problem),
        }
    }

    /// Watches the loss in the first epoch.
    fn judge_loss(&mut self, loss: Option<f64>) {
        let in_epoch = self.epoch_batches.div_ceil(self.config.accumulate);
        let (step, steps) = (self.state.global_step, in_epoch.min(self.plan.total_steps));
        if self.state.epochs_done > 0 {
            return;
        }
        if let Some(loss) = loss {
            self.state.first_epoch.add(step, steps, loss);
        }
        let is_known = |warning: &Warning| matches!(warning, Warning::LossDidNotFall { .. });
        let is_new = !self.state.warnings.iter().any(is_known);
        if let Some(warning) = self.state.first_epoch.judge(step, steps).filter(|_| is_new) {
            self.warn(warning);
        }
    }
}
