//! bertfit's half of `cargo xtask race`: one contest, measured by itself, as one JSON
//! object on the last line. `peer.py` is the other half, with the same words.
#![allow(missing_docs)]

mod fit;
mod flat;
mod flatness;
mod frozen;
mod predict;
mod rust_bert;
mod step;
mod tokenize;

use std::process::ExitCode;

use bertfit::{Error, Precision, Result, Table};
use serde_json::{Value, json};

const USAGE: &str = "usage: race step SHAPE ROWS LENGTH PRECISION
       race fit MODEL TRAIN DEV ROWS PRECISION MODE SEED
       race predict MODEL FILE ROWS LENGTH PRECISION
       race rust-bert MODEL FILE ROWS
       race frozen MODEL TRAIN ROWS cached|uncached
       race flat MODEL TRAIN STEPS
       race flatness STEPS PREDICTIONS
       race tokenize MODEL FILE ROWS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // `cargo bench` passes it to each bench.
    let words = words.strip_suffix(&["--bench"]).unwrap_or(&words);
    // rust-bert comes without it.
    if words.first() != Some(&"rust-bert") {
        bertfit::reuse_memory();
    }
    let result = match *words {
        ["step", shape, rows, length, precision] => step::run(shape, rows, length, precision),
        ["fit", model, train, dev, rows, precision, mode, seed] => {
            fit::run(model, [train, dev], rows, precision, mode, seed)
        }
        ["predict", model, file, rows, length, precision] => {
            predict::run(model, file, rows, length, precision)
        }
        ["frozen", model, train, rows, cache] => frozen::run(model, train, rows, cache),
        ["flat", model, train, steps] => flat::run(model, train, steps),
        ["flatness", steps, predictions] => flatness::run(steps, predictions),
        ["rust-bert", model, file, rows] => rust_bert::run(model, file, rows),
        ["tokenize", model, file, rows] => tokenize::run(model, file, rows),
        [] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(mut figures) => {
            figures["peak_mib"] = json!(peak_mib());
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

/// The most memory that the process has had, in MiB.
fn peak_mib() -> Option<f64> {
    from_status("VmHWM:")
}

/// An amount of memory of the process, as Linux tells it, in MiB.
fn from_status(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

fn number(text: &str) -> Result<usize> {
    let problem = |_| Error::config("argument", "a number", text);
    text.parse().map_err(problem)
}

fn precision(text: &str) -> Result<Precision> {
    text.parse()
}

/// The first rows of a table: its text column is the one that is not `label`.
fn texts(file: &str, rows: usize) -> Result<Vec<String>> {
    let column = if file.contains("imdb") {
        "text"
    } else {
        "sentence"
    };
    let mut texts: Vec<String> = Table::open(file)
        .text(column)
        .read_texts()?
        .into_iter()
        .map(|example| example.text)
        .collect();
    texts.truncate(rows);
    Ok(texts)
}

/// The middle one of some numbers.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Rows a second over all texts, after a first batch that is not counted.
fn speed_on<T>(texts: &[String], run: impl Fn(&[String]) -> Result<T>) -> Result<Figures> {
    run(&texts[..texts.len().min(32)])?;
    let start = std::time::Instant::now();
    run(texts)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(json!({"rows_per_second": texts.len() as f64 / seconds}))
}

type Figures = Value;
