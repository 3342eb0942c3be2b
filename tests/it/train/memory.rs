//! A run in too little memory: batches in parts, by a budget or after a failure.

use std::cell::Cell;
use std::path::Path;

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{
    BertClassifier, CheckpointEvery, Checkpoints, Error, Example, FineTuner, Inputs, Loss, Memory,
    Result, TrainConfig, TrainReport, Trainer, Warning, memory,
};

use super::resume::{StopAt, assert_same};
use super::trainer::{classifier, fast, weights};
use crate::fixture::eight;

/// A classifier in a machine that has memory for so many tokens at once, padding counted.
struct Small {
    model: BertClassifier,
    most: i64,
    may_split: bool,
    /// Rows of the largest part that was computed.
    largest: Cell<i64>,
}

impl Small {
    fn new(most: i64) -> Self {
        Self {
            model: classifier(),
            most,
            may_split: true,
            largest: Cell::new(0),
        }
    }
}

impl FineTuner for Small {
    reads_as_classifier!(model);

    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let logits = self.model.logits(inputs, train)?;
        let (rows, length) = inputs.size();
        if rows * length > self.most {
            // After a backward pass, so that gradients are there which must go.
            logits.sum(Kind::Float).backward();
            // More than there are addresses: libtorch's own error.
            let size = [1_i64 << 46];
            let refused = Tensor::f_zeros(size, (Kind::Float, Device::Cpu));
            let _ = refused.map_err(|source| Error::Torch {
                doing: "making logits".to_owned(),
                source,
            })?;
        }
        self.largest.set(self.largest.get().max(rows));
        Ok(logits)
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        self.model.loss(logits, target)
    }
    fn may_split_batches(&self) -> bool {
        self.may_split
    }
}

/// Sixteen rows, of which two are long.
fn rows() -> Vec<Example> {
    let mut rows = [eight(), eight()].concat();
    for row in [3, 9] {
        rows[row].text = "the film was good and the food was bad ".repeat(3);
    }
    rows
}

fn config(batch_size: usize, accumulate: usize) -> TrainConfig {
    TrainConfig {
        batch_size,
        accumulate,
        epochs: 3.0,
        group_by_length: false,
        log_every: 1,
        check_data: false,
        ..fast()
    }
}

type Outcome = (TrainReport, super::Weights);

fn run(model: Small, config: TrainConfig) -> Result<(Outcome, i64)> {
    run_on(&rows(), model, config)
}

fn run_on(rows: &[Example], mut model: Small, config: TrainConfig) -> Result<(Outcome, i64)> {
    let report = Trainer::new(config)?.run(&mut model, &rows.to_vec(), None)?;
    Ok(((report, weights(&model.model)), model.largest.get()))
}

/// The same weights and losses, bit for bit.
#[track_caller]
fn assert_same_steps((report, weights): &Outcome, (other, others): &Outcome) {
    for (name, tensor) in weights {
        assert!(tensor == &others[name], "{name} differs");
    }
    assert_eq!(report.log_history, other.log_history);
    assert_eq!(report.train_loss, other.train_loss);
}

