//! What the recipes share: the flags that mean the same in all of them, and the order of
//! the work. Everything else is the library's.

#[allow(dead_code)] // Some tasks have no classes.
pub mod class_loss;
mod hints;
#[allow(dead_code)] // Some tasks have no classes.
pub mod labels;
#[allow(dead_code)] // Some tasks have no labels.
pub mod rows;
mod signals;
#[allow(dead_code)] // Some tasks have files of their own.
pub mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bertfit::tch::Device;
use bertfit::{
    AdamWConfig, BertConfig, CheckpointEvery, Checkpoints, Column, Dataset, EarlyStopping, Error,
    EvalEvery, FineTuner, Freeze, ItemOf, Memory, OnNotFinite, Precision, ProgressBar, Result,
    RunFolder, Schedule, TrainConfig, Trainer, Warmup, model_dir, model_dir_quietly,
};
use clap::builder::{RangedI64ValueParser, RangedU64ValueParser};
use clap::{Args, Parser};
use serde_json::Value;

use rows::RowArgs;
use signals::Signals;

/// The flags of all recipes.
#[derive(Args, Clone)]
pub struct Common {
    /// Model folder, or a name on the Hugging Face Hub: an encoder to fit, or a fitted model
    #[arg(long)]
    pub model: PathBuf,
    /// File to train on; may be compressed (.gz, .xz)
    #[arg(long)]
    pub train: Option<PathBuf>,
    /// File to evaluate on
    #[arg(long)]
    pub dev: Option<PathBuf>,
    /// File to predict; evaluated too if it has labels
    #[arg(long)]
    pub test: Option<PathBuf>,
    #[command(flatten)]
    pub rows: RowArgs,
    /// Folder for the model and the results
    #[arg(long)]
    pub out: PathBuf,
    /// Use the folder even if it is not empty; results and checkpoints there are lost
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Most tokens of a row; default that of the fitted model, else 128 (question_answering 384),
    /// or the encoder's positions if it has fewer
    #[arg(long)]
    pub max_length: Option<usize>,
    /// Passes over the training file
    #[arg(long, default_value_t = 3.0)]
    pub epochs: f64,
    /// Optimizer steps, instead of epochs
    #[arg(long)]
    pub max_steps: Option<usize>,
    /// Rows of a batch in training
    #[arg(long, default_value_t = 32)]
    pub batch_size: usize,
    /// Memory that training may take, such as 4G, or auto: most of what is free; batches that
    /// need more are computed in parts. Default without a limit
    #[arg(long, default_value = "unlimited", value_parser = parse_memory)]
    pub memory: Memory,
    /// Tokens of a batch in training, padding counted, instead of rows
    #[arg(long)]
    pub tokens_per_batch: Option<usize>,
    /// Rows of a batch in evaluation
    #[arg(long, default_value_t = 64)]
    pub eval_batch_size: usize,
    /// Batches of an optimizer step
    #[arg(long, default_value_t = 1)]
    pub accumulate: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-5)]
    pub lr: f64,
    /// Highest learning rate of the head; default as --lr
    #[arg(long)]
    pub head_lr: Option<f64>,
    /// What the learning rate of a layer is of that of the layer above
    #[arg(long, default_value_t = 1.0)]
    pub layer_decay: f64,
    /// AdamW's decay of weights (not of biases and norms)
    #[arg(long, default_value_t = 0.01)]
    pub weight_decay: f64,
    /// Steps with a rising learning rate; below 1, their share of all steps
    #[arg(long, default_value = "0.1")]
    pub warmup: Warmup,
    /// How the learning rate falls: linear, cosine or constant
    #[arg(long, default_value = "linear")]
    pub schedule: Schedule,
    /// What is not trained: none, embeddings, encoder (only the head is trained), or a number of
    /// layers: the embeddings and the first so many
    #[arg(long, default_value = "none")]
    pub freeze: Freeze,
    /// Compute what frozen layers say of each text once, and keep it
    #[arg(long)]
    pub cache_frozen: bool,
    /// Keep only the input of each layer for the backward pass: less memory, a third more time
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Dropout of hidden states and of attention; default as the model has it, mostly 0.1
    #[arg(long)]
    pub encoder_dropout: Option<f64>,
    /// Norm that gradients are cut to
    #[arg(long, default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Numbers of matrix products: f32 or bf16
    #[arg(long, default_value = "f32")]
    pub precision: Precision,
    /// cpu, cuda, cuda:N, or auto: the first GPU if there is one
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    pub device: Device,
    /// Threads of libtorch; default all cores
    #[arg(long, value_parser = RangedI64ValueParser::<i32>::new().range(1..))]
    pub threads: Option<i32>,
    /// Seed of the head, the order of rows and dropout
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Number that picks the best epoch; default the task's own
    #[arg(long)]
    pub metric: Option<String>,
    /// Keep the weights of the last step, not those of the best evaluation
    #[arg(long)]
    pub keep_last: bool,
    /// When to evaluate: epoch, or each so many steps
    #[arg(long, default_value = "epoch")]
    pub eval_every: EvalEvery,
    /// Evaluations in a row without a better one that end the run; default none
    #[arg(long)]
    pub patience: Option<usize>,
    /// When to write a checkpoint: epoch, each N steps, or Tm: each T minutes
    #[arg(long, default_value = "epoch")]
    pub checkpoint_every: CheckpointEvery,
    /// How many of the newest checkpoints to keep, besides the best
    #[arg(long, default_value_t = 2, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub keep: usize,
    /// Continue the run in --out, exactly; where it holds no checkpoint yet, start it
    #[arg(long, requires = "train")]
    pub resume: bool,
    /// When the loss is no longer a number: stop, skip the step (at most 10), or back to the
    /// last checkpoint with half the learning rate (at most 3 times)
    #[arg(long, default_value = "stop", value_parser = parse_on_not_finite)]
    pub on_not_finite: OnNotFinite,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

