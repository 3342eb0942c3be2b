//! What the loop promises, on the tiny model.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bertfit::tch::Tensor;
use bertfit::{
    Backbone, Batch, BertClassifier, Callback, ClassCollator, Control, Dataset, EarlyStopping,
    Error, EvalEvery, EvalRecord, Example, FineTuner, Freeze, Inputs, Linear, LogRecord, Loss,
    Plan, Result, StepRecord, Stopped, TrainConfig, TrainReport, Trainer, Warmup,
};

use crate::fixture::{assert_close, eight, tiny, without_dropout};

fn classifier() -> BertClassifier {
    BertClassifier::builder(tiny())
        .labels(["good", "bad"])
        .build()
        .expect("a classifier")
}

fn fast() -> TrainConfig {
    TrainConfig {
        learning_rate: 3e-3,
        batch_size: 4,
        ..TrainConfig::default()
    }
}

fn run(model: &mut BertClassifier, config: TrainConfig) -> Result<TrainReport> {
    Trainer::new(config)?.run(model, &eight(), None)
}

fn weights(model: &BertClassifier) -> BTreeMap<String, Tensor> {
    let copies = model.backbone().named_variables().into_iter();
    copies
        .map(|(name, tensor)| (name, tensor.detach().copy()))
        .collect()
}

#[test]
fn eight_examples_are_memorised() {
    let mut model = classifier();
    let report = run(
        &mut model,
        TrainConfig {
            epochs: 30.0,
            ..fast()
        },
    )
    .expect("a run");
    assert!(report.train_loss < 0.6, "{}", report.train_loss);
    let evaluation = model.evaluate(&eight()).expect("an evaluation");
    assert_eq!(evaluation.metrics["accuracy"], 1.0);
    assert!(evaluation.loss < 0.1, "{}", evaluation.loss);
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
    let fit = |seed| {
        let mut model = classifier();
        run(&mut model, TrainConfig { seed, ..fast() }).expect("a run");
        weights(&model)
    };
    let (a, b, c) = (fit(1), fit(1), fit(2));
    assert!(a.iter().all(|(name, tensor)| tensor == &b[name]));
    assert!(a.iter().any(|(name, tensor)| tensor != &c[name]));
}

#[test]
fn the_last_small_batch_and_the_last_small_group_are_used() {
    let steps = |batch_size, accumulate, epochs| {
        let config = TrainConfig {
            batch_size,
            accumulate,
            epochs,
            log_every: 1,
            ..fast()
        };
        let report = run(&mut classifier(), config).expect("a run");
        (report.global_step, report.epoch)
    };
    assert_eq!(steps(3, 1, 1.0), (3, 1.0)); // 3 + 3 + 2 rows
    assert_eq!(steps(3, 2, 1.0), (2, 1.0)); // (3 + 3) + (2)
    assert_eq!(steps(4, 1, 1.5), (3, 1.5));
    assert_eq!(steps(100, 1, 2.0), (2, 2.0));
}

#[test]
fn accumulating_unequal_batches_equals_one_large_batch() {
    let dir = without_dropout(&tiny());
    let fit = |batch_size, accumulate| {
        let mut model = BertClassifier::builder(dir.path())
            .labels(["good", "bad"])
            .dropout(0.0)
            .build()
            .expect("a classifier");
        let config = TrainConfig {
            batch_size,
            accumulate,
            epochs: 4.0,
            ..fast()
        };
        run(&mut model, config).expect("a run");
        weights(&model)
    };
    // 3 + 3 + 2 rows in one step: a mean of means would weigh the last too much.
    let (whole, parts) = (fit(8, 1), fit(3, 3));
    for (name, tensor) in &whole {
        // Its gradient is rounding error, which AdamW scales up to whole steps.
        if !name.ends_with("key.bias") {
            assert_close(name, &parts[name], tensor, 1e-5);
        }
    }
}

#[test]
fn frozen_weights_do_not_move_and_all_others_do() {
    for freeze in [
        Freeze::None,
        Freeze::Embeddings,
        Freeze::Layers(1),
        Freeze::Encoder,
    ] {
        let mut model = classifier();
        let before = weights(&model);
        // The first step of a warm-up has a learning rate of 0.
        let config = TrainConfig {
            freeze,
            warmup: Warmup::Steps(0),
            ..fast()
        };
        let report = run(&mut model, config).expect("a run");
        let mut frozen = 0;
        for (name, after) in weights(&model) {
            let moved = after != before[&name];
            // The gradient of this one is rounding error, and may be 0.
            if !name.ends_with("key.bias") {
                assert_eq!(moved, !freeze.covers(&name), "{freeze:?}: {name}");
            }
            if freeze.covers(&name) {
                assert!(!moved, "{freeze:?}: {name}");
                frozen += after.numel();
            }
        }
        assert_eq!(report.plan.frozen_parameters, frozen);
    }
}

