//! Gradient checkpointing: less memory, the same gradients.

use std::collections::BTreeMap;

use bertfit::tch::Tensor;
use bertfit::{
    BertClassifier, FineTuner, Freeze, LogRecord, Precision, TrainConfig, Trainer, cpu_has_bf16,
};

use super::trainer::{classifier, fast, weights};
use crate::fixture::{batch_of, eight, tiny};

/// Weights and losses of a run with dropout.
fn fit(model: &mut BertClassifier, config: TrainConfig) -> (BTreeMap<String, Tensor>, Vec<f64>) {
    let report = Trainer::new(config)
        .expect("a trainer")
        .run(model, &eight(), None)
        .expect("a run");
    let losses = report.log_history.iter().map(|record| match record {
        LogRecord::Step(step) => step.loss,
        other => panic!("{other:?}"),
    });
    (weights(model), losses.collect())
}

#[test]
fn a_checkpointed_run_is_the_plain_run_bit_for_bit() {
    let mut precisions = vec![Precision::F32];
    precisions.extend(cpu_has_bf16().then_some(Precision::Bf16));
    for precision in precisions {
        for freeze in [Freeze::None, Freeze::Layers(1)] {
            let run = |gradient_checkpointing| {
                let mut model = BertClassifier::builder(tiny())
                    .labels(["good", "bad"])
                    .precision(precision)
                    .build()
                    .expect("a classifier");
                let config = TrainConfig {
                    gradient_checkpointing,
                    freeze,
                    accumulate: 2,
                    epochs: 4.0,
                    log_every: 1,
                    ..fast()
                };
                fit(&mut model, config)
            };
            let ((plain, losses), (checkpointed, same)) = (run(false), run(true));
            assert_eq!(losses, same, "{precision:?} {freeze:?}");
            for (name, weight) in &plain {
                assert_eq!(
                    weight, &checkpointed[name],
                    "{precision:?} {freeze:?} {name}"
                );
            }
        }
    }
}

#[test]
fn it_ends_with_the_run() {
    let mut model = classifier();
    let config = TrainConfig {
        gradient_checkpointing: true,
        ..fast()
    };
    fit(&mut model, config);
    let batch = batch_of(&model, &eight());
    let logits = model.logits(&batch.inputs, true).expect("logits");
    let loss = model.loss(&logits, &batch.target).expect("a loss");
    loss.sum.backward();
    for (name, weight) in model.backbone().named_variables() {
        assert!(weight.grad().defined(), "{name}");
    }
}
