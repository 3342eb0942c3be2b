//! Gives texts vectors that are near each other where the texts mean the same: fits on pairs
//! or triplets, evaluates and predicts on tables.
//!
//!     cargo run --release --example sentence_embeddings -- \
//!         --model target/models/all-MiniLM-L6-v2 --out target/embeddings \
//!         --dev stsb/dev.tsv --test stsb/test.tsv \
//!         --text-column sentence1 --pair-column sentence2 --label-column score
//!
//! With `--train stsb/train.tsv` it is fitted first. Expected of the lines above:
//! `"eval_spearmanr"` of 0.867 on STS-B, as sentence-transformers has it. `predictions.jsonl`
//! has the vector of each text of the test file, and where it has a pair, their cosine:
//! `{"embedding": […], "similarity": 0.9}`.

mod recipe;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bertfit::ndarray::ArrayView1;
use bertfit::{
    BertEmbedder, Column, EmbeddingExample, EmbeddingLoss, Example, Pooling, Result, Table,
    TripletDistance, paired_cosine_similarity,
};
use clap::Parser;
use serde_json::{Value, json};

use recipe::rows::{TestArgs, first};
use recipe::tables::Dialect;
use recipe::{Common, Flags, Sets, column, configured};

const NEGATIVES: &str = "multiple_negatives";
const COSINE: &str = "cosine";
const COSENT: &str = "cosent";
const TRIPLET: &str = "triplet";
const TRIPLET_COSINE: &str = "triplet_cosine";

/// Fits a BERT to give texts vectors; evaluates; predicts. Files are TSV, CSV, JSON lines or Parquet.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Column of the text: name, or index from 0
    #[arg(long, default_value = "text")]
    text_column: String,
    /// Column of the text that it is compared with; not needed to predict only
    #[arg(long)]
    pair_column: Option<String>,
    /// Column of a text that is unlike both
    #[arg(long, required_if_eq_any([("loss", TRIPLET), ("loss", TRIPLET_COSINE)]))]
    negative_column: Option<String>,
    /// Column of the score of a pair: how alike both texts are
    #[arg(long, required_if_eq_any([("loss", COSINE), ("loss", COSENT)]))]
    label_column: Option<String>,
    /// The tables have no header; columns are indexes
    #[arg(long)]
    no_header: bool,
    #[command(flatten)]
    dialect: Dialect,
    #[command(flatten)]
    test: TestArgs,
    /// What is learnt; default cosine where a label column is named, else multiple_negatives,
    /// to which all pairs of --train are alike
    #[arg(long, value_parser = [NEGATIVES, COSINE, COSENT, TRIPLET, TRIPLET_COSINE])]
    loss: Option<String>,
    /// Factor of the cosines in multiple_negatives and cosent
    #[arg(long, default_value_t = 20.0)]
    scale: f64,
    /// How much further off the negative is to be; default 5, or 0.5 of cosines
    #[arg(long)]
    margin: Option<f64>,
    /// Scores are divided by this; default the highest of the first file that has some (of
    /// --train, --dev, --test) if that is above 1
    #[arg(long)]
    max_score: Option<f32>,
    /// How a vector is made of the tokens: mean, cls or max; default as the model does, or mean
    #[arg(long)]
    pooling: Option<Pooling>,
    /// Bring vectors to the length 1; default as the model does, or not
    #[arg(long)]
    normalize: bool,
}

impl Flags for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn check(&self) -> Result<(), String> {
        self.dialect.check(&self.common)
    }
}

fn main() -> ExitCode {
    recipe::main(run)
}

impl Args {
    fn column(&self, name: &Option<String>) -> Result<Option<Column>> {
        let name = name.as_ref();
        name.map(|name| column(name, self.no_header)).transpose()
    }

    fn table(&self, path: &Path) -> Result<Table> {
        let table = self.dialect.table(path, &self.common);
        let mut table = table.text(column(&self.text_column, self.no_header)?);
        if let Some(pair) = self.column(&self.pair_column)? {
            table = table.pair(pair);
        }
        if let Some(label) = self.column(&self.label_column)? {
            table = table.label(label);
        }
        Ok(match self.no_header {
            true => table.no_header(),
            false => table,
        })
    }

    fn loss(&self) -> EmbeddingLoss {
        let by_columns = match self.label_column {
            Some(_) => COSINE,
            None => NEGATIVES,
        };
        let scale = self.scale;
        let triplet = |distance, margin| EmbeddingLoss::Triplet {
            distance,
            margin: self.margin.unwrap_or(margin),
        };
        match self.loss.as_deref().unwrap_or(by_columns) {
            COSINE => EmbeddingLoss::Cosine,
            COSENT => EmbeddingLoss::CoSent { scale },
            TRIPLET => triplet(TripletDistance::Euclidean, 5.0),
            TRIPLET_COSINE => triplet(TripletDistance::Cosine, 0.5),
            _ => EmbeddingLoss::MultipleNegatives { scale },
        }
    }

    /// The rows to learn from, with what the loss looks at.
    fn train(&self, path: &Path) -> Result<Vec<EmbeddingExample>> {
        let table = self.table(path)?;
        let negative = self.column(&self.negative_column)?;
        match self.loss() {
            EmbeddingLoss::Cosine | EmbeddingLoss::CoSent { .. } => table.read_scored_pairs(None),
            _ => table.read_pairs(negative.as_ref()),
        }
    }

