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

use recipe::labels::{HeadArgs, LabelArgs, with_head, with_labels_of_dev};
use recipe::rows::{self, TestArgs};
use recipe::{Common, Flags, Sets, configured};

/// Fits a BERT to tag words; evaluates; predicts. Files are CoNLL columns, JSON lines or Parquet.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    head: HeadArgs,
    #[command(flatten)]
    test: TestArgs,
    /// Column of the words: index from 0, or a key of JSON lines; default the first (of CoNLL-U
    /// the form, 1), or `words` or `tokens`
    #[arg(long)]
    text_column: Option<String>,
    /// Column of the tags: index from 0, or a key of JSON lines; default the last (of CoNLL-U
    /// the universal part of speech, 3), or `tags` or `ner_tags`
    #[arg(long)]
    label_column: Option<String>,
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }
}

impl Args {
    fn file(&self, path: &PathBuf, known: Option<&Labels>) -> TaggedFile {
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
        if let Some(known) = known {
            file = file.known_labels(known);
        }
        if let Some(skipped) = self.common.rows.skipping() {
            file = file.skip_bad_rows(skipped);
        }
        file
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

fn run(args: &Args) -> Result<ExitCode> {
    let common = &args.common;
    let given = args.labels.labels()?;
    let (tagger, known) = match fitted(args)? {
        true => {
            let tagger = build(args, given.as_ref())?;
            let known = given.unwrap_or_else(|| tagger.labels().clone());
            (Some(tagger), Some(known))
        }
        false => (None, given.or(names_in_train(args)?)),
    };
    let read = |path: &PathBuf| args.file(path, known.as_ref()).read();
    let train = common.train.as_ref().map(read).transpose()?;
    let dev = common.dev.as_ref().map(read).transpose()?;
    let mut tagger = match (tagger, &known) {
        (Some(tagger), _) => tagger,
        (None, Some(known)) => build(args, Some(known))?,
        (None, None) => build(args, Some(&labels_of(train.as_deref(), dev.as_deref())?))?,
    };
    warn_of_words(tagger.labels());
    let known = known.unwrap_or_else(|| tagger.labels().clone());
    let test = common.test.as_ref();
    let test = test
        .map(|path| Test::read(args, path, &known))
        .transpose()?;
    let (train, dev) = common.rows.chosen(train, dev, |_| (), common.seed)?;
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: test
            .as_ref()
            .and_then(|test| test.tagged.as_ref())
            .map(|rows| rows as _),
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

/// Whether the model is a tagger whose tags are kept.
fn fitted(args: &Args) -> Result<bool> {
    match args.common.train {
        None => Ok(true),
        Some(_) if args.head.fresh_head => Ok(false),
        Some(_) => recipe::is_fitted(&args.common.model, "ForTokenClassification"),
    }
}

fn build(args: &Args, labels: Option<&Labels>) -> Result<BertTokenClassifier> {
    let model = &args.common.model;
    let builder = match args.common.train {
        Some(_) => BertTokenClassifier::builder(model),
        None => BertTokenClassifier::saved(model),
    };
    let builder = with_head!(args.head, configured!(args.common, builder));
    match labels {
        Some(labels) => builder.labels(labels.names()).build(),
        None => builder.build(),
    }
}

/// The names of the ids in --train, if it says them.
fn names_in_train(args: &Args) -> Result<Option<Labels>> {
    match &args.common.train {
        Some(train) => args.file(train, None).class_names(),
        None => Ok(None),
    }
}

/// The tags of both files; of those in --dev alone nothing can be learnt.
fn labels_of(train: Option<&[TaggedWords]>, dev: Option<&[TaggedWords]>) -> Result<Labels> {
    let of_train = TaggedWords::labels(train.unwrap_or_default())?;
    let of_dev = dev.unwrap_or_default().iter();
    with_labels_of_dev(&of_train, of_dev.flat_map(|sentence| sentence.tags.clone()))
}

/// Says why words are counted instead of entities, which are known by the names of tags alone.
fn warn_of_words(labels: &Labels) {
    let id = |name: &String| name.trim_start_matches("LABEL_").parse::<i64>().is_ok();
    if labels.names().iter().all(id) {
        eprintln!(
            "warning: the tags are numbers, so that words are counted and not entities: name them \
             in the order of their ids with --labels"
        );
        return;
    }
    let typed = |name: &str| match name.as_bytes() {
        [prefix, b'-' | b'_', ..] | [prefix] => b"BIESLUM".contains(prefix),
        _ => false,
    };
    let outside = |name: &String| name.eq_ignore_ascii_case("O");
    let marked = |name: &String| outside(name) || name.len() > 1 && typed(name);
    let mut others = labels.names().iter();
    let odd = others.find(|name| *name != "O" && !typed(name));
    if let Some(odd) = odd
        && labels.names().iter().any(marked)
    {
        eprintln!(
            "warning: tags such as {odd:?} mark no entity as O, B-PER or I-PER do, so that words are \
             counted and not entities"
        );
    }
}

/// Sentences to predict, with their tags if the file has them.
struct Test {
    words: Vec<Vec<String>>,
    tagged: Option<Vec<TaggedWords>>,
}

impl Test {
    fn read(args: &Args, path: &PathBuf, known: &Labels) -> Result<Self> {
        let file = args.file(path, Some(known));
        let most = args.common.rows.max_predict_samples;
        let words = rows::first(file.read_words()?, most);
        let looked_at = !args.test.no_test_labels && file.has_tags()?;
        let usable = looked_at && file.has_usable_tags()?;
        if looked_at && !usable {
            eprintln!(
                "{}: no word has a tag that the model knows, they are only predicted",
                path.display()
            );
        }
        let tagged = usable.then(|| file.read()).transpose()?;
        let tagged = tagged.map(|rows| rows::first(rows, most));
        Ok(Self { words, tagged })
    }
}

fn object((words, tags): (&Vec<String>, &Vec<WordTag>)) -> Value {
    let labels: Vec<&str> = tags.iter().map(|tag| tag.label.as_str()).collect();
    json!({"words": words, "tags": labels})
}
