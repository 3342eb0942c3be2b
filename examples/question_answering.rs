//! Answers questions by a part of a text: fits, evaluates and predicts on files in SQuAD's
//! form, version 1.1 or 2.0.
//!
//!     cargo run --release --example question_answering -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/answerer --lr 1e-4 --epochs 2 \
//!         --train train.json --dev dev.json --test dev.json
//!
//! `predictions.json` is what SQuAD's own script scores.

mod recipe;

use std::path::PathBuf;
use std::process::ExitCode;

use bertfit::{BertQuestionAnswerer, Error, FineTuner, QaExample, Result, RunFolder, SquadFile};
use clap::Parser;
use serde_json::{Map, Value, json};

use recipe::rows::{self, TestArgs};
use recipe::{Common, Flags, Sets, configured, in_file};

/// Fits a BERT to answer questions; evaluates; predicts. Files are in SQuAD's form, or have a
/// question on each row (JSON lines, a JSON list, Parquet).
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    test: TestArgs,
    /// Give a fitted model a new head
    #[arg(long, requires = "train")]
    fresh_head: bool,
    /// Tokens that two windows of a long text share; default 128, or a third of the
    /// maximal length if that is less
    #[arg(long)]
    doc_stride: Option<usize>,
    /// A text may have no answer; default as the fitted model or the files say
    #[arg(long)]
    unanswerable: bool,
    /// By how much the score of no answer must exceed that of the best one for no answer to be
    /// given (then --unanswerable too); default what is best on --dev, or as the fitted model has it
    #[arg(long, allow_negative_numbers = true)]
    null_threshold: Option<f32>,
    /// How many answers are weighed against each other
    #[arg(long, default_value_t = 20)]
    n_best: usize,
    /// Tokens of the longest answer
    #[arg(long, default_value_t = 30)]
    max_answer_length: usize,
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn check(&self) -> std::result::Result<(), String> {
        match (self.n_best, self.max_answer_length) {
            (0, _) => Err("--n-best must be at least 1".to_owned()),
            (_, 0) => Err("--max-answer-length must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    let common = &args.common;
    let file = |path: &PathBuf| match common.rows.skipping() {
        Some(skipped) => SquadFile::open(path).skip_bad_rows(skipped),
        None => SquadFile::open(path),
    };
    let (train, dev, test) = (&common.train, &common.dev, &common.test);
    let train = train.as_ref().map(|path| file(path).read()).transpose()?;
    let dev = dev.as_ref().map(|path| file(path).read_to_evaluate());
    let test = test.as_ref().map(|path| match args.test.no_test_labels {
        true => file(path).read_questions(),
        false => file(path).read_to_evaluate(),
    });
    let kind = |row: &QaExample| row.answers.is_empty();
    let (train, dev) = common
        .rows
        .chosen(train, dev.transpose()?, kind, common.seed)?;
    let test = test.transpose()?;
    let test = test.map(|rows| rows::first(rows, common.rows.max_predict_samples));
    if let (Some(train), Some(path)) = (&train, &common.train)
        && !answered(train)
    {
        return Err(Error::File {
            path: path.clone(),
            problem: "no question has an answer to learn".to_owned(),
        });
    }
    // A file without any answer is there to be predicted.
    let labelled = test.as_ref().filter(|rows| answered(rows));
    let mut answerer = new_answerer(
        args,
        train.as_deref(),
        [dev.as_deref(), labelled.map(|r| &r[..])],
    )?;
    if let (Some(test), None, Some(path)) = (&test, labelled, &common.test) {
        answerer.check(test).map_err(|error| in_file(path, error))?;
        if !args.test.no_test_labels {
            eprintln!(
                "{}: no question has an answer, they are only predicted",
                path.display()
            );
        }
    }
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: labelled.map(|rows| rows as _),
    };
    let tune = |answerer: &mut BertQuestionAnswerer| match &dev {
        Some(dev)
            if unanswerable(dev) && answerer.unanswerable() && args.null_threshold.is_none() =>
        {
            answerer.tune_null_threshold(dev)
        }
        _ => Ok(()),
    };
    common.run(&mut answerer, sets, tune, |answerer, folder| {
        predict(answerer, test.as_deref().unwrap_or_default(), folder)
    })
}

fn answered(rows: &[QaExample]) -> bool {
    rows.iter().any(|row| !row.answers.is_empty())
}

fn unanswerable(rows: &[QaExample]) -> bool {
    rows.iter().any(|row| row.answers.is_empty())
}

fn new_answerer(
    args: &Args,
    train: Option<&[QaExample]>,
    evaluated: [Option<&[QaExample]>; 2],
) -> Result<BertQuestionAnswerer> {
    let (common, model) = (&args.common, &args.common.model);
    let asked = args.unanswerable || args.null_threshold.is_some();
    let evaluated = evaluated.into_iter().flatten().any(unanswerable);
    let mut builder = match train {
        Some(train) => configured!(common, BertQuestionAnswerer::builder(model))
            .unanswerable(asked || unanswerable(train)),
        None => {
            configured!(common, BertQuestionAnswerer::saved(model)).usually_unanswerable(evaluated)
        }
    };
    if asked {
        builder = builder.unanswerable(true);
    }
    if args.fresh_head {
        builder = builder.fresh_head();
    }
    if let Some(doc_stride) = args.doc_stride {
        builder = builder.doc_stride(doc_stride);
    }
    if let Some(threshold) = args.null_threshold {
        builder = builder.null_threshold(threshold);
    }
    let builder = builder.n_best(args.n_best);
    let answerer = builder.max_answer_length(args.max_answer_length).build()?;
    if evaluated && !answerer.unanswerable() {
        eprintln!(
            "warning: some questions of --dev or --test have no answer, but the model always \
             gives one; --unanswerable lets it give none"
        );
    }
    Ok(answerer)
}

fn predict(
    answerer: &BertQuestionAnswerer,
    questions: &[QaExample],
    folder: &RunFolder,
) -> Result<Vec<Value>> {
    let scored = answerer.predict_scored(questions)?;
    let (mut texts, mut n_best, mut null_odds) = (Map::new(), Map::new(), Map::new());
    let mut rows = Vec::with_capacity(questions.len());
    for (QaExample { id, .. }, scored) in questions.iter().zip(scored) {
        let best = scored.best;
        texts.insert(id.clone(), json!(best.text));
        n_best.insert(id.clone(), json!(scored.n_best));
        null_odds.extend(scored.null_odds.map(|odds| (id.clone(), json!(odds))));
        rows.push(json!({
            "id": id, "text": best.text, "start": best.start, "end": best.end, "score": best.score
        }));
    }
    folder.write_answers(&texts)?;
    folder.write_n_best(&n_best)?;
    if answerer.unanswerable() {
        folder.write_null_odds(&null_odds)?;
    }
    Ok(rows)
}