    /// Whether a file has scores, and its column of negatives if it has one.
    fn known(&self, table: &Table) -> Result<(bool, Option<Column>)> {
        let scored = self.label_column.is_some() && table.has_label()?;
        let negative = self.column(&self.negative_column)?;
        match negative {
            Some(negative) if table.has(&negative)? => Ok((scored, Some(negative))),
            _ => Ok((scored, None)),
        }
    }

    /// The rows to compare with what is known of them.
    fn evaluated(&self, path: &Path) -> Result<Vec<EmbeddingExample>> {
        let table = self.table(path)?;
        match self.known(&table)? {
            (true, negative) => table.read_scored_pairs(negative.as_ref()),
            // Where columns are named, at least one of them must be there.
            (false, None) if self.label_column.is_some() => table.read_scored_pairs(None),
            (false, None) => table.read_pairs(self.column(&self.negative_column)?.as_ref()),
            (false, negative) => table.read_pairs(negative.as_ref()),
        }
    }

    /// The rows of the test file to compare, if something is known of them.
    fn known_test(&self, path: &Path) -> Result<Option<Vec<EmbeddingExample>>> {
        let table = self.table(path)?;
        match self.known(&table)? {
            _ if self.test.no_test_labels => Ok(None),
            (false, None) => Ok(None),
            (true, None) => table.read_scored_pairs_if_labelled(None),
            _ => self.evaluated(path).map(Some),
        }
    }
}

/// The highest score of the first rows that have some, if it is above 1.
fn highest_score<'a>(files: impl IntoIterator<Item = &'a Vec<EmbeddingExample>>) -> f32 {
    let highest = |rows: &Vec<EmbeddingExample>| {
        let scores = rows.iter().filter_map(|row| row.score);
        scores.reduce(f32::max)
    };
    let first = files.into_iter().find_map(highest);
    first.unwrap_or(1.0).max(1.0)
}

/// The number that picks the best epoch where none is named and the loss is not about what is
/// known of the rows.
fn usual_metric(loss: EmbeddingLoss, dev: Option<&Vec<EmbeddingExample>>) -> Option<String> {
    let first = dev.and_then(|rows| rows.first());
    let first = first.filter(|_| matches!(loss, EmbeddingLoss::MultipleNegatives { .. }))?;
    let metric = match (first.score, &first.negative) {
        (Some(_), _) => "spearmanr",
        (None, Some(_)) => "accuracy",
        (None, None) => return None,
    };
    Some(metric.to_owned())
}

fn run(args: &Args) -> Result<ExitCode> {
    let (common, model) = (&args.common, &args.common.model);
    let read = |path: &Option<PathBuf>, read: &dyn Fn(&Path) -> Result<Vec<EmbeddingExample>>| {
        path.as_deref().map(read).transpose()
    };
    let train = read(&common.train, &|path| args.train(path))?;
    let dev = read(&common.dev, &|path| args.evaluated(path))?;
    let (mut train, mut dev) = common.rows.chosen(train, dev, |_| (), common.seed)?;
    let mut test = None;
    let mut texts = Vec::new();
    if let Some(path) = &common.test {
        let most = common.rows.max_predict_samples;
        test = args.known_test(path)?.map(|rows| first(rows, most));
        texts = first(args.table(path)?.read_texts()?, most);
    }
    let files = || [&train, &dev, &test].into_iter().flatten();
    let highest = args.max_score.unwrap_or_else(|| highest_score(files()));
    for rows in [&mut train, &mut dev, &mut test].into_iter().flatten() {
        for score in rows.iter_mut().filter_map(|row| row.score.as_mut()) {
            *score /= highest;
        }
    }

    // Only a model of embeddings says by itself how vectors are made.
    let mut builder = match train.is_some() || args.pooling.is_some() {
        true => configured!(common, BertEmbedder::builder(model)),
        false => configured!(common, BertEmbedder::saved(model)),
    };
    builder = builder.loss(args.loss());
    if let Some(pooling) = args.pooling {
        builder = builder.pooling(pooling);
    }
    if args.normalize {
        builder = builder.normalize(true);
    }
    let mut embedder = builder.build()?;
    let sets = Sets {
        train: train.as_ref().map(|rows| rows as _),
        dev: dev.as_ref().map(|rows| rows as _),
        test: test.as_ref().map(|rows| rows as _),
    };
    let metric = common.metric.clone();
    let common = Common {
        metric: metric.or(usual_metric(args.loss(), dev.as_ref())),
        ..common.clone()
    };
    common.run(
        &mut embedder,
        sets,
        |_| Ok(()),
        |embedder, _| predictions(embedder, &texts),
    )
}

/// The vector of each text, and where it has a pair, the cosine of both.
fn predictions(embedder: &BertEmbedder, rows: &[Example<()>]) -> Result<Vec<Value>> {
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let pairs: Vec<&str> = rows.iter().filter_map(|row| row.pair.as_deref()).collect();
    let vectors = embedder.embed(&texts)?;
    let object = |vector: ArrayView1<f32>| json!({"embedding": vector.to_vec()});
    let mut objects: Vec<Value> = vectors.rows().into_iter().map(object).collect();
    if !pairs.is_empty() {
        let cosines = paired_cosine_similarity(vectors.view(), embedder.embed(&pairs)?.view());
        for (object, cosine) in objects.iter_mut().zip(cosines) {
            object["similarity"] = cosine.into();
        }
    }
    Ok(objects)
}
