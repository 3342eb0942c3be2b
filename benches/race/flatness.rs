//! Do memory, file descriptors and threads stay as they are, over many steps and many
//! predictions of the tiny model?

use std::fs;

use bertfit::{
    BertClassifier, Callback, Control, Error, Example, Result, StepRecord, TrainConfig, Trainer,
};
use serde_json::{Value, json};

use crate::{Figures, from_status, number};

/// Share of the work after which everything has its size.
const WARM_UP: f64 = 0.2;

/// Texts of one call of `predict`.
const TEXTS_AT_ONCE: usize = 1000;

pub fn run(steps: &str, predictions: &str) -> Result<Figures> {
    let (steps, predictions) = (number(steps)?, number(predictions)?);
    let dir = tempfile::tempdir().map_err(|error| Error::config("folder", "writable", error))?;
    bertfit::write_tiny_model(dir.path())?;
    let mut classifier = BertClassifier::builder(dir.path())
        .labels(["negative", "positive"])
        .build()?;
    let rows: Vec<Example> = (0..400).map(row).collect();
    let config = TrainConfig {
        max_steps: Some(steps),
        // The history of a run is its own, and grows.
        log_every: steps,
        ..TrainConfig::default()
    };
    let mut training = Samples::new(steps);
    Trainer::new(config)?
        .callback(&mut training)
        .run(&mut classifier, &rows, None)?;

    let texts: Vec<String> = rows.into_iter().map(|row| row.text).collect();
    let calls = predictions / TEXTS_AT_ONCE;
    let texts: Vec<String> = texts.into_iter().cycle().take(TEXTS_AT_ONCE).collect();
    let mut predicting = Samples::new(calls);
    for call in 1..=calls {
        classifier.predict(&texts)?;
        predicting.take(call);
    }
    Ok(json!({
        "training_steps": steps,
        "training": training.figures(100.0),
        "predictions": calls * TEXTS_AT_ONCE,
        "predicting": predicting.figures(1.0),
    }))
}

/// Rows of other lengths, of the tiny model's words and of none of them.
fn row(number: usize) -> Example {
    let words = ["the", "film", "was", "great", "bad", "very", "odd", "café"];
    let word = |place: usize| words[(number * 31 + place * 7 + number / 8) % words.len()];
    let text: Vec<&str> = (0..3 + number % 40).map(word).collect();
    let label = if number.is_multiple_of(2) {
        "positive"
    } else {
        "negative"
    };
    Example::new(text.join(" "), label)
}

/// What the process has, now and then, after the warm-up.
struct Samples {
    warm_up: usize,
    every: usize,
    /// The step, resident KiB, open files and threads.
    taken: Vec<[f64; 4]>,
}

impl Samples {
    fn new(all: usize) -> Self {
        Self {
            warm_up: (all as f64 * WARM_UP) as usize,
            every: (all / 200).max(1),
            taken: Vec::with_capacity(200),
        }
    }

    fn take(&mut self, step: usize) {
        if step >= self.warm_up && step.is_multiple_of(self.every) {
            let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            let kib = from_status("VmRSS:").map_or(f64::NAN, |mib| 1024.0 * mib);
            let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
            let sample = [step as f64, kib, files as f64, threads as f64];
            self.taken.push(sample);
        }
    }

    /// The slope of the line of least squares is given for so many steps.
    fn figures(&self, steps: f64) -> Value {
        let column = |i: usize| self.taken.iter().map(move |sample| sample[i]);
        let mean = |i: usize| column(i).sum::<f64>() / self.taken.len() as f64;
        let (at, level) = (mean(0), mean(1));
        let along = |sample: &[f64; 4]| (sample[0] - at) * (sample[1] - level);
        let along: f64 = self.taken.iter().map(along).sum();
        let spread: f64 = column(0).map(|step| (step - at).powi(2)).sum();
        let range = |i: usize| {
            [
                column(i).fold(f64::MAX, f64::min),
                column(i).fold(0.0, f64::max),
            ]
        };
        json!({
            "kib_per_unit": steps * along / spread,
            "unit_steps": steps,
            "resident_kib": range(1),
            "resident_kib_first_and_last": [
                self.taken.first().map(|sample| sample[1]),
                self.taken.last().map(|sample| sample[1]),
            ],
            "files": range(2),
            "threads": range(3),
        })
    }
}

impl Callback for &mut Samples {
    fn on_step(&mut self, record: &StepRecord) -> Control {
        self.take(record.step);
        Control::Continue
    }
}
