//! Classifies texts or pairs of texts: fits, evaluates and predicts on tables.
//!
//!     cargo run --release --example text_classification -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/run \
//!         --train examples/data/train.tsv --dev examples/data/dev.tsv \
//!         --test examples/data/test.tsv --text-column sentence --label-column label
//!
//! Expected there: `"test_accuracy"` of about 0.9 in the last line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bertfit::tch::Device;
use bertfit::{
    AdamWConfig, BertClassifier, BertClassifierBuilder, BertConfig, CheckpointEvery, Checkpoints,
    Error, EvalEvery, Example, FineTuner, IndexedTable, Labels, Precision, Predictions,
    ProgressBar, Result, RunFolder, Schedule, Table, TrainConfig, Trainer, Warmup, model_dir,
};
use clap::Parser;
use serde_json::{Map, Value, json};

/// Fits a BERT to classify texts or pairs of texts; evaluates; predicts.
#[derive(Parser)]
struct Args {
    /// Model folder, or a name on the Hugging Face Hub: an encoder to fit, or a classifier
    #[arg(long)]
    model: PathBuf,
    /// Table to train on (TSV, CSV or JSON lines; also .gz and .xz)
    #[arg(long)]
    train: Option<PathBuf>,
    /// Table to evaluate on
    #[arg(long)]
    dev: Option<PathBuf>,
    /// Table to predict; evaluated too if it has the label column
    #[arg(long)]
    test: Option<PathBuf>,
    /// Folder for the model and the results
    #[arg(long)]
    out: PathBuf,
    /// Use the folder even if it is not empty; results and checkpoints there are lost
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Column of the text: name, or index from 0
    #[arg(long, default_value = "text")]
    text_column: String,
    /// Column of the second text of a pair
    #[arg(long)]
    pair_column: Option<String>,
    /// Column of the label
    #[arg(long, default_value = "label")]
    label_column: String,
    /// The tables have no header; columns are indexes
    #[arg(long)]
    no_header: bool,
    /// What the labels are
    #[arg(long, default_value = "single_label_classification", value_parser = ["single_label_classification"])]
    problem_type: String,
    /// Most tokens of a row; default 128, or the model's positions if it has fewer
    #[arg(long)]
    max_length: Option<usize>,
    /// Passes over the training table
    #[arg(long, default_value_t = 3.0)]
    epochs: f64,
    /// Optimizer steps, instead of epochs
    #[arg(long)]
    max_steps: Option<usize>,
    /// Rows of a batch in training
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Tokens of a batch in training, padding counted, instead of rows
    #[arg(long)]
    tokens_per_batch: Option<usize>,
    /// Rows of a batch in evaluation
    #[arg(long, default_value_t = 64)]
    eval_batch_size: usize,
    /// Batches of an optimizer step
    #[arg(long, default_value_t = 1)]
    accumulate: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-5)]
    lr: f64,
    /// AdamW's decay of weights (not of biases and norms)
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f64,
    /// Steps with a rising learning rate; below 1, their share of all steps
    #[arg(long, default_value = "0.1")]
    warmup: Warmup,
    /// How the learning rate falls: linear, cosine or constant
    #[arg(long, default_value = "linear")]
    schedule: Schedule,
    /// Norm that gradients are cut to
    #[arg(long, default_value_t = 1.0)]
    max_grad_norm: f64,
    /// Numbers of matrix products: f32 or bf16
    #[arg(long, default_value = "f32")]
    precision: Precision,
    /// cpu, cuda, cuda:N, or auto: the first GPU if there is one
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    device: Device,
    /// Threads of libtorch; default all cores
    #[arg(long)]
    threads: Option<i32>,
    /// Seed of the head, the order of rows and dropout
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Number that picks the best epoch
    #[arg(long, default_value = "accuracy")]
    metric: String,
    /// When to evaluate: epoch, or each so many steps
    #[arg(long, default_value = "epoch")]
    eval_every: EvalEvery,
    /// When to write a checkpoint: epoch, each N steps, or Tm: each T minutes
    #[arg(long, default_value = "epoch")]
    checkpoint_every: CheckpointEvery,
    /// How many of the newest checkpoints to keep, besides the best
    #[arg(long, default_value_t = 2)]
    keep: usize,
    /// Continue the run in --out, exactly; where it holds no checkpoint yet, start it
    #[arg(long, requires = "train")]
    resume: bool,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

fn parse_device(name: &str) -> std::result::Result<Device, String> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(Device::cuda_if_available()),
        "cuda" => Ok(Device::Cuda(0)),
        _ => name
            .strip_prefix("cuda:")
            .and_then(|index| index.parse().ok())
            .map(Device::Cuda)
            .ok_or("expected cpu, cuda, cuda:N or auto".to_owned()),
    }
}

impl Args {
    fn config(&self) -> TrainConfig {
        TrainConfig {
            epochs: self.epochs,
            max_steps: self.max_steps,
            batch_size: self.batch_size,
            tokens_per_batch: self.tokens_per_batch,
            eval_batch_size: self.eval_batch_size,
            accumulate: self.accumulate,
            learning_rate: self.lr,
            schedule: self.schedule,
            warmup: self.warmup,
            optimizer: AdamWConfig {
                weight_decay: self.weight_decay,
                ..AdamWConfig::default()
            },
            max_grad_norm: Some(self.max_grad_norm),
            eval_every: self.eval_every,
            metric: Some(self.metric.clone()),
            seed: self.seed,
            ..TrainConfig::default()
        }
    }

