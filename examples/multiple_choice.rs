//! Chooses the right ending of a question: fits, evaluates and predicts on JSON lines.
//!
//!     cargo run --release --example multiple_choice -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/chooser \
//!         --train train.jsonl --dev dev.jsonl --test test.jsonl

mod recipe;

use std::path::PathBuf;
use std::process::ExitCode;

use bertfit::{BertMultipleChoice, ChoiceFile, Result};
use clap::Parser;
use serde_json::json;

use recipe::{Common, Flags, Sets, configured};

/// Fits a BERT to choose endings of questions; evaluates; predicts. Files are JSON lines or Parquet.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Key of the question; default `question`, `sent1` or `context`
    #[arg(long)]
    text_column: Option<String>,
    /// Key of the endings; default `endings` or `choices`
    #[arg(long)]
    pair_column: Option<String>,
    /// Key of the index of the right ending
    #[arg(long, default_value = "label")]
    label_column: String,
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let file = |path: &PathBuf| {
        let mut file = ChoiceFile::open(path).label(&args.label_column);
        if let Some(question) = &args.text_column {
            file = file.question(question);
        }
        if let Some(endings) = &args.pair_column {
            file = file.endings(endings);
        }
        file
    };
    let read = |path: &PathBuf| file(path).read();
    let train = common.train.as_ref().map(read).transpose()?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    // A file without labels is there to be predicted.
    let (test, has_label) = match common.test.as_ref().map(file) {
        Some(file) if file.has_label()? => (Some(file.read()?), true),
        Some(file) => (Some(file.read_questions()?), false),
        None => (None, false),
    };
    let builder = match &train {
        Some(_) => configured!(common, BertMultipleChoice::builder(model)),
        None => configured!(common, BertMultipleChoice::saved(model)),
    };
    let mut chooser = builder.build()?;
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: test.as_ref().filter(|_| has_label).map(|rows| rows as _),
    };
    common.run(
        &mut chooser,
        sets,
        |_| Ok(()),
        |chooser, _| {
            let choices = chooser.predict(test.as_deref().unwrap_or_default())?;
            let object =
                |choice: &bertfit::Choice| json!({"label": choice.label, "scores": choice.scores});
            Ok(choices.iter().map(object).collect())
        },
    )
}
