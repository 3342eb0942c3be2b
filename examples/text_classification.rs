//! Classifies texts or pairs of texts, or scores them: fits, evaluates and predicts on
//! tables.
//!
//!     cargo run --release --example text_classification -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/run \
//!         --train examples/data/train.tsv --dev examples/data/dev.tsv \
//!         --test examples/data/test.tsv --text-column sentence --label-column label
//!
//! Expected there: `"test_accuracy"` of about 0.9 in the last line.

mod recipe;

use std::path::PathBuf;
use std::process::ExitCode;

use bertfit::{
    BertClassifier, BertConfig, BertMultiLabelClassifier, BertRegressor, Example, Labels, LongText,
    Predictions, Result, TextWindows, WindowPooling,
};
use clap::Parser;
use serde_json::{Map, Value, json};

use recipe::tables::{TableArgs, Test, texts};
use recipe::{Common, Flags, Sets, configured};

const SINGLE: &str = "single_label_classification";
const MULTI: &str = "multi_label_classification";
const REGRESSION: &str = "regression";

/// Fits a BERT to classify or score texts or pairs of texts; evaluates; predicts. Files are TSV, CSV,
/// JSON lines or Parquet.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: TableArgs,
    /// What the labels are: one class, several between commas, or a number (several between
    /// commas); default as the fitted model has it, or as the first labels of --train look
    #[arg(long, value_parser = [SINGLE, MULTI, REGRESSION])]
    problem_type: Option<String>,
    /// What is read of a text that is longer than --max-length: its head, its tail, a quarter of
    /// the row from its head and the rest from its tail, or all of it in windows, whose logits
    /// are pooled; default as the fitted model has it, or head
    #[arg(long, value_parser = ["head", "tail", "head-tail", "windows"])]
    truncation: Option<String>,
    /// Tokens that two windows share; default 128, or a third of --max-length if that is less
    #[arg(long)]
    doc_stride: Option<usize>,
    /// What the logits of a text are of those of its windows: mean (the default) or max
    #[arg(long, value_parser = ["mean", "max"])]
    window_pooling: Option<String>,
    /// Most windows of a text in training; of a longer one so many are read, evenly spread.
    /// Default all
    #[arg(long)]
    max_windows: Option<usize>,
}

impl Args {
    fn long_text(&self) -> Option<LongText> {
        Some(match self.truncation.as_deref()? {
            "tail" => LongText::Tail,
            "head-tail" => LongText::head_tail(),
            "windows" => LongText::Windows(TextWindows {
                doc_stride: self.doc_stride,
                pooling: match self.window_pooling.as_deref() {
                    Some("max") => WindowPooling::Max,
                    _ => WindowPooling::Mean,
                },
                max_windows: self.max_windows,
            }),
            _ => LongText::Head,
        })
    }
}