fn parse_on_not_finite(name: &str) -> std::result::Result<OnNotFinite, String> {
    match name {
        "stop" => Ok(OnNotFinite::Stop),
        "skip" => Ok(OnNotFinite::SkipStep { at_most: 10 }),
        "back" => Ok(OnNotFinite::GoBack {
            at_most: 3,
            factor: 0.5,
        }),
        _ => Err("expected stop, skip or back".to_owned()),
    }
}

fn parse_memory(text: &str) -> std::result::Result<Memory, String> {
    match text {
        "unlimited" => Ok(Memory::Unlimited),
        _ => text.parse().map_err(|error: Error| error.to_string()),
    }
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

/// The command line of a recipe.
pub trait Flags: Parser {
    fn common(&mut self) -> &mut Common;

    /// What is wrong with the recipe's own flags that can be known before any work starts.
    fn check(&self) -> std::result::Result<(), String> {
        Ok(())
    }
}

impl Common {
    /// What is wrong with the flags of all recipes, likewise.
    fn check(&self) -> std::result::Result<(), String> {
        if self.train.is_none() && self.dev.is_none() && self.test.is_none() {
            return Err("nothing to do: give --train, --dev or --test".to_owned());
        }
        self.rows.check(self.dev.is_some())?;
        self.config().validate().map_err(|error| error.chain())
    }

    pub fn config(&self) -> TrainConfig {
        TrainConfig {
            epochs: self.epochs,
            max_steps: self.max_steps,
            batch_size: self.batch_size,
            tokens_per_batch: self.tokens_per_batch,
            eval_batch_size: self.eval_batch_size,
            accumulate: self.accumulate,
            learning_rate: self.lr,
            layer_decay: self.layer_decay,
            head_learning_rate: self.head_lr,
            schedule: self.schedule,
            warmup: self.warmup,
            optimizer: AdamWConfig {
                weight_decay: self.weight_decay,
                ..AdamWConfig::default()
            },
            freeze: self.freeze,
            cache_frozen: self.cache_frozen,
            gradient_checkpointing: self.gradient_checkpointing,
            max_grad_norm: Some(self.max_grad_norm),
            keep_best: !self.keep_last,
            eval_every: self.eval_every,
            metric: self.metric.clone(),
            early_stopping: self.patience.map(|patience| EarlyStopping {
                patience,
                threshold: 0.0,
            }),
            seed: self.seed,
            on_not_finite: self.on_not_finite,
            memory: self.memory,
            ..TrainConfig::default()
        }
    }

    /// The work of every recipe, once all files have been read: trains (then `fitted` may
    /// still change the model), saves, evaluates, and writes what `predict` says of the
    /// test rows. Prints the results in one line, last of all.
    ///
    /// A signal ends training well: the step on its way is finished and a checkpoint
    /// written, to go on from with `--resume`.
    #[allow(dead_code)] // Some tasks have results of their own.
    pub fn run<M: FineTuner>(
        &self,
        model: &mut M,
        sets: Sets<ItemOf<M>>,
        fitted: impl FnOnce(&mut M) -> Result<()>,
        predict: impl FnOnce(&M, &RunFolder) -> Result<Vec<Value>>,
    ) -> Result<ExitCode> {
        self.run_and_add(model, sets, fitted, |_, _| Ok(()), predict)
    }

    /// The same; `add` adds results that the evaluations do not have.
    pub fn run_and_add<M: FineTuner>(
        &self,
        model: &mut M,
        sets: Sets<ItemOf<M>>,
        fitted: impl FnOnce(&mut M) -> Result<()>,
        add: impl FnOnce(&M, &mut BTreeMap<String, f64>) -> Result<()>,
        predict: impl FnOnce(&M, &RunFolder) -> Result<Vec<Value>>,
    ) -> Result<ExitCode> {
        let folder = match self.resume {
            true => RunFolder::resume(&self.out)?,
            false => RunFolder::create(&self.out, self.overwrite)?,
        };
        self.list_skipped(&folder)?;
        let checkpoints = Checkpoints::new(folder.path())
            .every(self.checkpoint_every)
            .keep(self.keep)
            .resume(self.resume);
        let mut trainer = Trainer::new(self.config())?.checkpoints(checkpoints);
        if let Some(results) = folder.results()? {
            if let Some(train) = sets.train {
                trainer.check_run(model, train, sets.dev)?;
            }
            eprintln!("the run in {} is finished", folder.path().display());
            println!("{results}");
            return Ok(ExitCode::SUCCESS);
        }
        for (rows, path) in [(sets.dev, &self.dev), (sets.test, &self.test)] {
            if let (Some(rows), Some(path)) = (rows, path) {
                model.check(rows).map_err(|error| in_file(path, error))?;
            }
        }
        let mut results = BTreeMap::new();
        if let Some(train) = sets.train {
            let signals = Signals::watch()?;
            trainer = trainer.callback(signals.stop_flag());
            if !self.quiet {
                trainer = trainer.callback(ProgressBar::new());
            }
            let report = trainer.run(model, train, sets.dev);
            let report = report.map_err(|error| match &self.train {
                Some(path) if matches!(error, Error::Row { .. }) => in_file(path, error),
                _ => error,
            })?;
            if let Some(status) = signals.received() {
                let (step, out) = (report.global_step, folder.path().display());
                eprintln!("stopped after step {step}; --resume goes on with the run in {out}");
                return Ok(status);
            }
            fitted(model)?;
            model.save(folder.path())?;
            folder.write_trainer_state(&report)?;
            results.extend(report.to_results());
        }
        for (rows, prefix) in [(sets.dev, "eval"), (sets.test, "test")] {
            if let Some(rows) = rows {
                results.extend(model.evaluate(rows)?.to_results(prefix));
            }
        }
        add(model, &mut results)?;
        if self.test.is_some() {
            let predictions = predict(model, &folder)?;
            folder.write_predictions(predictions)?;
        }
        println!("{}", folder.write_results(&results)?);
        Ok(ExitCode::SUCCESS)
    }
}

impl Common {
    /// Says how many rows of each file are left out, and writes the list of them.
    fn list_skipped(&self, folder: &RunFolder) -> Result<()> {
        let Some(skipped) = self.rows.skipping() else {
            return Ok(());
        };
        let rows = skipped.rows();
        for of_file in rows.chunk_by(|a, b| a.file == b.file) {
            let (file, first) = (of_file[0].file.display(), &of_file[0]);
            let line = first.line.map(|line| format!(", line {line}"));
            eprintln!(
                "{file}: {} rows cannot be used and are left out{} (skipped_rows.jsonl); the first{}: {}",
                of_file.len(),
                match self.test.as_ref() == Some(&first.file) {
                    true => ", or only predicted where just their labels cannot",
                    false => "",
                },
                line.unwrap_or_default(),
                first.problem
            );
        }
        folder.write_skipped_rows(&rows)
    }
}

/// An error that knows the row, but not the file.
pub fn in_file(path: &Path, error: Error) -> Error {
    Error::File {
        path: path.to_owned(),
        problem: error.chain(),
    }
}

/// What a recipe has read; without labels, test rows are only predicted.
pub struct Sets<'a, I> {
    pub train: Option<&'a dyn Dataset<Item = I>>,
    pub dev: Option<&'a dyn Dataset<Item = I>>,
    pub test: Option<&'a dyn Dataset<Item = I>>,
}

