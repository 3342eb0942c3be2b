//! The cache of what frozen layers compute: the same training, without computing it
//! again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bertfit::tch::Tensor;
use bertfit::{
    BertClassifier, BertMaskedLm, Dataset, Error, Example, FineTuner, Freeze, LogRecord,
    TrainConfig, TrainReport, Trainer, Warmup,
};

use super::trainer::{fast, weights};
use crate::fixture::{assert_close, eight, tiny, without_dropout};

fn classifier(dir: &Path) -> BertClassifier {
    let builder = BertClassifier::builder(dir).labels(["good", "bad"]);
    builder.dropout(0.0).build().expect("a classifier")
}

fn head_only() -> TrainConfig {
    TrainConfig {
        freeze: Freeze::Encoder,
        cache_frozen: true,
        epochs: 4.0,
        log_every: 1,
        ..fast()
    }
}

/// The weights and the report of a run on eight rows, with four of them as `dev`.
fn fit(dir: &Path, config: TrainConfig, memory: usize) -> (BTreeMap<String, Tensor>, TrainReport) {
    let mut model = classifier(dir);
    let (train, dev) = (eight(), eight()[..4].to_vec());
    let report = Trainer::new(config)
        .expect("a trainer")
        .cache_memory(memory)
        .run(&mut model, &train, Some(&dev))
        .expect("a run");
    let weights = weights(&model);
    (weights, report)
}

#[test]
fn cached_layers_train_the_rest_as_uncached_ones_do() {
    let dir = without_dropout(&tiny());
    for freeze in [Freeze::Layers(1), Freeze::Layers(2), Freeze::Encoder] {
        let run = |cache_frozen| {
            let config = TrainConfig {
                freeze,
                cache_frozen,
                ..head_only()
            };
            fit(dir.path(), config, 1 << 20)
        };
        let ((cached, with), (plain, without)) = (run(true), run(false));
        for (name, weight) in &cached {
            // The gradient of this one is rounding error.
            if !name.ends_with("key.bias") {
                assert_close(name, weight, &plain[name], 1e-5);
            }
        }
        assert_eq!(with.log_history.len(), without.log_history.len());
        assert!((with.train_loss - without.train_loss).abs() < 1e-5);
    }
}

#[test]
fn states_in_the_file_are_those_in_memory() {
    // No row, some rows and all rows fit.
    let runs = [0, 3000, 1 << 20].map(|memory| fit(&tiny(), head_only(), memory).0);
    for (name, weight) in &runs[0] {
        assert_eq!(weight, &runs[1][name], "{name}");
        assert_eq!(weight, &runs[2][name], "{name}");
    }
}

#[test]
fn cached_layers_run_without_dropout() {
    let first_loss = |cache_frozen| {
        let config = TrainConfig {
            cache_frozen,
            batch_size: 8,
            max_steps: Some(1),
            ..head_only()
        };
        let (_, report) = fit(&tiny(), config, 1 << 20);
        match &report.log_history[0] {
            LogRecord::Step(record) => record.loss,
            other => panic!("{other:?}"),
        }
    };
    let evaluation = classifier(&tiny()).evaluate(&eight());
    let without_dropout = evaluation.expect("an evaluation").loss;
    assert!((first_loss(true) - without_dropout).abs() < 1e-6);
    assert!((first_loss(false) - without_dropout).abs() > 1e-4);
}

/// The words of a row change with each look at it.
#[derive(Default)]
struct Changing(AtomicUsize);

impl Dataset for Changing {
    type Item = Example;

    fn len(&self) -> usize {
        8
    }

    fn get(&self, index: usize) -> bertfit::Result<Example> {
        let looks = self.0.fetch_add(1, Ordering::Relaxed) / 8;
        let mut row = eight().swap_remove(index);
        row.text.push_str(&" very".repeat(looks));
        Ok(row)
    }
}

#[test]
fn a_row_that_has_changed_is_computed_again() {
    let dir = without_dropout(&tiny());
    let fit = |cache_frozen| {
        let mut model = classifier(dir.path());
        let config = TrainConfig {
            cache_frozen,
            // The lengths of the rows are not looked at.
            group_by_length: false,
            warmup: Warmup::Steps(0),
            ..head_only()
        };
        // Filling the cache takes two looks at each row, which the other run must skip.
        let looks = if cache_frozen { 0 } else { 16 };
        let train = Changing(AtomicUsize::new(looks));
        let report = Trainer::new(config)
            .expect("a trainer")
            .run(&mut model, &train, None);
        report.expect("a run");
        weights(&model)
    };
    let (cached, plain) = (fit(true), fit(false));
    for (name, weight) in &cached {
        assert_close(name, weight, &plain[name], 1e-5);
    }
}

#[test]
fn there_must_be_something_to_cache() {
    let config = TrainConfig {
        freeze: Freeze::Embeddings,
        ..head_only()
    };
    let refused = Trainer::new(config).err().expect("no frozen layer");
    let Error::Config { field, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!(field, "cache_frozen");
}

#[test]
fn what_is_hidden_anew_in_each_epoch_cannot_be_cached() {
    let mut model = BertMaskedLm::builder(tiny()).build().expect("a model");
    let texts: Vec<String> = eight().into_iter().map(|row| row.text).collect();
    let blocks = model.blocks(&texts).expect("blocks");
    let error = model.fit(&blocks, &blocks, &head_only());
    let expected = "`cache_frozen` must be false where the inputs of a row are others in each \
                    epoch, got true";
    assert_eq!(error.expect_err("no cache").to_string(), expected);
}
