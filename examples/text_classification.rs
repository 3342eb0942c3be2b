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

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bertfit::{
    BertClassifier, BertConfig, BertMultiLabelClassifier, BertRegressor, Dataset, Error, Example,
    IndexedTable, Labels, LongText, Predictions, Result, Subset, Table, TextWindows, WindowPooling,
};
use clap::Parser;
use serde_json::{Map, Value, json};

use recipe::class_loss::LossArgs;
use recipe::labels::{HeadArgs, LabelArgs, saved_labels, with_head, with_labels_of_dev};
use recipe::rows::{TestArgs, first};
use recipe::tables::{TableArgs, Test, parse_delimiter, texts};
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
    #[command(flatten)]
    test: TestArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    head: HeadArgs,
    #[command(flatten)]
    loss: LossArgs,
    /// What stands between several labels or numbers of a row; default a comma
    #[arg(long, value_parser = parse_delimiter)]
    label_delimiter: Option<char>,
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
    fn table(&self, path: &Path) -> Result<Table> {
        let table = self.tables.table(path, &self.common)?;
        Ok(match self.label_delimiter {
            Some(delimiter) => table.label_delimiter(delimiter),
            None => table,
        })
    }

    /// Whether the model is fitted already, and keeps its head.
    fn is_fitted(&self) -> Result<bool> {
        let fitted = recipe::is_fitted(&self.common.model, "ForSequenceClassification")?;
        Ok(fitted && !self.head.fresh_head)
    }

    /// Which flag is given that another problem type has no use for.
    fn useless(&self, problem_type: &str) -> std::result::Result<(), String> {
        let flag = match problem_type {
            SINGLE => return Ok(()),
            REGRESSION if self.labels.given() => Some("--labels"),
            _ => self.loss.given(),
        };
        let refuse = |flag| Err(format!("{flag} is not of the problem type {problem_type}"));
        flag.map_or(Ok(()), refuse)
    }

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
        let builder = with_head!($args.head, configured!($args.common, $builder));
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
        self.tables.dialect.check(&self.common)?;
        if self.tables.text_column == self.tables.label_column {
            return Err("--text-column and --label-column name the same column".to_owned());
        }
        self.loss.check()?;
        if let Some(problem_type) = &self.problem_type {
            self.useless(problem_type)?;
        }
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
    let problem_type = problem_type(args)?;
    if let Err(problem) = args.useless(&problem_type) {
        eprintln!("error: {problem}");
        return Ok(ExitCode::from(2));
    }
    match problem_type.as_str() {
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
    if args.is_fitted()? {
        let config = BertConfig::from_dir(model)?;
        // One output gives a number, as transformers has it.
        let usual = [SINGLE, REGRESSION][usize::from(config.num_labels() == 1)];
        return Ok(config.problem_type.unwrap_or(usual.to_owned()));
    }
    let Some(path) = &args.common.train else {
        return Ok(SINGLE.to_owned());
    };
    let found = args.table(path)?.problem_type()?;
    if args.head.fresh_head
        && let Some(before) = BertConfig::from_dir(model)?.problem_type
        && before != found
    {
        eprintln!(
            "warning: the labels of --train look like {found}, the fitted model's were {before}; \
             --problem-type says which they are"
        );
    }
    Ok(found.to_owned())
}

fn sets<'a, L: Clone + Sync>(
    train: Option<&'a dyn Dataset<Item = Example<L>>>,
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
    let index = |labels: &Labels| {
        let path = common.train.as_ref();
        path.map(|path| args.table(path)?.known_labels(labels).index())
            .transpose()
    };
    let named = args.labels.labels()?;
    let keeps_labels = named.is_none() && common.train.is_none();
    let (labels, train) = match named {
        Some(labels) => {
            let train = index(&labels)?;
            (labels, train)
        }
        None if common.train.is_none() || args.is_fitted()? => {
            let labels = saved_labels(model)?;
            let train = index(&labels)?;
            (labels, train)
        }
        None => found_labels(args)?,
    };
    let parts = train.as_ref().map(|train| parts(common, train));
    let (train, share) = parts.transpose()?.unzip();
    let counts = || {
        let mut counts = vec![0; labels.len()];
        let train: &dyn Dataset<Item = Example> = match &train {
            Some(train) => train,
            None => return Ok(counts),
        };
        for row in 0..train.len() {
            counts[labels.id(&train.get(row)?.label)? as usize] += 1;
        }
        Ok(counts)
    };
    // Without a table to train on, a fitted classifier; else one that is fitted and knows
    // the table's labels, or an encoder to fit.
    let builder = match &common.train {
        None => built!(args, BertClassifier::saved(model)),
        Some(_) => built!(args, BertClassifier::builder(model)),
    };
    let builder = match keeps_labels {
        true => builder,
        false => builder.labels(labels.names()),
    };
    let mut classifier = builder.loss(args.loss.loss(&labels, counts)?).build()?;
    let table = |path: &PathBuf| Ok(args.table(path)?.known_labels(&labels));
    let dev = common.dev.as_ref().map(|path| table(path)?.read());
    let dev = dev
        .transpose()?
        .map(|rows| first(rows, common.rows.max_eval_samples));
    let test = Test::read(common, &args.test, table, Table::read_if_labelled)?;
    let mut sets = sets(
        train.as_ref().map(|rows| rows as _),
        dev.as_ref(),
        test.as_ref(),
    );
    if let Some(Some(share)) = &share {
        sets.dev = Some(share);
    }
    common.run(
        &mut classifier,
        sets,
        |_| Ok(()),
        |classifier, _| Ok(objects(&classifier.predict(texts(&test))?)),
    )
}