#[test]
fn a_run_out_of_memory_goes_on_as_one_of_smaller_batches() {
    let everywhere = i64::MAX;
    let (parts, _) = run(Small::new(everywhere), config(2, 4)).expect("a run");
    // Too little memory for eight rows, and for four; dropout is on.
    let limit = 2 * 32;
    let (halved, _) = run(Small::new(limit), config(8, 1)).expect("a run that goes on");
    let longest = rows().iter().map(|row| row.text.len()).max();
    assert!(longest > Some(100), "the long rows are short: {longest:?}");
    assert_same_steps(&halved, &parts);
    let warnings = &halved.0.warnings;
    let rows: Vec<usize> = warnings
        .iter()
        .map(|warning| match warning {
            Warning::OutOfMemory { problem, rows, .. } => {
                assert!(problem.contains("DefaultCPUAllocator"), "{problem}");
                *rows
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rows, [4, 2]);
}

#[test]
fn a_step_that_ran_out_of_memory_is_made_again_whole() {
    // Three batches a step; which of them has the first long row depends on the seed.
    let without = |most, seed| {
        let mut model = Small::new(most);
        let dir = crate::fixture::without_dropout(&crate::fixture::tiny());
        model.model = BertClassifier::builder(dir.path())
            .labels(["bad", "good"])
            .build()
            .expect("a model");
        let config = TrainConfig {
            seed,
            ..config(4, 3)
        };
        run(model, config).expect("a run").0
    };
    for seed in 1..=6 {
        let (whole, halved) = (without(i64::MAX, seed), without(2 * 32, seed));
        assert!(!halved.0.warnings.is_empty());
        assert_eq!(halved.0.global_step, whole.0.global_step);
        let difference = (halved.0.train_loss - whole.0.train_loss).abs();
        assert!(difference < 1e-6, "seed {seed}: {difference}");
        for (name, tensor) in &halved.1 {
            // Its gradient is rounding error, which AdamW makes large.
            if name.ends_with("self.key.bias") {
                continue;
            }
            crate::fixture::assert_close(name, tensor, &whole.1[name], 1e-5);
        }
    }
}

fn run_in(dir: &Path, resume: bool, stop: usize, memory: Memory) -> Outcome {
    let checkpoints = Checkpoints::new(dir)
        .every(CheckpointEvery::Steps(1))
        .keep(100)
        .resume(resume);
    let mut model = Small::new(2 * 32);
    let config = TrainConfig {
        memory,
        ..config(4, 2)
    };
    let mut trainer = Trainer::new(config)
        .expect("a configuration")
        .checkpoints(checkpoints)
        .callback(StopAt(stop));
    let report = trainer.run(&mut model, &rows(), None).expect("a run");
    (report, weights(&model.model))
}

#[test]
fn a_run_in_parts_is_resumed_exactly_from_any_step() {
    // What is free is known of a CPU alone.
    let of_cpu = (classifier().backbone().device() == Device::Cpu).then_some(Memory::Available);
    for memory in [Memory::Unlimited].into_iter().chain(of_cpu) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let whole = run_in(dir.path(), false, 0, memory);
        assert!(!whole.0.warnings.is_empty());
        for stop in 1..whole.0.global_step {
            let dir = tempfile::tempdir().expect("a temporary folder");
            run_in(dir.path(), false, stop, memory);
            assert_same(&run_in(dir.path(), true, 0, memory), &whole);
        }
    }
}

#[test]
fn a_single_row_that_is_too_much_is_an_error_with_the_plan() {
    let error = run(Small::new(4), config(8, 1)).map(|_| ());
    match error {
        Err(Error::OutOfMemory {
            problem,
            rows: 1,
            plan,
            ..
        }) => {
            assert!(problem.contains("DefaultCPUAllocator"), "{problem}");
            assert!(plan.contains("MiB (weights"), "{plan}");
        }
        other => panic!("{other:?}"),
    }
    // Nor is a batch cut whose rows belong together.
    let mut model = Small::new(32);
    model.may_split = false;
    match run(model, config(8, 1)).map(|_| ()) {
        Err(Error::OutOfMemory { rows: 8, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn batches_are_cut_to_a_budget_and_steps_stay_the_same() {
    let mut rows = rows();
    for row in &mut rows {
        row.text = "the film was good and the food was bad".to_owned();
    }
    let model = Small::new(i64::MAX);
    let collator = model.collator().expect("a collator");
    let lengths = bertfit::Collator::lengths(&collator, &rows).expect("lengths");
    let plan = |rows: usize| {
        let config = TrainConfig {
            keep_best: false,
            ..config(4, 2)
        };
        memory::plan(&model, &config, &vec![lengths[0]; rows]).peak()
    };
    let run = |config| run_on(&rows, Small::new(i64::MAX), config);
    let limited = |bytes| {
        run(TrainConfig {
            memory: Memory::Bytes(bytes),
            ..config(8, 1)
        })
    };
    // Enough for four rows; a whole batch has eight.
    let (parts, largest) = limited(plan(4)).expect("a run");
    assert_eq!(largest, 4);
    assert!(parts.0.warnings.is_empty(), "{:?}", parts.0.warnings);
    let (small, _) = run(config(4, 2)).expect("a run");
    assert_same_steps(&parts, &small);
    // Even parts: of three and five rows that would fit, four and four.
    assert_eq!(limited(plan(5)).expect("a run").1, 4);
    assert_eq!(limited(plan(8)).expect("a run").1, 8);
    match limited(plan(1) - 1).map(|_| ()) {
        Err(Error::OutOfMemory {
            problem, rows: 1, ..
        }) => assert!(problem.starts_with("`memory` is"), "{problem}"),
        other => panic!("{other:?}"),
    }
}
