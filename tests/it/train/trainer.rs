//! What the loop promises, on the tiny model.

use std::collections::BTreeMap;

use bertfit::tch::{Device, Tensor};
use bertfit::{
    Batch, BertClassifier, Dataset, Error, Example, FineTuner, Result, Table, TrainConfig,
    TrainReport, Trainer, Warmup,
};

use crate::fixture::{assert_close, eight, tiny, without_dropout};

pub fn classifier() -> BertClassifier {
    classifier_on(Device::cuda_if_available())
}

/// On a device of its own where a test needs what dropout draws there.
pub fn classifier_on(device: Device) -> BertClassifier {
    BertClassifier::builder(tiny())
        .labels(["good", "bad"])
        .device(device)
        .build()
        .expect("a classifier")
}

pub fn fast() -> TrainConfig {
    TrainConfig {
        learning_rate: 3e-3,
        batch_size: 4,
        ..TrainConfig::default()
    }
}

pub fn run(model: &mut BertClassifier, config: TrainConfig) -> Result<TrainReport> {
    Trainer::new(config)?.run(model, &eight(), None)
}

pub fn weights(model: &BertClassifier) -> BTreeMap<String, Tensor> {
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
            parameter,
            largest,
            ..
        }) => {
            assert!(parameter == "classifier.bias" && largest.is_nan());
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

/// More rows than have their lengths counted at a time.
fn many() -> Vec<Example> {
    let rows = eight().into_iter().cycle().take(1100).enumerate();
    rows.map(|(row, example)| Example {
        text: example.text.repeat(row % 3 + 1),
        ..example
    })
    .collect()
}

#[test]
fn rows_that_stay_in_their_file_train_the_same_weights() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("train.tsv");
    let line = |row: &Example| format!("{}\t{}\n", row.text, row.label);
    let lines: String = many().iter().map(line).collect();
    std::fs::write(&path, format!("text\tlabel\n{lines}")).expect("a file");
    let fit = |rows: &dyn Dataset<Item = Example>| {
        let mut model = classifier();
        let config = TrainConfig {
            max_steps: Some(10),
            ..fast()
        };
        let mut trainer = Trainer::new(config).expect("a configuration");
        trainer.run(&mut model, rows, None).expect("a run");
        let evaluation = model.evaluate(rows).expect("an evaluation");
        (weights(&model), evaluation.loss, evaluation.metrics)
    };
    let table = Table::open(&path);
    let read = fit(&table.read().expect("rows"));
    let indexed = fit(&table.index().expect("rows"));
    assert!(read == indexed);
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
    // Rows are read in the caller's thread only to group them by length and to check them.
    let config = TrainConfig {
        group_by_length: false,
        check_data: false,
        ..fast()
    };
    let error = classifier()
        .fit(&Failing(false), &eight(), &config)
        .expect_err("a bad row");
    assert_eq!(error.to_string(), "rows.bin: gone");
    let grouped = TrainConfig {
        group_by_length: true,
        check_data: false,
        ..fast()
    };
    let failing = || Some(&Failing(true) as &dyn Dataset<Item = Example>);
    // In training, and in an evaluation.
    for (config, dev, doing) in [
        (&config, None, "making batches"),
        (&grouped, None, "counting tokens"),
        (&config, failing(), "counting tokens"),
    ] {
        let mut model = classifier();
        let mut trainer = Trainer::new(config.clone()).expect("a trainer");
        let error = match dev {
            None => trainer.run(&mut model, &Failing(true), None),
            dev => trainer.run(&mut model, &eight(), dev),
        };
        assert_eq!(
            error.expect_err("a panic").to_string(),
            format!("a worker thread panicked while {doing}")
        );
        // The model is whole, and can be trained on other rows.
        assert!(trainer.run(&mut model, &eight(), None).is_ok());
    }
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
        batch.tokens < batch.inputs.input_ids().numel(),
        "the batch has no padding"
    );
    assert_eq!(report.plan.train_samples, 8);
}
