//! Training embeddings: what is learnt, which texts are negatives, what cannot be used.

use std::collections::BTreeMap;

use bertfit::tch::{Kind, Tensor};
use bertfit::{
    BertEmbedder, Checkpoints, EmbeddingLoss, Error, EvalEvery, FineTuner, Freeze, Result,
    StepRecord, TrainConfig, TrainReport, Trainer,
};
use bertfit::{Callback, CheckpointEvery, Control};

use super::embedder::{COSENT, EUCLIDEAN, embedder, reference};
use crate::fixture::{assert_close, batch_of, tiny, without_dropout};

pub fn fast() -> TrainConfig {
    TrainConfig {
        learning_rate: 3e-3,
        batch_size: 2,
        ..TrainConfig::default()
    }
}

const LOSSES: [EmbeddingLoss; 4] = [
    EmbeddingLoss::MultipleNegatives { scale: 20.0 },
    EmbeddingLoss::Cosine,
    COSENT,
    EUCLIDEAN,
];

fn weights(model: &BertEmbedder) -> BTreeMap<String, Tensor> {
    let copies = model.backbone().named_variables().into_iter();
    copies
        .map(|(name, tensor)| (name, tensor.detach().copy()))
        .collect()
}

#[test]
fn what_is_known_of_pairs_and_triplets_is_learnt() {
    for (loss, metric, least) in [
        (EmbeddingLoss::default(), "accuracy", 1.0),
        (EmbeddingLoss::Cosine, "spearmanr", 0.97),
        (COSENT, "spearmanr", 0.97),
        (EUCLIDEAN, "accuracy", 1.0),
    ] {
        let mut model = embedder(loss);
        let before = model.evaluate(&reference()).expect("an evaluation");
        let config = TrainConfig {
            epochs: 40.0,
            batch_size: 5,
            metric: Some(metric.to_owned()),
            ..fast()
        };
        let report = model
            .fit(&reference(), &reference(), &config)
            .expect("a run");
        assert!(report.best_metric.expect("a metric") >= least, "{loss:?}");
        let after = model.evaluate(&reference()).expect("an evaluation");
        assert!(after.loss < before.loss, "{loss:?}");
        // All three numbers are there, since the rows have scores and negatives.
        let names: Vec<_> = after.metrics.keys().map(String::as_str).collect();
        assert_eq!(names, ["accuracy", "pearson", "spearmanr"]);
    }
}

#[test]
fn gradients_of_several_batches_are_those_of_the_formula() {
    // Two batches of a step: the sum of their losses divided by all rows, or for CoSENT,
    // which has one loss for a batch, by the batches.
    let dir = without_dropout(&tiny());
    for loss in LOSSES {
        let build = || {
            BertEmbedder::builder(dir.path())
                .loss(loss)
                .build()
                .expect("an embedder")
        };
        let model = build();
        let (mut sum, mut count) = (
            Tensor::zeros([1], (Kind::Float, model.backbone().device())),
            0.0,
        );
        for rows in reference().chunks(2) {
            let batch = batch_of(&model, rows);
            let vectors = model.logits(&batch.inputs, true).expect("vectors");
            let of_batch = model.loss(&vectors, &batch.target).expect("a loss");
            sum += of_batch.sum;
            count += of_batch.count;
        }
        assert_eq!(count, if loss == COSENT { 3.0 } else { 5.0 });
        let mut trained = build();
        let config = TrainConfig {
            max_steps: Some(1),
            accumulate: 3,
            group_by_length: false,
            ..fast()
        };
        let mut norms = Norms(Vec::new());
        let mut trainer = Trainer::new(config)
            .expect("a trainer")
            .callback(&mut norms);
        // The batches are of other rows than here, but a norm of the whole data is
        // that of any order where no row depends on its neighbours.
        trainer
            .run(&mut trained, &reference(), None)
            .expect("a run");
        drop(trainer);
        (sum / count).backward();
        let squares = model
            .backbone()
            .named_variables()
            .into_values()
            .map(|weight| weight.grad().square().sum(Kind::Double).double_value(&[]));
        let norm = squares.sum::<f64>().sqrt();
        if matches!(loss, EmbeddingLoss::Cosine | EmbeddingLoss::Triplet { .. }) {
            assert!(
                (norms.0[0] - norm).abs() < 1e-4 * norm,
                "{loss:?}: {norm} {:?}",
                norms.0
            );
        }
    }
}

struct Norms(Vec<f64>);

impl Callback for &mut Norms {
    fn on_step(&mut self, record: &StepRecord) -> Control {
        self.0.push(record.grad_norm);
        Control::Continue
    }
}

struct StopAt(usize);

