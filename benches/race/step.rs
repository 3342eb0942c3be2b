//! Whole training steps of a model with random weights, on rows without padding.

use std::time::Instant;

use bertfit::{
    BertClassifier, Callback, Control, Example, Result, StepRecord, TrainConfig, Trainer,
};
use serde_json::json;

use crate::{Figures, median, number, precision};

#[path = "../stage/model.rs"]
mod model;

const WARM_UP: usize = 2;
const STEPS: usize = 6;

pub fn run(shape: &str, rows: &str, length: &str, numbers: &str) -> Result<Figures> {
    let (rows, length) = (number(rows)?, number(length)?);
    let found = model::SHAPES.into_iter().find(|(name, _)| *name == shape);
    let (_, shape) =
        found.ok_or_else(|| bertfit::Error::config("shape", "minilm or base", shape))?;
    let dir = model::folder(shape);
    let mut classifier = BertClassifier::builder(dir.path())
        .labels(["a", "b"])
        .precision(precision(numbers)?)
        .build()?;
    let examples: Vec<Example> = model::examples(rows * (WARM_UP + STEPS), length);
    let config = TrainConfig {
        batch_size: rows,
        epochs: 1.0,
        ..TrainConfig::default()
    };
    let mut clock = Clock(vec![Instant::now()]);
    Trainer::new(config)?
        .callback(&mut clock)
        .run(&mut classifier, &examples, None)?;
    let seconds = clock
        .0
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64());
    let seconds = median(seconds.skip(WARM_UP).collect());
    Ok(json!({"rows_per_second": rows as f64 / seconds}))
}

/// Notes when each step ended.
struct Clock(Vec<Instant>);

impl Callback for &mut Clock {
    fn on_step(&mut self, _: &StepRecord) -> Control {
        self.0.push(Instant::now());
        Control::Continue
    }
}