/// Whether a folder holds a model that is fitted to a task already, and knows its labels.
#[allow(dead_code)] // Some tasks have no labels.
pub fn is_fitted(model: &Path, architecture: &str) -> Result<bool> {
    let config = BertConfig::from_dir(model)?;
    let mut names = config.architectures.iter();
    Ok(names.any(|name| name.ends_with(architecture)))
}

/// A column as the command line names it: by its index where there is no header.
#[allow(dead_code)] // Some tasks have no tables.
pub fn column(name: &str, no_header: bool) -> Result<Column> {
    match name.parse::<usize>() {
        _ if !no_header => Ok(name.into()),
        Ok(index) => Ok(index.into()),
        Err(_) => Err(Error::Config {
            field: "column",
            rule: "an index from 0 for a table without a header".to_owned(),
            got: name.to_owned(),
        }),
    }
}

/// The settings that the builders of all tasks have.
macro_rules! configured {
    ($common:expr, $builder:expr) => {{
        let builder = $builder
            .device($common.device)
            .precision($common.precision)
            .seed($common.seed);
        let builder = match $common.encoder_dropout {
            Some(dropout) => builder.encoder_dropout(dropout),
            None => builder,
        };
        match $common.max_length {
            Some(max_length) => builder.max_length(max_length),
            None => builder,
        }
    }};
}
pub(crate) use configured;