/// The settings that the builders of all three tasks have.
macro_rules! built {
    ($args:expr, $builder:expr) => {{
        let builder = configured!($args.common, $builder);
        match $args.long_text() {
            Some(long_text) => builder.long_text(long_text),
            None => builder,
        }
    }};
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn check(&self) -> Result<(), String> {
        let windows = self.truncation.as_deref() == Some("windows");
        let of_windows = [
            ("--doc-stride", self.doc_stride.is_some()),
            ("--window-pooling", self.window_pooling.is_some()),
            ("--max-windows", self.max_windows.is_some()),
        ];
        let given = of_windows.into_iter().find(|(_, given)| *given);
        match given {
            Some((flag, _)) if !windows => Err(format!("{flag} needs --truncation windows")),
            _ if windows && self.tables.pair_column.is_some() => {
                let rule = "windows are of one text, not of a pair: leave --pair-column out, or \
                            choose --truncation head, tail or head-tail";
                Err(rule.to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    match problem_type(args)?.as_str() {
        MULTI => several_classes(args),
        REGRESSION => numbers(args),
        _ => one_class(args),
    }
}

/// As the command line says, or the fitted model, or the training table.
fn problem_type(args: &Args) -> Result<String> {
    let model = &args.common.model;
    if let Some(problem_type) = &args.problem_type {
        return Ok(problem_type.clone());
    }
    if recipe::is_fitted(model, "ForSequenceClassification")? {
        let config = BertConfig::from_dir(model)?;
        // One output gives a number, as transformers has it.
        let usual = [SINGLE, REGRESSION][usize::from(config.num_labels() == 1)];
        return Ok(config.problem_type.unwrap_or(usual.to_owned()));
    }
    Ok(match &args.common.train {
        Some(path) => args.tables.table(path)?.problem_type()?.to_owned(),
        None => SINGLE.to_owned(),
    })
}

fn sets<'a, L: Clone + Sync>(
    train: Option<&'a dyn bertfit::Dataset<Item = Example<L>>>,
    dev: Option<&'a Vec<Example<L>>>,
    test: Option<&'a Test<L>>,
) -> Sets<'a, Example<L>> {
    let labelled = test.and_then(|test| test.labelled.as_ref());
    Sets {
        train,
        dev: dev.map(|rows| rows as _),
        test: labelled.map(|rows| rows as _),
    }
}

fn one_class(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let index = |path: &PathBuf| args.tables.table(path)?.index();
    let train = common.train.as_ref().map(index).transpose()?;
    // Without a table to train on, a fitted classifier; else one that is fitted and knows
    // the table's labels, or an encoder to fit.
    let mut classifier = match &train {
        None => built!(args, BertClassifier::saved(model)).build(),
        Some(train) => {
            let builder = built!(args, BertClassifier::builder(model));
            match recipe::is_fitted(model, "ForSequenceClassification")? {
                true => builder.build(),
                false => builder.labels(train.labels().names()).build(),
            }
        }
    }?;
    let labels = classifier.labels().clone();
    let read = |path: &PathBuf| args.tables.table(path)?.known_labels(&labels).read();
    let dev = common.dev.as_ref().map(read).transpose()?;
    let test = Test::read(&args.tables, common.test.as_ref(), read)?;
    let sets = sets(
        train.as_ref().map(|train| train as _),
        dev.as_ref(),
        test.as_ref(),
    );
    common.run(
        &mut classifier,
        sets,
        |_| Ok(()),
        |classifier, _| Ok(objects(&classifier.predict(texts(&test))?)),
    )
}

fn objects(predictions: &Predictions) -> Vec<Value> {
    let objects = predictions.iter().enumerate().map(|(row, (label, _))| {
        let scores = predictions.probabilities.row(row).to_vec();
        json!({"label": label, "scores": named(predictions.classes(), scores)})
    });
    objects.collect()
}

fn named(labels: &Labels, scores: Vec<f32>) -> Map<String, Value> {
    let names = labels.names().iter().cloned();
    names.zip(scores.into_iter().map(Value::from)).collect()
}

fn several_classes(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let read = |path: &PathBuf| args.tables.table(path)?.read_lists(',');
    let train = common.train.as_ref().map(read).transpose()?;
    let mut classifier = match &train {
        None => built!(args, BertMultiLabelClassifier::saved(model)).build(),
        Some(train) => {
            let builder = built!(args, BertMultiLabelClassifier::builder(model));
            match recipe::is_fitted(model, "ForSequenceClassification")? {
                true => builder.build(),
                false => {
                    let labels = Labels::sorted(train.iter().flat_map(|row| &row.label))?;
                    builder.labels(labels.names()).build()
                }
            }
        }
    }?;
    let labels = classifier.labels().clone();
    let read = |path: &PathBuf| {
        args.tables
            .table(path)?
            .known_labels(&labels)
            .read_lists(',')
    };
    let dev = common.dev.as_ref().map(read).transpose()?;
    let test = Test::read(&args.tables, common.test.as_ref(), read)?;
    let sets = sets(
        train.as_ref().map(|train| train as _),
        dev.as_ref(),
        test.as_ref(),
    );
    let tune = |classifier: &mut BertMultiLabelClassifier| match &dev {
        Some(dev) => classifier.tune_thresholds(dev),
        None => Ok(()),
    };
    common.run(&mut classifier, sets, tune, |classifier, _| {
        let predictions = classifier.predict(texts(&test))?;
        let object = |row: usize| {
            let scores = predictions.probabilities.row(row).to_vec();
            let scores = named(predictions.classes(), scores);
            json!({"labels": predictions.labels(row), "scores": scores})
        };
        Ok((0..texts(&test).len()).map(object).collect())
    })
}

fn numbers(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let read = |path: &PathBuf| args.tables.table(path)?.read_numbers();
    let train = common.train.as_ref().map(read).transpose()?;
    let mut regressor = match &train {
        None => built!(args, BertRegressor::saved(model)).build(),
        Some(train) => {
            let builder = built!(args, BertRegressor::builder(model));
            let outputs = train.first().map_or(1, |row| row.label.len());
            builder.outputs(outputs).build()
        }
    }?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    let test = Test::read(&args.tables, common.test.as_ref(), read)?;
    let sets = sets(
        train.as_ref().map(|train| train as _),
        dev.as_ref(),
        test.as_ref(),
    );
    common.run(
        &mut regressor,
        sets,
        |_| Ok(()),
        |regressor, _| {
            let numbers = regressor.predict(texts(&test))?;
            let object = |row: bertfit::ndarray::ArrayView1<f32>| match row.as_slice() {
                Some([value]) => json!({"value": value}),
                _ => json!({"value": row.to_vec()}),
            };
            Ok(numbers.rows().into_iter().map(object).collect())
        },
    )
}
