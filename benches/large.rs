//! Memory of training on a large file: writes one, indexes it, trains the tiny model on
//! it, and deletes it. Linux only, where the system tells the numbers.
#![allow(missing_docs)]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use bertfit::{BertClassifier, Dataset, Error, Result, Table, TrainConfig, Trainer};
use serde_json::{Value, json};

const USAGE: &str = "usage: large MEGABYTES ROW_BYTES STEPS tsv|csv|jsonl";

fn main() -> ExitCode {
    bertfit::reuse_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let words = words.strip_suffix(&["--bench"]).unwrap_or(&words);
    let &[megabytes, row_bytes, steps, format] = words else {
        // What `cargo bench` without a name passes to each bench is no mistake.
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    match run(megabytes, row_bytes, steps, format) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(megabytes: &str, row_bytes: &str, steps: &str, format: &str) -> Result<Value> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let row_bytes = number(row_bytes)?;
    let file = |name: &str, bytes: usize| {
        let path = dir.path().join(name).with_extension(format);
        let written = write(&path, format, bytes, row_bytes);
        written
            .map(|()| Table::open(&path))
            .map_err(|source| Error::Write { path, source })
    };
    let large = file("large", number(megabytes)? * 1_000_000)?;
    let small = file("small", 100_000)?.read()?;

    let model = dir.path().join("model");
    bertfit::write_tiny_model(&model)?;
    let mut classifier = BertClassifier::builder(&model)
        .labels(["bad", "good"])
        .build()?;
    let config = TrainConfig {
        max_steps: Some(number(steps)?),
        ..TrainConfig::default()
    };
    // What libtorch and the model take is there before the data is.
    Trainer::new(config.clone())?.run(&mut classifier, &small, None)?;
    drop(small);

    let before = Memory::now();
    let start = Instant::now();
    let train = large.index()?;
    let index_seconds = start.elapsed().as_secs_f64();
    let indexed = Memory::now();

    let start = Instant::now();
    let report = Trainer::new(config)?.run(&mut classifier, &train, None)?;
    let train_seconds = start.elapsed().as_secs_f64();
    let trained = Memory::now();

    let start = Instant::now();
    let rows = 100_000;
    for row in 0..rows {
        train.get(row * 7919 % train.len())?;
    }
    let get_seconds = start.elapsed().as_secs_f64() / rows as f64;
    Ok(json!({
        "format": format,
        "rows": train.len(),
        "steps": report.global_step,
        "index_seconds": index_seconds,
        "train_seconds": train_seconds,
        "get_microseconds": get_seconds * 1e6,
        "before_mb": before.resident,
        "indexed_mb": indexed.resident,
        "indexing_peak_mb": indexed.peak,
        "peak_mb": trained.peak,
        "data_mb": trained.peak - before.resident,
    }))
}

fn number(text: &str) -> Result<usize> {
    let problem = |_| Error::config("argument", "a number", text);
    text.parse().map_err(problem)
}

/// So many bytes of rows in the words of the tiny model, with labels in turn.
fn write(path: &Path, format: &str, bytes: usize, row_bytes: usize) -> io::Result<()> {
    let words = [
        "the", "film", "was", "very", "good", "food", "is", "dull", "not", "great",
    ];
    let mut file = BufWriter::new(File::create(path)?);
    let header = match format {
        "jsonl" => "",
        "csv" => "text,label\n",
        _ => "text\tlabel\n",
    };
    file.write_all(header.as_bytes())?;
    let mut written = header.len();
    let mut row = String::new();
    for number in 0.. {
        if written >= bytes {
            break;
        }
        let label = ["good", "bad"][number % 2];
        row.clear();
        row += if format == "jsonl" {
            r#"{"text": ""#
        } else {
            ""
        };
        for place in 0.. {
            if row.len() + 10 >= row_bytes {
                break;
            }
            row += words[(number * 7919 + place * place * 31) % words.len()];
            row.push(' ');
        }
        row += &match format {
            "jsonl" => format!("\", \"label\": \"{label}\"}}\n"),
            "csv" => format!(",{label}\n"),
            _ => format!("\t{label}\n"),
        };
        file.write_all(row.as_bytes())?;
        written += row.len();
    }
    file.flush()
}

/// Resident memory of the process, in megabytes of a million bytes.
struct Memory {
    resident: f64,
    /// The most since this was last asked.
    peak: f64,
}

impl Memory {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            (kib.unwrap_or(f64::NAN) * 1024.0 / 1e5).round() / 10.0
        };
        let memory = Self {
            resident: of("VmRSS:"),
            peak: of("VmHWM:"),
        };
        // Where this is not allowed, the peak is that of the whole life of the process.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        memory
    }
}