/// Parses the command line, runs the recipe, and prints what went wrong, if anything.
pub fn main<A: Flags>(run: impl FnOnce(&A) -> Result<ExitCode>) -> ExitCode {
    // What takes minutes, such as a download, says so.
    let levels = env_logger::Env::default().default_filter_or("warn,bertfit::hub=info");
    env_logger::Builder::from_env(levels).init();
    let flags = A::command().get_matches();
    let mut args = A::from_arg_matches(&flags).unwrap_or_else(|error| error.exit());
    if let Err(problem) = args.check().and_then(|()| args.common().check()) {
        eprintln!("error: {problem}");
        return ExitCode::from(2);
    }
    bertfit::reuse_memory();
    let common = args.common();
    if let Some(threads) = common.threads {
        bertfit::tch::set_num_threads(threads);
    }
    let found = match common.quiet {
        true => model_dir_quietly(&common.model),
        false => model_dir(&common.model),
    };
    let found = found.map(|dir| common.model = dir);
    let common = common.clone();
    found.and_then(|()| run(&args)).unwrap_or_else(|error| {
        let hint = hints::hint(&error, &common).map(|hint| format!(" ({hint})"));
        eprintln!("error: {}{}", error.chain(), hint.unwrap_or_default());
        match hints::is_flag(&error, &flags) {
            true => ExitCode::from(2),
            false => ExitCode::FAILURE,
        }
    })
}
