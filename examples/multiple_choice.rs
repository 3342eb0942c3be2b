//! Chooses the right ending of a question: fits, evaluates and predicts on JSON lines in the forms
//! of SWAG, HellaSwag, RACE, CommonsenseQA and their like.
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

use recipe::labels::{HeadArgs, with_head};
use recipe::rows::{TestArgs, first};
use recipe::{Common, Flags, Sets, configured};

/// Fits a BERT to choose endings of questions; evaluates; predicts. Files are JSON lines or Parquet.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    test: TestArgs,
    #[command(flatten)]
    head: HeadArgs,
    /// Key of the question; default question, sent2, ctx_b, question_stem, goal or sentence
    #[arg(long)]
    text_column: Option<String>,
    /// Key of the text that the question is about, or none; default context, article, passage, ctx,
    /// sent1, ctx_a, premise or text
    #[arg(long)]
    context_column: Option<String>,
    /// Key of the endings; default endings, choices, options or answers, or ending0, ending1, …
    #[arg(long)]
    pair_column: Option<String>,
    /// Key of the right ending: its index, letter or text; default label, answer or answerKey
    #[arg(long)]
    label_column: Option<String>,
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
        let mut file = ChoiceFile::open(path);
        if let Some(skipped) = common.rows.skipping() {
            file = file.skip_bad_rows(skipped);
        }
        if let Some(label) = &args.label_column {
            file = file.label(label);
        }
        if let Some(context) = args.context_column.as_deref() {
            file = file.context(Some(context).filter(|&key| key != "none"));
        }
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
    let (train, dev) = common.rows.chosen(train, dev, |_| (), common.seed)?;
    let most = common.rows.max_predict_samples;
    let test = common.test.as_ref().map(|path| file(path).read_questions());
    let test = test.transpose()?.map(|rows| first(rows, most));
    // A file without labels is there to be predicted.
    let labelled = match &common.test {
        Some(path) if !args.test.no_test_labels => {
            let (rows, has_label) = file(path).read_if_labelled()?;
            has_label.then(|| first(rows, most))
        }
        _ => None,
    };
    let builder = match &train {
        Some(_) => configured!(common, BertMultipleChoice::builder(model)),
        None => configured!(common, BertMultipleChoice::saved(model)),
    };
    let mut chooser = with_head!(args.head, builder).build()?;
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: labelled.as_ref().map(|rows| rows as _),
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