impl Callback for StopAt {
    fn on_step(&mut self, record: &StepRecord) -> Control {
        match record.step == self.0 {
            true => Control::Stop,
            false => Control::Continue,
        }
    }
}

fn run(
    loss: EmbeddingLoss,
    dir: &std::path::Path,
    stop: usize,
) -> Result<(TrainReport, BTreeMap<String, Tensor>)> {
    let mut model = embedder(loss);
    let checkpoints = Checkpoints::new(dir)
        .every(CheckpointEvery::Steps(1))
        .keep(100)
        .resume(true);
    let config = TrainConfig {
        eval_every: EvalEvery::Steps(2),
        ..fast()
    };
    let mut trainer = Trainer::new(config)?
        .checkpoints(checkpoints)
        .callback(StopAt(stop));
    let report = trainer.run(&mut model, &reference(), Some(&reference()))?;
    Ok((report, weights(&model)))
}

#[test]
fn a_run_that_was_stopped_goes_on_and_ends_with_the_same_weights() {
    for loss in LOSSES {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let whole = run(loss, &dir.path().join("whole"), 0).expect("a run");
        let folder = dir.path().join("stopped");
        let stopped = run(loss, &folder, 4).expect("a run");
        assert_eq!(stopped.0.global_step, 4);
        let resumed = run(loss, &folder, 0).expect("a resumed run");
        assert_eq!(resumed.0.plan.resumed_step, 4);
        assert_eq!(resumed.0.best_metric, whole.0.best_metric);
        for (name, weight) in &whole.1 {
            assert_eq!(weight, &resumed.1[name], "{name}");
        }
        // Its checkpoints are models.
        BertEmbedder::load(folder.join("checkpoint-4")).expect("an embedder");
    }
    // Another loss makes another run.
    let dir = tempfile::tempdir().expect("a temporary folder");
    run(EmbeddingLoss::Cosine, dir.path(), 2).expect("a run");
    match run(COSENT, dir.path(), 0) {
        Err(Error::OtherRun { differences, .. }) => {
            assert!(
                differences.iter().any(|line| line.contains("bertfit.loss")),
                "{differences:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn checkpointing_freezing_and_caching_change_no_number_that_they_should_not() {
    for loss in LOSSES {
        let fit = |config: TrainConfig| {
            let mut model = embedder(loss);
            model
                .fit(&reference(), &reference(), &config)
                .expect("a run");
            weights(&model)
        };
        let plain = fit(fast());
        let checkpointed = fit(TrainConfig {
            gradient_checkpointing: true,
            ..fast()
        });
        for (name, weight) in &plain {
            assert_eq!(weight, &checkpointed[name], "{name}");
        }
        let frozen = TrainConfig {
            freeze: Freeze::Layers(1),
            ..fast()
        };
        let untouched = weights(&embedder(loss));
        for (name, weight) in fit(frozen.clone()) {
            let is_frozen = Freeze::Layers(1).covers(&name);
            assert_eq!(weight == untouched[&name], is_frozen, "{name}");
        }
        // What is cached was computed without dropout.
        let dir = without_dropout(&tiny());
        let fit_there = |config: &TrainConfig| {
            let builder = BertEmbedder::builder(dir.path()).loss(loss);
            let mut model = builder.build().expect("an embedder");
            model
                .fit(&reference(), &reference(), config)
                .expect("a run");
            weights(&model)
        };
        let computed = fit_there(&frozen);
        let cached = fit_there(&TrainConfig {
            cache_frozen: true,
            ..frozen
        });
        for (name, weight) in &computed {
            // The true gradient of these is 0: distances do not change where all vectors move
            // by the same. AdamW makes steps out of rounding errors.
            let moves_all = loss == EUCLIDEAN && name.ends_with("1.output.LayerNorm.bias");
            if !moves_all && !name.ends_with("self.key.bias") {
                assert_close(name, &cached[name], weight, 1e-4);
            }
        }
        // By tokens, in groups of like length and not.
        for group_by_length in [false, true] {
            let config = TrainConfig {
                tokens_per_batch: Some(64),
                group_by_length,
                ..fast()
            };
            assert!(
                fit(config)
                    .values()
                    .all(|weight| bool::try_from(weight.isfinite().all()).expect("a bool"))
            );
        }
    }
    let mut model = embedder(EmbeddingLoss::default());
    let config = TrainConfig {
        freeze: Freeze::Encoder,
        ..fast()
    };
    let error = model
        .fit(&reference(), &reference(), &config)
        .expect_err("nothing to train");
    assert!(
        error.to_string().contains("leaves a weight to train"),
        "{error}"
    );
}
