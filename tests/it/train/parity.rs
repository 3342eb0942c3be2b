//! Twenty steps of the whole trainer against `torch.optim.AdamW` with transformers'
//! model, schedule and clipping, as `make_reference.py` has written them.

use std::path::Path;

use bertfit::tch::{Kind, Tensor};
use bertfit::{
    AdamWConfig, BertClassifier, Dataset, Example, FineTuner, LogRecord, Sampler, StepRecord,
    TrainConfig, Trainer, Warmup,
};

use crate::fixture::{assert_close, data, minilm, rows, tensors, tiny, without_dropout};

const STEPS: usize = 20;
const BATCH: usize = 8;

/// Rows that come out of the sampler's shuffle in the order they are given here.
struct InOrder {
    rows: Vec<Example>,
    place: Vec<usize>,
}

impl InOrder {
    fn new(rows: Vec<Example>, sampler: Sampler) -> Self {
        let order = sampler.batches(&vec![0; rows.len()], 0).concat();
        let mut place = vec![0; order.len()];
        for (position, row) in order.into_iter().enumerate() {
            place[row] = position;
        }
        Self { rows, place }
    }
}

impl Dataset for InOrder {
    type Item = Example;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, index: usize) -> bertfit::Result<Example> {
        Ok(self.rows[self.place[index]].clone())
    }
}

/// `accumulate` splits each batch of the reference.
fn training_equals(model: &Path, reference: &str, accumulate: usize) {
    let expected = tensors(data(reference));
    let dir = without_dropout(model);
    let mut classifier = BertClassifier::builder(dir.path())
        .labels(["0", "1"])
        .dropout(0.0)
        .max_length(32)
        .build()
        .expect("a classifier");
    let variables = classifier.backbone().named_variables();
    for name in ["classifier.weight", "classifier.bias"] {
        bertfit::tch::no_grad(|| variables[name].shallow_clone().copy_(&expected[name]));
    }

    let config = TrainConfig {
        max_steps: Some(STEPS),
        batch_size: BATCH / accumulate,
        accumulate,
        learning_rate: 5e-4,
        warmup: Warmup::Steps(4),
        optimizer: AdamWConfig {
            weight_decay: 0.01,
            ..AdamWConfig::default()
        },
        max_grad_norm: Some(1.0),
        group_by_length: false,
        log_every: 1,
        ..TrainConfig::default()
    };
    let train = InOrder::new(rows(), config.sampler());
    let report = Trainer::new(config)
        .expect("a valid configuration")
        .run(&mut classifier, &train, None)
        .expect("a run");

    let records: Vec<StepRecord> = report
        .log_history
        .iter()
        .filter_map(|record| match record {
            LogRecord::Step(step) => Some(*step),
            LogRecord::Eval(_) => None,
        })
        .collect();
    assert_eq!(records.len(), STEPS);
    let column = |value: fn(&StepRecord) -> f64| {
        Tensor::from_slice(&records.iter().map(value).collect::<Vec<_>>())
    };
    assert_close("losses", &column(|r| r.loss), &expected["losses"], 1e-4);
    // Norms are sums over all weights; they are compared in proportion.
    let norms = column(|r| r.grad_norm) / &expected["grad_norms"];
    assert_close("gradient norms", &norms, &norms.ones_like(), 1e-3);

    for (name, variable) in &variables {
        // Softmax does not see this one: its gradient is rounding error, which AdamW
        // scales up to whole steps in both programs.
        if name.ends_with("attention.self.key.bias") {
            continue;
        }
        let flat = variable.flatten(0, -1);
        let expected = &expected[&format!("after.{name}")];
        // A large model's reference holds 64 numbers of each tensor.
        let stride = if flat.size() == expected.size() {
            1
        } else {
            (flat.size()[0] + 63) / 64
        };
        let kept = flat.slice(0, 0, None, stride).to_kind(Kind::Float);
        assert_close(name, &kept, expected, 1e-4);
    }
}

#[test]
fn training_a_random_model_equals_pytorch() {
    training_equals(&tiny(), "model/tiny.safetensors", 1);
}

#[test]
fn accumulating_4x2_equals_pytorch_with_1x8() {
    training_equals(&tiny(), "model/tiny.safetensors", 4);
}

#[test]
fn training_a_real_model_equals_pytorch() {
    training_equals(&minilm(), "model/minilm.safetensors", 1);
}
