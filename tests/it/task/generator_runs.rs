//! Runs of a generator: stopped, frozen, with less memory.

use std::path::Path;

use bertfit::tch::Tensor;
use bertfit::{
    BertGenerator, BertGeneratorBuilder, Callback, CheckpointEvery, Checkpoints, Control,
    FineTuner, Freeze, StepRecord, TrainConfig, Trainer,
};

use super::generator::backwards;
use crate::fixture::{assert_close, tiny, without_dropout};

fn config() -> TrainConfig {
    TrainConfig {
        epochs: 2.0,
        batch_size: 2,
        learning_rate: 1e-3,
        ..TrainConfig::default()
    }
}

#[track_caller]
fn weights_after(builder: BertGeneratorBuilder, config: &TrainConfig) -> Vec<(String, Tensor)> {
    let mut model = builder.build().expect("a model");
    let train = backwards();
    model.fit(&train, &train, config).expect("a run");
    let weights = model.backbone().named_variables();
    weights.into_iter().collect()
}

#[test]
fn training_is_the_same_each_time_and_with_less_memory() {
    for tied in [false, true] {
        let builder = || BertGenerator::builder(tiny()).tie_encoder_decoder(tied);
        let once = weights_after(builder(), &config());
        let again = weights_after(builder(), &config());
        let checkpointed = TrainConfig {
            gradient_checkpointing: true,
            ..config()
        };
        let checkpointed = weights_after(builder(), &checkpointed);
        for (((name, a), (_, b)), (_, c)) in once.iter().zip(&again).zip(&checkpointed) {
            assert_eq!(a, b, "{name}");
            // The gradient of a key's bias is rounding error, which AdamW makes large.
            if !name.ends_with(".self.key.bias") {
                assert_close(name, a, c, 1e-6);
            }
        }
    }
}

#[test]
fn frozen_weights_stay_and_can_be_computed_once() {
    let before = BertGenerator::builder(tiny()).build().expect("a model");
    let before = before.backbone().named_variables();
    for (tied, freeze) in [
        (false, Freeze::Encoder),
        (false, Freeze::Layers(1)),
        (true, Freeze::Embeddings),
        (true, Freeze::Encoder),
    ] {
        let frozen = TrainConfig { freeze, ..config() };
        let builder = BertGenerator::builder(tiny()).tie_encoder_decoder(tied);
        let weights = weights_after(builder, &frozen);
        for (name, weight) in &weights {
            if freeze.covers(name) {
                assert_eq!(weight, &before[name], "{name}");
            }
        }
        if freeze == Freeze::Encoder {
            // What frozen layers make without dropout is what they make each time.
            let plain = without_dropout(&tiny());
            let run = |cache_frozen| {
                let config = TrainConfig {
                    cache_frozen,
                    ..frozen.clone()
                };
                let builder = BertGenerator::builder(plain.path());
                weights_after(builder.tie_encoder_decoder(tied), &config)
            };
            for ((name, a), (_, b)) in run(false).iter().zip(&run(true)) {
                // The gradient of a key's bias is rounding error, which AdamW makes large.
                if !name.ends_with(".self.key.bias") {
                    assert_close(name, a, b, 1e-5);
                }
            }
        }
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_as_if_it_had_not() {
    for tied in [false, true] {
        let builder = || {
            let builder = BertGenerator::builder(tiny()).tie_encoder_decoder(tied);
            builder.build().expect("a model")
        };
        let train = backwards();
        let run = |dir: Option<&Path>, stop: Option<usize>, resume: bool| {
            let mut model = builder();
            let mut trainer = Trainer::new(config()).expect("a trainer");
            if let Some(dir) = dir {
                let checkpoints = Checkpoints::new(dir).every(CheckpointEvery::Steps(2));
                trainer = trainer.checkpoints(checkpoints.resume(resume));
            }
            if let Some(step) = stop {
                trainer = trainer.callback(StopAt(step));
            }
            trainer
                .run(&mut model, &train, Some(&train))
                .expect("a run");
            model.backbone().named_variables()
        };
        let whole = run(None, None, false);
        let dir = tempfile::tempdir().expect("a temporary folder");
        run(Some(dir.path()), Some(4), false);
        let resumed = run(Some(dir.path()), None, true);
        for (name, weight) in &whole {
            assert_eq!(weight, &resumed[name], "{name}");
        }
    }
}

/// Stops a run after a step.
struct StopAt(usize);

impl Callback for StopAt {
    fn on_step(&mut self, record: &StepRecord) -> Control {
        match record.step == self.0 {
            true => Control::Stop,
            false => Control::Continue,
        }
    }
}
