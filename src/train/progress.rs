//! The ready-made callback: a progress bar on standard error. Where that is not a
//! terminal, nothing is drawn.

use indicatif::{ProgressBar as Bar, ProgressStyle};

use super::callback::{Callback, Control};
use super::report::{EvalRecord, Plan, StepRecord, TrainReport};

/// Draws steps, loss and the time left; prints a line for each evaluation.
#[derive(Debug, Default)]
pub struct ProgressBar {
    bar: Option<Bar>,
}

impl ProgressBar {
    /// A bar that appears when the run starts.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Callback for ProgressBar {
    fn on_start(&mut self, plan: &Plan) {
        let bar = Bar::new(plan.total_steps as u64);
        let template = "{bar:40} {pos}/{len} steps, {eta} left, {msg}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()),
        );
        bar.set_position(plan.resumed_step as u64);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn on_step(&mut self, record: &StepRecord) -> Control {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("loss {:.4}", record.loss));
            bar.set_position(record.step as u64);
        }
        Control::Continue
    }

    fn on_evaluate(&mut self, record: &EvalRecord, best: bool) -> Control {
        if let Some(bar) = &self.bar {
            let untimed = |name: &str| {
                !["samples", "runtime", "per_second"]
                    .iter()
                    .any(|part| name.ends_with(part))
            };
            let numbers = record.metrics.iter().filter(|(name, _)| untimed(name));
            let numbers: Vec<_> = numbers
                .map(|(name, value)| format!("{name} {value:.4}"))
                .collect();
            let best = if best { ", the best so far" } else { "" };
            bar.println(format!(
                "epoch {:.2}: {}{best}",
                record.epoch,
                numbers.join(", ")
            ));
        }
        Control::Continue
    }

    fn on_end(&mut self, _report: &TrainReport) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