#[test]
fn frozen_weights_take_no_gradient_memory() {
    let mut model = classifier();
    run(
        &mut model,
        TrainConfig {
            freeze: Freeze::Layers(1),
            ..fast()
        },
    )
    .expect("a run");
    for (name, tensor) in model.backbone().named_variables() {
        assert_eq!(
            tensor.grad().defined(),
            !Freeze::Layers(1).covers(&name),
            "{name}"
        );
    }
}

#[test]
fn freezing_can_be_undone_by_a_later_run() {
    let mut model = classifier();
    run(
        &mut model,
        TrainConfig {
            freeze: Freeze::Encoder,
            ..fast()
        },
    )
    .expect("a run");
    let before = weights(&model);
    run(&mut model, fast()).expect("a second run");
    let name = "bert.embeddings.word_embeddings.weight";
    assert_ne!(weights(&model)[name], before[name]);
}

#[test]
fn freezing_more_layers_than_there_are_is_an_error() {
    let config = TrainConfig {
        freeze: Freeze::Layers(3),
        ..fast()
    };
    let error = run(&mut classifier(), config)
        .expect_err("too many")
        .to_string();
    assert_eq!(
        error,
        "`freeze` must be at most 2, the encoder's layers, got 3"
    );
}

/// A head that leaves the pooler of its backbone unused.
struct Unpooled(Backbone, Linear, ClassCollator);

impl FineTuner for Unpooled {
    type Collator = ClassCollator;

    fn backbone(&self) -> &Backbone {
        &self.0
    }
    fn collator(&self) -> Result<ClassCollator> {
        Ok(self.2.clone())
    }
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.1
            .forward(&self.0.encoder().hidden(inputs, train)?.select(1, 0))
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let sum = logits.cross_entropy_for_logits(target) * target.size()[0];
        Ok(Loss {
            sum,
            count: target.size()[0] as f64,
        })
    }
}

#[test]
fn a_trainable_weight_without_a_gradient_is_an_error_at_step_one() {
    let build = |builder: bertfit::BackboneBuilder| {
        let (backbone, head) = builder
            .build(|root, config| Linear::new(&(root / "head"), config.hidden_size, 2, 0.02))
            .expect("a model");
        Unpooled(backbone, head, classifier().collator().expect("a collator"))
    };
    let mut model = build(Backbone::builder(tiny()));
    let error = model
        .fit(&eight(), &eight(), &fast())
        .expect_err("an unused pooler")
        .to_string();
    assert_eq!(
        error,
        "`bert.pooler.dense.bias` is to be trained but received no gradient"
    );
    let mut model = build(Backbone::builder(tiny()).without_pooler());
    model.fit(&eight(), &eight(), &fast()).expect("a run");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_its_rows() {
    let mut model = classifier();
    let bias = model.backbone().named_variables()["classifier.bias"].shallow_clone();
    let _ = bertfit::tch::no_grad(|| bias.shallow_clone().fill_(f64::NAN));
    let config = TrainConfig {
        warmup: Warmup::Steps(0),
        ..fast()
    };
    match run(&mut model, config) {
        Err(Error::NotFinite {
            what: "loss",
            step: 1,
            learning_rate,
            rows,
            ..
        }) => {
            assert_eq!(learning_rate, 3e-3);
            assert_eq!(rows.len(), 4);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_set_is_an_error() {
    let mut model = classifier();
    let error = model
        .fit(&Vec::new(), &eight(), &fast())
        .expect_err("no rows")
        .to_string();
    assert_eq!(
        error,
        "`train` must be a data set with rows, got an empty one"
    );
    let error = model
        .fit(&eight(), &Vec::new(), &fast())
        .expect_err("no rows")
        .to_string();
    assert_eq!(
        error,
        "`dev` must be a data set with rows, got an empty one"
    );
}

#[test]
fn a_bad_row_is_named_by_its_place_in_the_data_set() {
    let mut rows = eight();
    rows[5].label = "odd".to_owned();
    let error = classifier()
        .fit(&rows, &eight(), &fast())
        .expect_err("a bad label")
        .to_string();
    assert_eq!(error, "row 5: label `odd` is not one of good, bad");
}

/// A data set whose rows cannot all be read.
struct Failing(bool);

impl Dataset for Failing {
    type Item = Example;

    fn len(&self) -> usize {
        8
    }
    fn get(&self, index: usize) -> Result<Example> {
        assert!(!self.0 || index != 3, "a bug in a data set");
        match index {
            3 => Err(Error::File {
                path: "rows.bin".into(),
                problem: "gone".to_owned(),
            }),
            _ => Ok(eight()[index].clone()),
        }
    }
}

#[test]
fn an_error_or_a_panic_while_batches_are_made_ends_the_run_with_an_error() {
    let error = classifier()
        .fit(&Failing(false), &eight(), &fast())
        .expect_err("a bad row");
    assert_eq!(error.to_string(), "rows.bin: gone");
    let error = classifier()
        .fit(&Failing(true), &eight(), &fast())
        .expect_err("a panic");
    assert_eq!(
        error.to_string(),
        "a worker thread panicked while making batches"
    );
}

/// Writes down what it hears, and stops at a step.
struct Notes(Arc<Mutex<Vec<String>>>, usize);

impl Callback for Notes {
    fn on_start(&mut self, plan: &Plan) {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("start {}", plan.total_steps));
    }
    fn on_step(&mut self, record: &StepRecord) -> Control {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("step {}", record.step));
        if record.step == self.1 {
            Control::Stop
        } else {
            Control::Continue
        }
    }
    fn on_evaluate(&mut self, record: &EvalRecord, _best: bool) -> Control {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("eval {}", record.step));
        Control::Continue
    }
    fn on_end(&mut self, report: &TrainReport) {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("end {:?}", report.stopped));
    }
}

