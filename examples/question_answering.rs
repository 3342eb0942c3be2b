//! Answers questions by a part of a text: fits, evaluates and predicts on files in SQuAD's
//! form, version 1.1 or 2.0.
//!
//!     cargo run --release --example question_answering -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/answerer --lr 1e-4 --epochs 2 \
//!         --train train.json --dev dev.json --test dev.json
//!
//! `predictions.json` is what SQuAD's own script scores.

mod recipe;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use bertfit::{BertQuestionAnswerer, Error, FineTuner, QaExample, Result, RunFolder, SquadFile};
use clap::Parser;
use serde_json::{Value, json};

use recipe::{Common, Flags, Sets, configured, in_file};

/// Fits a BERT to answer questions; evaluates; predicts. Files are in SQuAD's form.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Tokens that two windows of a long text share; default 128, or a third of the
    /// maximal length if that is less
    #[arg(long)]
    doc_stride: Option<usize>,
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
    let read = |path: &PathBuf| SquadFile::open(path).read();
    let train = common.train.as_ref().map(read).transpose()?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    let test = common.test.as_ref().map(read).transpose()?;
    if let (Some(train), Some(path)) = (&train, &common.train)
        && train.iter().all(|row| row.answers.is_empty())
    {
        return Err(Error::File {
            path: path.clone(),
            problem: "no question has an answer to learn".to_owned(),
        });
    }
    let no_answer = |rows: &Vec<QaExample>| rows.iter().any(|row| row.answers.is_empty());
    let mut builder = match &train {
        Some(train) => {
            configured!(common, BertQuestionAnswerer::builder(model)).unanswerable(no_answer(train))
        }
        None => configured!(common, BertQuestionAnswerer::saved(model)),
    };
    if let Some(doc_stride) = args.doc_stride {
        builder = builder.doc_stride(doc_stride);
    }
    let mut answerer = builder.build()?;
    // A file without any answer is there to be predicted.
    let answered = |rows: &&Vec<QaExample>| rows.iter().any(|row| !row.answers.is_empty());
    if let (Some(test), Some(path)) = (test.as_ref().filter(|rows| !answered(rows)), &common.test) {
        answerer.check(test).map_err(|error| in_file(path, error))?;
    }
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: test.as_ref().filter(answered).map(|rows| rows as _),
    };
    let tune = |answerer: &mut BertQuestionAnswerer| match &dev {
        Some(dev) if no_answer(dev) => answerer.tune_null_threshold(dev),
        _ => Ok(()),
    };
    common.run(&mut answerer, sets, tune, |answerer, folder| {
        predict(answerer, test.as_deref().unwrap_or_default(), folder)
    })
}

fn predict(
    answerer: &BertQuestionAnswerer,
    questions: &[QaExample],
    folder: &RunFolder,
) -> Result<Vec<Value>> {
    let answers = answerer.predict(questions)?;
    let ids = || questions.iter().map(|question| question.id.as_str());
    let texts = answers.iter().map(|answer| answer.text.as_str());
    let by_id: BTreeMap<&str, &str> = ids().zip(texts).collect();
    folder.write_answers(&by_id)?;
    let object = |(id, answer): (&str, &bertfit::Answer)| {
        let bertfit::Answer {
            text,
            start,
            end,
            score,
            ..
        } = answer;
        json!({"id": id, "text": text, "start": start, "end": end, "score": score})
    };
    Ok(ids().zip(&answers).map(object).collect())
}
