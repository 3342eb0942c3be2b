//! What `memory::plan` says against what training takes: the most resident memory of a
//! process that trains, less what it had before there was a model. Each case has a process of
//! its own; `cargo bench --bench memory` prints a table of all, on Linux, and `cargo bench
//! --bench memory -- base bf16` of those with these words.
#![allow(missing_docs)]

use std::process::{Command, ExitCode};

use bertfit::{BertClassifier, Error, Example, Freeze, Result, TrainConfig, Trainer, memory};

#[path = "../stage/model.rs"]
mod model;

/// Shape, rows, tokens of the longest row, precision, and what is special.
const CASES: [[&str; 5]; 24] = [
    ["minilm", "8", "512", "f32", "plain"],
    ["minilm", "64", "32", "f32", "plain"],
    ["minilm", "32", "128", "f32", "plain"],
    ["minilm", "64", "128", "f32", "plain"],
    ["minilm", "64", "512", "f32", "plain"],
    ["minilm", "64", "128", "bf16", "plain"],
    ["minilm", "32", "512", "bf16", "plain"],
    ["minilm", "64", "128", "f32", "checkpointing"],
    ["minilm", "64", "512", "f32", "checkpointing"],
    ["minilm", "64", "128", "bf16", "checkpointing"],
    ["minilm", "64", "128", "f32", "unpadded"],
    ["minilm", "64", "128", "bf16", "unpadded"],
    ["minilm", "64", "128", "f32", "frozen"],
    ["minilm", "16", "256", "f32", "operators"],
    ["minilm", "64", "128", "f32", "returned"],
    ["minilm", "64", "128", "bf16", "returned"],
    ["base", "8", "128", "f32", "plain"],
    ["base", "32", "32", "f32", "plain"],
    ["base", "16", "128", "f32", "plain"],
    ["base", "8", "512", "f32", "plain"],
    ["base", "16", "128", "bf16", "plain"],
    ["base", "16", "128", "f32", "accumulate"],
    ["base", "16", "128", "f32", "checkpointing"],
    ["base", "16", "128", "bf16", "checkpointing"],
];

/// Optimizer steps, from the second of which on everything has its size.
const STEPS: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["case", dir, shape, rows, length, precision, special] => {
            case(dir, [shape, rows, length, precision, special])
        }
        _ => all(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

/// All cases that have each of these words.
fn all(wanted: &[&str]) -> Result<()> {
    println!("| model | batch | numbers | | planned, MiB | measured, MiB | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let is_wanted = |case: &[&str; 5]| {
        let mut wanted = wanted.iter().filter(|word| **word != "--bench");
        wanted.all(|word| case.contains(word))
    };
    for words in CASES.into_iter().filter(is_wanted) {
        // Here, so that the memory it takes is not one that the case finds free.
        let dir = folder(words[0], words[4])?;
        let mut case = Command::new(&program);
        case.arg("case").arg(dir.path()).args(words);
        match case.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(failed(&status)),
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(())
}

fn failed(problem: &impl ToString) -> Error {
    Error::config("a case", "a process that ends well", problem.to_string())
}

/// A random model.
fn folder(shape: &str, special: &str) -> Result<tempfile::TempDir> {
    let found = model::SHAPES.into_iter().find(|(name, _)| *name == shape);
    let dir = model::folder(found.ok_or_else(|| failed(&shape))?.1);
    if special == "operators" {
        // An activation that the fused layers do not have.
        let path = dir.path().join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
        let text = text.replace("\"gelu\"", "\"gelu_new\"");
        std::fs::write(&path, text).map_err(|error| failed(&error))?;
    }
    Ok(dir)
}

fn case(dir: &str, [shape, rows, length, precision, special]: [&str; 5]) -> Result<()> {
    if special != "returned" {
        bertfit::reuse_memory();
    }
    let number = |text: &str| text.parse::<usize>().map_err(|error| failed(&error));
    let (batch, length) = (number(rows)?, number(length)?);
    let config = TrainConfig {
        batch_size: batch,
        // Each pass has the same rows, so that its batches are those that were planned.
        epochs: STEPS as f64,
        accumulate: if special == "accumulate" { 2 } else { 1 },
        gradient_checkpointing: special == "checkpointing",
        freeze: match special {
            "frozen" => Freeze::Layers(3),
            _ => Freeze::None,
        },
        keep_best: false,
        ..TrainConfig::default()
    };
    let lengths: Vec<usize> = (0..batch)
        .map(|row| match special {
            "unpadded" => (length * (row % 8 + 1)).div_ceil(8),
            _ => length,
        })
        .collect();
    let rows = |count: usize| -> Vec<Example> {
        let lengths = lengths.iter().cycle().take(count);
        let row = |(row, &length)| model::examples(row + 1, length).swap_remove(row);
        lengths.enumerate().map(row).collect()
    };
    warm_up(precision)?;
    let before = status("VmRSS:")?;
    let mut classifier = BertClassifier::builder(dir)
        .labels(["a", "b"])
        .max_length(length)
        .precision(precision.parse()?)
        .build()?;
    let rows = rows(batch * config.accumulate);
    let planned = memory::plan(&classifier, &config, &lengths);
    Trainer::new(config)?.run(&mut classifier, &rows, None)?;
    let measured = status("VmHWM:")? - before;
    let mib = planned.peak() as f64 / f64::from(1 << 20);
    println!(
        "| {shape} | {batch}×{length} | {precision} | {special} | {mib:.0} | {measured:.0} | {:.2} |",
        mib / measured
    );
    eprintln!("{planned}");
    Ok(())
}

/// Brings in libtorch's libraries and threads.
fn warm_up(precision: &str) -> Result<()> {
    let dir = tempfile::tempdir().map_err(|error| failed(&error))?;
    bertfit::write_tiny_model(dir.path())?;
    let mut tiny = BertClassifier::builder(dir.path())
        .labels(["a", "b"])
        .precision(precision.parse()?)
        .build()?;
    let rows: Vec<Example> = (0..32)
        .map(|row| Example::new("the film", if row % 2 == 0 { "a" } else { "b" }))
        .collect();
    let config = TrainConfig {
        check_data: false,
        ..TrainConfig::default()
    };
    Trainer::new(config)?.run(&mut tiny, &rows, None)?;
    Ok(())
}

/// An amount of memory of the process, in MiB.
fn status(name: &str) -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status").map_err(|error| failed(&error))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| failed(&name))
}