fn notes(config: TrainConfig, stop_at: usize) -> Vec<String> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    Trainer::new(config)
        .expect("a valid configuration")
        .callback(Notes(notes.clone(), stop_at))
        .run(&mut classifier(), &eight(), Some(&eight()))
        .expect("a run");
    Arc::try_unwrap(notes)
        .expect("the last owner")
        .into_inner()
        .expect("a lock")
}

#[test]
fn callbacks_hear_of_each_step_once_and_can_stop_the_run() {
    let config = TrainConfig {
        epochs: 2.0,
        ..fast()
    };
    let all = [
        "start 4", "step 1", "step 2", "eval 2", "step 3", "step 4", "eval 4",
    ];
    assert_eq!(
        notes(config.clone(), 0),
        [&all[..], &["end Finished"]].concat()
    );
    assert_eq!(notes(config, 3), [&all[..5], &["end Callback"]].concat());
}

#[test]
fn evaluation_each_few_steps_and_at_the_end() {
    let config = TrainConfig {
        epochs: 3.5,
        eval_every: EvalEvery::Steps(3),
        ..fast()
    };
    let evaluations: Vec<_> = notes(config, 0)
        .into_iter()
        .filter(|note| note.starts_with("eval"))
        .collect();
    assert_eq!(evaluations, ["eval 3", "eval 6", "eval 7"]);
}

#[test]
fn the_weights_of_the_best_evaluation_are_put_back() {
    // The development set contradicts the training set: the first epoch is its best.
    let mut turned = eight();
    for example in &mut turned {
        example.label = if example.label == "good" {
            "bad"
        } else {
            "good"
        }
        .to_owned();
    }
    let config = TrainConfig {
        epochs: 20.0,
        metric: Some("loss".to_owned()),
        ..fast()
    };
    let mut model = classifier();
    let report = model.fit(&eight(), &turned, &config).expect("a run");
    let losses: Vec<f64> = report
        .log_history
        .iter()
        .filter_map(|record| match record {
            LogRecord::Eval(record) => Some(record.metrics["eval_loss"]),
            LogRecord::Step(_) => None,
        })
        .collect();
    assert_eq!(losses.len(), 20);
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(report.best_metric, Some(least));
    assert!(
        losses[19] > least + 0.1,
        "the last epoch is the best: {losses:?}"
    );
    let loss = model.evaluate(&turned).expect("an evaluation").loss;
    assert!((loss - least).abs() < 1e-6, "{loss} {least}");
}

#[test]
fn early_stopping_ends_a_run_that_does_not_get_better() {
    let config = TrainConfig {
        epochs: 50.0,
        learning_rate: 1e-12,
        early_stopping: Some(EarlyStopping {
            patience: 3,
            threshold: 0.01,
        }),
        ..fast()
    };
    let report = classifier()
        .fit(&eight(), &eight(), &config)
        .expect("a run");
    assert_eq!(report.stopped, Stopped::EarlyStopping);
    assert_eq!(report.epoch, 4.0);
}

#[test]
fn an_unknown_metric_names_the_known_ones() {
    let config = TrainConfig {
        metric: Some("acuracy".to_owned()),
        ..fast()
    };
    let error = classifier()
        .fit(&eight(), &eight(), &config)
        .expect_err("a typing error");
    let error = error.to_string();
    assert!(
        error.starts_with("`metric` must be loss or one of accuracy, "),
        "{error}"
    );
    assert!(error.ends_with(", got acuracy"), "{error}");
}

#[test]
fn the_report_counts_rows_and_real_tokens() {
    let mut model = classifier();
    let report = run(
        &mut model,
        TrainConfig {
            epochs: 2.0,
            ..fast()
        },
    )
    .expect("a run");
    let collator = model.collator().expect("a collator");
    let batch: Batch<Tensor> = bertfit::Collator::collate(&collator, &eight()).expect("a batch");
    let per_second = report.train_tokens_per_second / report.train_samples_per_second;
    assert!((per_second - batch.tokens as f64 / 8.0).abs() < 1e-9);
    assert!(
        batch.tokens < batch.inputs.input_ids.numel(),
        "the batch has no padding"
    );
    assert_eq!(report.plan.train_samples, 8);
}