/// The classes of --train, and those that --dev has besides; and the rows of --train.
fn found_labels(args: &Args) -> Result<(Labels, Option<IndexedTable>)> {
    let common = &args.common;
    let Some(path) = &common.train else {
        return Err(Error::config("labels", "of --train", "none"));
    };
    let table = args.table(path)?;
    if let Some(labels) = table.class_names()? {
        let train = table.known_labels(&labels).index()?;
        return Ok((labels, Some(train)));
    }
    let mut train = table.index()?;
    let dev = common.dev.as_ref().map(|path| args.table(path)?.read());
    let dev = dev.transpose()?.unwrap_or_default();
    let of_dev = dev.into_iter().map(|row| row.label);
    let labels = with_labels_of_dev(train.labels(), of_dev)?;
    // The first row without a gold label is then an error, or each is left out.
    if train.labels().len() > labels.len() {
        train = table.known_labels(&labels).index()?;
    }
    Ok((labels, Some(train)))
}

type Rows<'a> = Box<dyn Dataset<Item = Example> + 'a>;

/// The rows to train on, and those of --dev-share.
fn parts<'a>(common: &Common, train: &'a IndexedTable) -> Result<(Rows<'a>, Option<Rows<'a>>)> {
    let rows = &common.rows;
    match (rows.dev_share, rows.max_train_samples) {
        (None, None) => Ok((Box::new(train), None)),
        (None, Some(most)) => Ok((Box::new(Subset::first(train, most)), None)),
        (Some(_), _) => {
            let class = |row| Ok(train.get(row)?.label);
            let classes: Vec<String> = (0..train.len()).map(class).collect::<Result<_>>()?;
            let (of_train, of_dev) = rows.parts(&classes, common.seed)?;
            let subset = |rows| Ok::<_, Error>(Box::new(Subset::new(train, rows)?) as Rows<'a>);
            Ok((subset(of_train)?, of_dev.map(subset).transpose()?))
        }
    }
}

fn objects(predictions: &Predictions) -> Vec<Value> {
    let objects = predictions.iter().enumerate().map(|(row, (label, _))| {
        let scores = predictions.probabilities.row(row).to_vec();
        json!({"label": label, "scores": named_scores(predictions.classes(), scores)})
    });
    objects.collect()
}

fn named_scores(labels: &Labels, scores: Vec<f32>) -> Map<String, Value> {
    let names = labels.names().iter().cloned();
    names.zip(scores.into_iter().map(Value::from)).collect()
}

fn several_classes(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let named = args.labels.labels()?;
    let is_fitted = common.train.is_none() || args.is_fitted()?;
    let known = match named {
        None if is_fitted => Some(saved_labels(model)?),
        named => named,
    };
    let keeps_labels = args.labels.labels()?.is_none() && is_fitted;
    let read = |path: &PathBuf| {
        let table = args.table(path)?;
        match &known {
            Some(labels) => table.known_labels(labels).read_lists(),
            None => table.read_lists(),
        }
    };
    let train = common.train.as_ref().map(read).transpose()?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    let labels = match &known {
        Some(labels) => labels.clone(),
        None => {
            let of = |rows: &Option<Vec<Example<Vec<String>>>>| {
                let rows = rows.iter().flatten();
                rows.flat_map(|row| row.label.clone()).collect::<Vec<_>>()
            };
            with_labels_of_dev(&Labels::sorted(of(&train))?, of(&dev))?
        }
    };
    let (train, dev) = common.rows.chosen(train, dev, |_| (), common.seed)?;
    let builder = match &train {
        None => built!(args, BertMultiLabelClassifier::saved(model)),
        Some(_) => built!(args, BertMultiLabelClassifier::builder(model)),
    };
    let mut classifier = match keeps_labels {
        true => builder.build(),
        false => builder.labels(labels.names()).build(),
    }?;
    let table = |path: &PathBuf| Ok(args.table(path)?.known_labels(&labels));
    let test = Test::read(common, &args.test, table, Table::read_lists_if_labelled)?;
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
            let scores = named_scores(predictions.classes(), scores);
            json!({"labels": predictions.labels(row), "scores": scores})
        };
        Ok((0..texts(&test).len()).map(object).collect())
    })
}

fn numbers(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let table = |path: &PathBuf| args.table(path);
    let train = common
        .train
        .as_ref()
        .map(|path| table(path)?.read_numbers());
    let train = train.transpose()?;
    let outputs = match &train {
        Some(train) => train.first().map_or(1, |row| row.label.len()),
        None => BertConfig::from_dir(model)?.num_labels(),
    };
    let table = |path: &PathBuf| Ok(table(path)?.numbers(outputs));
    let dev = common.dev.as_ref().map(|path| table(path)?.read_numbers());
    let dev = dev.transpose()?;
    let (train, dev) = common.rows.chosen(train, dev, |_| (), common.seed)?;
    let mut regressor = match &train {
        None => built!(args, BertRegressor::saved(model)).build(),
        Some(_) => {
            let builder = built!(args, BertRegressor::builder(model));
            builder.outputs(outputs).build()
        }
    }?;
    let test = Test::read(common, &args.test, table, Table::read_numbers_if_labelled)?;
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
