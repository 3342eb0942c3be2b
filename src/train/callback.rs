//! What a caller may watch of a run, and how to end one.

use super::report::{EvalRecord, Plan, StepRecord, TrainReport};

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// It goes on.
    Continue,
    /// It ends after this step; what was learnt so far is kept.
    Stop,
}

/// Watches a run; every method has a default that does nothing.
pub trait Callback {
    /// Before the first step.
    fn on_start(&mut self, _plan: &Plan) {}

    /// After each optimizer step.
    fn on_step(&mut self, _record: &StepRecord) -> Control {
        Control::Continue
    }

    /// After each batch of an evaluation. Where it stops, the evaluation is given up;
    /// it is made when the run is resumed.
    fn on_evaluation_batch(&mut self) -> Control {
        Control::Continue
    }

    /// After each evaluation; `best` tells whether it is the best so far.
    fn on_evaluate(&mut self, _record: &EvalRecord, _best: bool) -> Control {
        Control::Continue
    }

    /// After the last step.
    fn on_end(&mut self, _report: &TrainReport) {}
}