    fn builder(&self, builder: BertClassifierBuilder) -> BertClassifierBuilder {
        let builder = builder
            .device(self.device)
            .precision(self.precision)
            .seed(self.seed);
        match self.max_length {
            Some(max_length) => builder.max_length(max_length),
            None => builder,
        }
    }

    fn table(&self, path: &Path) -> Result<Table> {
        let index = |column: &str| {
            column.parse::<usize>().map_err(|_| Error::Config {
                field: "column",
                rule: "an index from 0 for a table without a header".to_owned(),
                got: column.to_owned(),
            })
        };
        let mut table = Table::open(path);
        if self.no_header {
            table = table.no_header().text(index(&self.text_column)?);
            table = table.label(index(&self.label_column)?);
            if let Some(pair) = &self.pair_column {
                table = table.pair(index(pair)?);
            }
            return Ok(table);
        }
        table = table
            .text(&self.text_column[..])
            .label(&self.label_column[..]);
        Ok(match &self.pair_column {
            Some(pair) => table.pair(&pair[..]),
            None => table,
        })
    }
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let mut args = Args::parse();
    bertfit::reuse_memory();
    if args.train.is_none() && args.dev.is_none() && args.test.is_none() {
        eprintln!("error: nothing to do: give --train, --dev or --test");
        return ExitCode::from(2);
    }
    match run(&mut args) {
        Ok(results) => {
            println!("{results}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(args: &mut Args) -> Result<String> {
    if let Some(threads) = args.threads {
        bertfit::tch::set_num_threads(threads);
    }
    let config = args.config();
    config.validate()?;
    let train = args
        .train
        .as_deref()
        .map(|path| args.table(path)?.index())
        .transpose()?;
    args.model = model_dir(&args.model)?;
    let mut classifier = match &train {
        Some(train) => new_classifier(args, train)?,
        None => args.builder(BertClassifier::saved(&args.model)).build()?,
    };
    let labels = classifier.labels().clone();
    let read = |path: &PathBuf| args.table(path)?.known_labels(&labels).read();
    let dev = args.dev.as_ref().map(read).transpose()?;
    let test = args
        .test
        .as_ref()
        .map(|path| Test::read(args, path, &labels))
        .transpose()?;
    // Everything has been read and checked before anything is written.
    let folder = match args.resume {
        true => RunFolder::resume(&args.out)?,
        false => RunFolder::create(&args.out, args.overwrite)?,
    };
    if let Some(results) = folder.results()? {
        eprintln!("the run in {} is finished", folder.path().display());
        return Ok(results);
    }
    let mut results = BTreeMap::new();

    if let Some(train) = &train {
        let checkpoints = Checkpoints::new(folder.path())
            .every(args.checkpoint_every)
            .keep(args.keep)
            .resume(args.resume);
        let mut trainer = Trainer::new(config)?.checkpoints(checkpoints);
        if !args.quiet {
            trainer = trainer.callback(ProgressBar::new());
        }
        let report = trainer.run(&mut classifier, train, dev.as_ref().map(|dev| dev as _))?;
        classifier.save(folder.path())?;
        folder.write_trainer_state(&report)?;
        results.extend(report.to_results());
    }
    if let Some(dev) = &dev {
        results.extend(classifier.evaluate(dev)?.to_results("eval"));
    }
    if let Some(test) = &test {
        if let Test::Labelled(rows) = test {
            results.extend(classifier.evaluate(rows)?.to_results("test"));
        }
        let predictions = test.predict(&classifier)?;
        folder.write_predictions(objects(&predictions))?;
    }
    folder.write_results(&results)
}

/// Fits an encoder, or goes on with a classifier that knows the table's labels.
fn new_classifier(args: &Args, train: &IndexedTable) -> Result<BertClassifier> {
    let builder = args.builder(BertClassifier::builder(&args.model));
    let config = BertConfig::from_dir(&args.model)?;
    let is_classifier = config
        .architectures
        .iter()
        .any(|name| name.ends_with("Classification"));
    if is_classifier {
        return builder.build();
    }
    builder.labels(train.labels().names()).build()
}

/// Rows to predict, with their labels if the table has them.
enum Test {
    Labelled(Vec<Example>),
    Plain(Vec<Example<()>>),
}

impl Test {
    fn read(args: &Args, path: &Path, labels: &Labels) -> Result<Self> {
        let table = args.table(path)?.known_labels(labels);
        match table.has_label()? {
            true => Ok(Self::Labelled(table.read()?)),
            false => Ok(Self::Plain(table.read_texts()?)),
        }
    }

    fn predict(&self, classifier: &BertClassifier) -> Result<Predictions> {
        match self {
            Self::Labelled(rows) => classifier.predict(rows),
            Self::Plain(rows) => classifier.predict(rows),
        }
    }
}

fn objects(predictions: &Predictions) -> impl Iterator<Item = Value> {
    predictions.iter().enumerate().map(|(row, (label, _))| {
        let names = predictions.classes().names().iter().cloned();
        let scores = predictions.probabilities.row(row).to_vec();
        let scores: Map<_, _> = names.zip(scores.into_iter().map(Value::from)).collect();
        json!({"label": label, "scores": scores})
    })
}
