//! A run's checkpoints: written, gone on from, and gone back to.

use super::Run;
use crate::checkpoint::{Checkpoints, hex};
use crate::data::Dataset;
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, ItemOf};
use crate::native;
use crate::train::best::copies;
use crate::train::identity::Identity;
use crate::train::report::Stopped;
use crate::train::saver::{Saver, Snapshot};
use crate::train::state::RunState;
use crate::train::warning::Warning;

impl<M: FineTuner> Run<'_, '_, M> {
    /// Gets ready to write checkpoints, and goes on from one if that is wanted.
    pub(in crate::train) fn open_checkpoints(
        &mut self,
        checkpoints: Option<&Checkpoints>,
        train: &dyn Dataset<Item = ItemOf<M>>,
    ) -> Result<()> {
        let goes_back = self.config.on_not_finite.goes_back();
        let Some(checkpoints) = checkpoints else {
            let rule = "one that needs no checkpoints, where none are written";
            return match goes_back {
                true => Err(Error::config("on_not_finite", rule, "go_back")),
                false => Ok(()),
            };
        };
        let identity = Identity::of(self.config, self.model, train, self.dev)?;
        let mut saver = Saver::new(checkpoints, identity)?;
        let keep_best = self.config.keep_best;
        let needs = |state: &RunState| {
            let best = state.best.global_step.filter(|_| keep_best);
            [best, state.back_to.filter(|_| goes_back)]
        };
        let resumed = saver.resumed(needs, self.plan.total_steps)?;
        self.saver = Some(saver);
        match resumed {
            Some(state) => {
                self.plan.resumed_step = state.global_step;
                self.earlier = state.runtime;
                self.take_over(state)
            }
            None if goes_back => {
                self.state.back_to = Some(0);
                self.save()
            }
            None => Ok(()),
        }
    }

    /// Makes weights, moments and state those of the checkpoint that `state` is of.
    fn take_over(&mut self, state: RunState) -> Result<()> {
        let Some(saver) = &self.saver else {
            return Ok(());
        };
        let files = self.model.files();
        let step = state.global_step;
        let kept = state.best.global_step.filter(|_| self.config.keep_best);
        if let Some(best) = kept {
            saver.load_weights(best, &files.weights)?;
        }
        let weights = kept.map(|_| copies(&self.changing)).transpose()?;
        self.best.resume(state.best, weights);
        saver.load_weights(step, &files.weights)?;
        self.optimizer.load_state(&saver.optimizer_state(step)?)?;
        self.state = state;
        Ok(())
    }

    /// Goes back to the last checkpoint, for the reason given. The pass over the data ends
    /// here; the next one begins where the checkpoint was made.
    pub(super) fn go_back(&mut self, problem: &Error) -> Result<()> {
        let (Some(saver), Some(step)) = (&mut self.saver, self.state.back_to) else {
            return Ok(());
        };
        let state = saver.go_back(step)?;
        let went_back = self.state.went_back + 1;
        let halvings = self.state.halvings;
        let warnings = std::mem::take(&mut self.state.warnings);
        self.take_over(RunState {
            went_back,
            halvings,
            warnings,
            ..state
        })?;
        self.warn(Warning::WentBack {
            problem: problem.to_string(),
            to_step: step,
            rate_factor: self.config.on_not_finite.rate_factor(went_back),
        });
        self.rewound = true;
        Ok(())
    }

    /// Writes the checkpoint of this step, or only its state where the rest is written already.
    pub(super) fn save(&mut self) -> Result<()> {
        let Some(saver) = &mut self.saver else {
            return Ok(());
        };
        let backbone = self.model.backbone();
        self.state.best = self.best.record();
        self.state.runtime = self.earlier + self.start.elapsed().as_secs_f64();
        let generator = native::generator_state(backbone.device());
        self.state.generator = hex(&generator.doing("reading the random generator")?);
        let mut state = self.state.clone();
        // A run that was interrupted goes on when it is resumed.
        state.stopped = state.stopped.filter(|why| *why != Stopped::Callback);
        let back_to = self.state.back_to;
        let back_to = back_to.filter(|_| self.config.on_not_finite.goes_back());
        let needed = [self.best.step_to_restore(), back_to];
        if saver.has(state.global_step) {
            saver.renew(state, needed);
            return Ok(());
        }
        let mut files = self.model.files();
        files.weights = copies(&files.weights)?;
        let snapshot = Snapshot {
            files,
            optimizer: copies(&self.optimizer.state())?,
            state,
        };
        saver.write(snapshot, needed)
    }
}
