//! Tags words (named entities, parts of speech): fits, evaluates and predicts on files of
//! CoNLL columns or JSON lines.
//!
//!     cargo run --release --example token_classification -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/tagger --lr 1e-4 --epochs 5 \
//!         --train train.conll --dev dev.conll --test test.conll
//!
//! Expected on WNUT-17: `"test_f1"` of about 0.44 in the last line.

mod recipe;

use std::path::PathBuf;
use std::process::ExitCode;

use bertfit::{BertTokenClassifier, Column, Labels, Result, TaggedFile, TaggedWords, WordTag};
use clap::Parser;
use serde_json::{Value, json};

use recipe::{Common, Flags, Sets, configured};

/// Fits a BERT to tag words; evaluates; predicts. Files are CoNLL columns, JSON lines or Parquet.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Column of the words: index from 0, or a key of JSON lines; default the first, or
    /// `words` or `tokens`
    #[arg(long)]
    text_column: Option<String>,
    /// Column of the tags: index from 0, or a key of JSON lines; default the last, or
    /// `tags` or `ner_tags`
    #[arg(long)]
    label_column: Option<String>,
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }
}

impl Args {
    fn file(&self, path: &PathBuf) -> TaggedFile {
        let column = |name: &String| match name.parse() {
            Ok(index) => Column::Index(index),
            Err(_) => Column::Name(name.clone()),
        };
        let mut file = TaggedFile::open(path);
        if let Some(words) = &self.text_column {
            file = file.words(column(words));
        }
        if let Some(tags) = &self.label_column {
            file = file.tags(column(tags));
        }
        file
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    let common = &args.common;
    let read = |path: &PathBuf| args.file(path).read();
    let train = common.train.as_ref().map(read).transpose()?;
    let mut tagger = new_tagger(args, train.as_deref())?;
    let labels = tagger.labels().clone();
    let read = |path: &PathBuf| args.file(path).known_labels(&labels).read();
    let dev = common.dev.as_ref().map(read).transpose()?;
    let read = |path: &PathBuf| Test::read(args, path, &labels);
    let test = common.test.as_ref().map(read).transpose()?;
    let tagged = test.as_ref().and_then(|test| test.tagged.as_ref());
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: tagged.map(|rows| rows as _),
    };
    common.run(
        &mut tagger,
        sets,
        |_| Ok(()),
        |tagger, _| {
            let words = test.as_ref().map_or(&[][..], |test| &test.words);
            let tags = tagger.predict(words)?;
            Ok(words.iter().zip(&tags).map(object).collect())
        },
    )
}

/// Fits an encoder, or goes on with a tagger that knows the file's tags; without a file, a
/// tagger that is fitted.
fn new_tagger(args: &Args, train: Option<&[TaggedWords]>) -> Result<BertTokenClassifier> {
    let model = &args.common.model;
    let Some(train) = train else {
        return configured!(args.common, BertTokenClassifier::saved(model)).build();
    };
    let builder = configured!(args.common, BertTokenClassifier::builder(model));
    match recipe::is_fitted(model, "ForTokenClassification")? {
        true => builder.build(),
        false => builder.labels(TaggedWords::labels(train)?.names()).build(),
    }
}

/// Sentences to predict, with their tags if the file has them.
struct Test {
    words: Vec<Vec<String>>,
    tagged: Option<Vec<TaggedWords>>,
}

impl Test {
    fn read(args: &Args, path: &PathBuf, labels: &Labels) -> Result<Self> {
        let file = args.file(path).known_labels(labels);
        let words = file.read_words()?;
        let tagged = match file.has_tags()? {
            true => Some(file.read()?),
            false => None,
        };
        Ok(Self { words, tagged })
    }
}

fn object((words, tags): (&Vec<String>, &Vec<WordTag>)) -> Value {
    let labels: Vec<&str> = tags.iter().map(|tag| tag.label.as_str()).collect();
    json!({"words": words, "tags": labels})
}
