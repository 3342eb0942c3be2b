//! Goes on with pre-training on plain text: hides tokens, learns to guess them, and saves an
//! encoder that knows the texts. The counterpart of Hugging Face's `run_mlm.py`.
//!
//!     cargo run --release --example masked_lm -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/adapted --lr 1e-4 \
//!         --train texts.txt --dev more.txt
//!
//! Files hold a text on each line (`.txt`), or in a column (TSV, CSV, JSON lines, Parquet).

mod recipe;

use std::path::PathBuf;
use std::process::ExitCode;

use bertfit::{BertMaskedLm, Error, Example, Fill, FineTuner, Masking, Result, TokenBlocks};
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use recipe::rows::first;
use recipe::tables::Dialect;
use recipe::{Common, Flags, Sets, configured, in_file};

/// Fits a BERT to plain texts by hiding tokens; evaluates; fills in the [MASK]s of a file.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Column of the text, by name
    #[arg(long, default_value = "text")]
    text_column: String,
    #[command(flatten)]
    dialect: Dialect,
    /// Share of the tokens to hide
    #[arg(long, default_value_t = 0.15)]
    mlm_probability: f64,
    /// Hide words with all their tokens
    #[arg(long)]
    whole_words: bool,
    /// Each text in rows of its own, instead of all texts one after another
    #[arg(long)]
    line_by_line: bool,
    /// Guesses for each [MASK] of the test file
    #[arg(long, default_value_t = 5, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    top_k: usize,
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn check(&self) -> Result<(), String> {
        self.dialect.check(&self.common)?;
        self.masking().validate().map_err(|error| error.chain())
    }
}

impl Args {
    fn masking(&self) -> Masking {
        Masking {
            probability: self.mlm_probability,
            whole_words: self.whole_words,
            ..Masking::default()
        }
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let read = |path: &PathBuf| {
        let table = args.dialect.table(path, common);
        table.text(&args.text_column[..]).read_texts()
    };
    let train = common.train.as_ref().map(read).transpose()?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    let (train, dev) = common.rows.chosen(train, dev, |_| (), common.seed)?;
    let test = common.test.as_ref().map(read).transpose()?;
    let test = test.map(|rows| first(rows, common.rows.max_predict_samples));
    let builder = match &train {
        Some(_) => configured!(common, BertMaskedLm::builder(model)),
        None => configured!(common, BertMaskedLm::saved(model)),
    };
    let mut lm = builder.masking(args.masking()).build()?;
    let max_length = lm.encoder()?.max_length();
    let tokenizer = lm.backbone().tokenizer().clone();
    let blocks = |texts: &Vec<Example<()>>, path: &Option<PathBuf>| {
        let blocks = match args.line_by_line {
            true => TokenBlocks::by_text(texts, &tokenizer, max_length),
            false => TokenBlocks::packed(texts, &tokenizer, max_length),
        };
        blocks.map_err(|error| match path {
            Some(path) => in_file(path, error),
            None => error,
        })
    };
    let train = train.as_ref().map(|texts| blocks(texts, &common.train));
    let train = train.transpose()?;
    let dev = dev.as_ref().map(|texts| blocks(texts, &common.dev));
    let dev = dev.transpose()?;
    if let (Some(texts), Some(path)) = (&test, &common.test) {
        check_masks(&lm, texts).map_err(|error| in_file(path, error))?;
    }
    let to_guess = test.as_ref().map(|texts| {
        let whole = texts.iter().filter(|text| !has_mask(&lm, text)).cloned();
        whole
            .filter(|text| !text.text.trim().is_empty())
            .collect::<Vec<_>>()
    });
    let to_guess = to_guess.filter(|texts| !texts.is_empty());
    let to_guess = to_guess.as_ref().map(|texts| blocks(texts, &common.test));
    let to_guess = to_guess.transpose()?;
    let sets = Sets {
        train: train.as_ref().map(|blocks| blocks as _),
        dev: dev.as_ref().map(|blocks| blocks as _),
        // It may be nothing but texts to fill in, of which no more is hidden.
        test: None,
    };
    common.run_and_add(
        &mut lm,
        sets,
        |_| Ok(()),
        |lm, results| {
            if let Some(blocks) = &to_guess {
                match lm.evaluate(blocks) {
                    // The draws may hide nothing of a few words.
                    Err(Error::Config {
                        field: "evaluation set",
                        ..
                    }) => {}
                    evaluated => results.extend(evaluated?.to_results("test")),
                }
            }
            for (loss, perplexity) in [
                ("eval_loss", "perplexity"),
                ("test_loss", "test_perplexity"),
            ] {
                if let Some(loss) = results.get(loss).copied() {
                    results.insert(perplexity.to_owned(), loss.exp());
                }
            }
            Ok(())
        },
        |lm, _| fills(lm, test.as_deref().unwrap_or_default(), args.top_k),
    )
}

fn has_mask(lm: &BertMaskedLm, text: &Example<()>) -> bool {
    let mask = &lm.backbone().tokenizer().config().mask_token;
    text.text.contains(&mask[..])
}

/// Finds a mask that is cut off before a long run, and not after it.
fn check_masks(lm: &BertMaskedLm, texts: &[Example<()>]) -> Result<()> {
    let with_masks = |&row: &usize| has_mask(lm, &texts[row]);
    let rows: Vec<usize> = (0..texts.len()).filter(with_masks).collect();
    let masked: Vec<_> = rows.iter().map(|&row| &texts[row]).collect();
    lm.check_masks(&masked).map_err(|error| match error {
        Error::Row { row, problem } => Error::Row {
            row: rows[row],
            problem,
        },
        other => other,
    })
}

/// For each text the guesses for each of its masks, of which there may be none.
fn fills(lm: &BertMaskedLm, texts: &[Example<()>], top_k: usize) -> Result<Vec<Value>> {
    let with_masks: Vec<_> = texts.iter().filter(|text| has_mask(lm, text)).collect();
    let mut fills = lm.fill_mask(&with_masks, top_k)?.into_iter();
    let object = |fill: &Fill| json!({"token": fill.token, "score": fill.score});
    let of_text = |text| {
        let of_masks = match has_mask(lm, text) {
            true => fills.next().unwrap_or_default(),
            false => Vec::new(),
        };
        let lists = of_masks
            .iter()
            .map(|fills| fills.iter().map(object).collect());
        json!({"fills": lists.collect::<Vec<Value>>()})
    };
    Ok(texts.iter().map(of_text).collect())
}
