//! Which rows of the files are used: how many of them, which part of --train is evaluated on,
//! and what is done about those that cannot be used.

use bertfit::{Result, SkippedRows, stratified_split};
use clap::{Args, ValueEnum};

use clap::builder::RangedU64ValueParser;

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// The flags of all recipes that choose rows.
#[derive(Args, Clone)]
pub struct RowArgs {
    /// Take this share of --train, drawn by --seed in which each class keeps its share, as --dev
    #[arg(long, requires = "train", conflicts_with = "dev", value_parser = parse_share)]
    pub dev_share: Option<f64>,
    /// Train on the first so many rows of --train only (after --dev-share)
    #[arg(long, requires = "train", value_parser = at_least_one())]
    pub max_train_samples: Option<usize>,
    /// Evaluate on the first so many rows of --dev only
    #[arg(long, value_parser = at_least_one())]
    pub max_eval_samples: Option<usize>,
    /// Predict the first so many rows of --test only
    #[arg(long, requires = "test", value_parser = at_least_one())]
    pub max_predict_samples: Option<usize>,
    /// What is done about a row that cannot be used: stop, or skip: go on without it, and list it
    /// in --out/skipped_rows.jsonl
    #[arg(long, value_enum, default_value = "stop")]
    on_bad_row: OnBadRow,
    #[arg(skip)]
    skipped: SkippedRows,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnBadRow {
    Stop,
    Skip,
}

/// The flag of recipes whose test rows may have labels.
#[derive(Args, Clone)]
pub struct TestArgs {
    /// Predict --test without looking at its labels
    #[arg(long, requires = "test")]
    pub no_test_labels: bool,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a number above 0 and below 1".to_owned()),
    }
}

/// The rows to train on and those to evaluate on, where there are such.
pub type Parts<T> = (Option<Vec<T>>, Option<Vec<T>>);

impl RowArgs {
    /// Where rows that cannot be used are collected, if they are to be left out.
    pub fn skipping(&self) -> Option<&SkippedRows> {
        (self.on_bad_row == OnBadRow::Skip).then_some(&self.skipped)
    }

    /// What is wrong with these flags, given --dev.
    pub fn check(&self, has_dev: bool) -> Result<(), String> {
        match self.max_eval_samples {
            Some(_) if !has_dev && self.dev_share.is_none() => {
                Err("--max-eval-samples needs --dev or --dev-share".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The rows of --train to train on, and those to evaluate on where there is --dev-share;
    /// `classes` has the class of each row, all the same where there are none.
    pub fn parts<L: Ord>(
        &self,
        classes: &[L],
        seed: u64,
    ) -> Result<(Vec<usize>, Option<Vec<usize>>)> {
        let (mut train, mut dev) = match self.dev_share {
            Some(share) => {
                let (train, dev) = stratified_split(classes, share, seed)?;
                (train, Some(dev))
            }
            None => ((0..classes.len()).collect(), None),
        };
        train.truncate(self.max_train_samples.unwrap_or(usize::MAX));
        if let Some(dev) = &mut dev {
            dev.truncate(self.max_eval_samples.unwrap_or(usize::MAX));
        }
        Ok((train, dev))
    }

    /// The same of rows in memory; `dev` are those of --dev.
    pub fn chosen<T, L: Ord>(
        &self,
        train: Option<Vec<T>>,
        dev: Option<Vec<T>>,
        class: impl Fn(&T) -> L,
        seed: u64,
    ) -> Result<Parts<T>> {
        let dev = dev.map(|rows| first(rows, self.max_eval_samples));
        let Some(rows) = train else {
            return Ok((None, dev));
        };
        let classes: Vec<L> = rows.iter().map(class).collect();
        let (train, share) = self.parts(&classes, seed)?;
        drop(classes);
        let mut rows: Vec<Option<T>> = rows.into_iter().map(Some).collect();
        let mut taken = |rows_of: Vec<usize>| {
            rows_of
                .into_iter()
                .filter_map(|row| rows[row].take())
                .collect()
        };
        let train = taken(train);
        Ok((Some(train), share.map(taken).or(dev)))
    }
}

/// The first rows, so many at most.
pub fn first<T>(mut rows: Vec<T>, most: Option<usize>) -> Vec<T> {
    rows.truncate(most.unwrap_or(usize::MAX));
    rows
}
