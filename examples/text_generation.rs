//! Writes texts about texts (summaries, questions, simpler words) with two BERTs: fits,
//! evaluates and predicts on tables.
//!
//!     cargo run --release --example text_generation -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/writer --lr 1e-4 --epochs 10 \
//!         --train train.tsv --dev dev.tsv --test test.tsv \
//!         --text-column document --label-column summary --num-beams 4
//!
//! `test_bleu` is what sacrebleu says of `predictions.jsonl` and the label column, `test_sari`
//! what Hugging Face's `evaluate` does. `test_copy_bleu` and so on are what the texts themselves
//! would get: what a model that rewrites has to beat.

mod recipe;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use bertfit::{BertGenerator, Example, Generation, Result, StopBeams, Table, TextMetrics};
use clap::Parser;
use serde_json::json;

use recipe::rows::TestArgs;
use recipe::tables::{TableArgs, Test, texts};
use recipe::{Common, Flags, Sets, configured};

/// Fits two BERTs to write texts about texts or pairs of texts; evaluates; predicts. Files are
/// TSV, CSV, JSON lines or Parquet.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: TableArgs,
    #[command(flatten)]
    test: TestArgs,
    /// Most tokens of a text to write, [CLS] and [SEP] counted; default as --max-length
    #[arg(long)]
    max_target_length: Option<usize>,
    /// Let the decoder have the encoder's weights, but for those that only a decoder has
    #[arg(long)]
    tie_encoder_decoder: bool,
    /// Share of the target that is spread over all tokens
    #[arg(long, default_value_t = 0.0)]
    label_smoothing: f64,
    /// Texts that are followed at once
    #[arg(long, default_value_t = 1)]
    num_beams: usize,
    /// With beams: above 0 for longer texts, below 0 for shorter ones
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    length_penalty: f64,
    /// When a search with beams ends, in transformers' words: false, true or never
    #[arg(long, default_value = "false")]
    early_stopping: StopBeams,
    /// Tokens of which no sequence comes twice in a text; 0 for any
    #[arg(long, default_value_t = 0)]
    no_repeat_ngram_size: usize,
    /// Draw tokens by their probabilities
    #[arg(long)]
    do_sample: bool,
    /// When drawing: below 1 likely tokens become likelier
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// When drawing: so many of the likeliest tokens may come; 0 for all
    #[arg(long, default_value_t = 50)]
    top_k: usize,
    /// When drawing: only the likeliest tokens may come that reach this share together
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn check(&self) -> Result<(), String> {
        self.tables.dialect.check(&self.common)?;
        self.generation().validate().map_err(|error| error.chain())
    }
}

impl Args {
    fn generation(&self) -> Generation {
        Generation {
            num_beams: self.num_beams,
            length_penalty: self.length_penalty,
            early_stopping: self.early_stopping,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            do_sample: self.do_sample,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.common.seed,
            ..Generation::default()
        }
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let table = |path: &PathBuf| args.tables.table(path, common);
    let read = |path: &PathBuf| table(path)?.read();
    let train = common.train.as_ref().map(read).transpose()?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    let (train, dev) = common.rows.chosen(train, dev, |_| (), common.seed)?;
    let test = Test::read(common, &args.test, table, Table::read_if_labelled)?;
    let mut builder = match &train {
        Some(_) => configured!(common, BertGenerator::builder(model)),
        None => configured!(common, BertGenerator::saved(model)),
    };
    builder = builder.label_smoothing(args.label_smoothing);
    if let Some(max_target_length) = args.max_target_length {
        builder = builder.max_target_length(max_target_length);
    }
    if args.tie_encoder_decoder {
        builder = builder.tie_encoder_decoder(true);
    }
    // Evaluations during training need texts only if these pick the best one.
    let texts_matter = matches!(common.metric.as_deref(), Some("bleu" | "rougeL" | "sari"));
    if train.is_some() && texts_matter {
        builder = builder.predict_with_generate(args.generation());
    }
    let mut generator = builder.build()?;
    let labelled = test.as_ref().and_then(|test| test.labelled.as_ref());
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: labelled.map(|rows| rows as _),
    };
    let generation = args.generation();
    // What is written about the test rows.
    let about_test = RefCell::default();
    common.run_and_add(
        &mut generator,
        sets,
        |generator| generator.set_predict_with_generate(None),
        |generator, results| {
            if let Some(rows) = &dev {
                let written = generator.generate(rows, &generation)?;
                results.extend(numbers("eval", rows, &written));
            }
            let written = generator.generate(texts(&test), &generation)?;
            if let Some(rows) = labelled {
                results.extend(numbers("test", rows, &written));
                results.extend(numbers_of_copies(rows));
            }
            about_test.replace(written);
            Ok(())
        },
        |_, _| {
            let written: Vec<String> = about_test.take();
            Ok(written.iter().map(|text| json!({"text": text})).collect())
        },
    )
}

fn numbers<S: AsRef<str>>(prefix: &str, rows: &[Example], texts: &[S]) -> BTreeMap<String, f64> {
    let mut metrics = TextMetrics::default();
    metrics.extend(rows.iter().zip(texts.iter().map(AsRef::as_ref)));
    let numbers = metrics.compute().into_iter();
    numbers
        .map(|(name, number)| (format!("{prefix}_{name}"), number))
        .collect()
}

/// What copies of the texts get, where they are not pairs.
fn numbers_of_copies(rows: &[Example]) -> BTreeMap<String, f64> {
    if rows.iter().any(|row| row.pair.is_some()) {
        return BTreeMap::new();
    }
    let copies: Vec<&str> = rows.iter().map(|row| &row.text[..]).collect();
    numbers("test_copy", rows, &copies)
}
