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

use bertfit::{BertMaskedLm, Example, Fill, FineTuner, Masking, Result, Table, TokenBlocks};
use clap::Parser;
use serde_json::{Value, json};

use recipe::{Common, Sets, configured, in_file};

/// Fits a BERT to plain texts by hiding tokens; evaluates; fills in the [MASK]s of a file.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Column of the text, by name
    #[arg(long, default_value = "text")]
    text_column: String,
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
    #[arg(long, default_value_t = 5)]
    top_k: usize,
}

impl AsMut<Common> for Args {
    fn as_mut(&mut self) -> &mut Common {
        &mut self.common
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let read = |path: &PathBuf| Table::open(path).text(&args.text_column[..]).read_texts();
    let train = common.train.as_ref().map(read).transpose()?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    let test = common.test.as_ref().map(read).transpose()?;
    let builder = match &train {
        Some(_) => configured!(common, BertMaskedLm::builder(model)),
        None => configured!(common, BertMaskedLm::saved(model)),
    };
    let masking = Masking {
        probability: args.mlm_probability,
        whole_words: args.whole_words,
        ..Masking::default()
    };
    let mut lm = builder.masking(masking).build()?;
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
    let sets = Sets {
        train: train.as_ref().map(|blocks| blocks as _),
        dev: dev.as_ref().map(|blocks| blocks as _),
        // What is hidden there already is to be filled in.
        test: None,
    };
    common.run_and_add(
        &mut lm,
        sets,
        |_| Ok(()),
        |_, results| {
            if let Some(loss) = results.get("eval_loss").copied() {
                results.insert("perplexity".to_owned(), loss.exp());
            }
            Ok(())
        },
        |lm, _| fills(lm, test.as_deref().unwrap_or_default(), args.top_k),
    )
}

/// For each text the guesses for each of its masks, of which there may be none.
fn fills(lm: &BertMaskedLm, texts: &[Example<()>], top_k: usize) -> Result<Vec<Value>> {
    let mask = &lm.backbone().tokenizer().config().mask_token;
    let has_mask = |text: &&Example<()>| text.text.contains(&mask[..]);
    let with_masks: Vec<_> = texts.iter().filter(has_mask).collect();
    let mut fills = lm.fill_mask(&with_masks, top_k)?.into_iter();
    let object = |fill: &Fill| json!({"token": fill.token, "score": fill.score});
    let of_text = |text| {
        let of_masks = match has_mask(&text) {
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
