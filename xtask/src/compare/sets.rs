//! The data sets that both sides fit, and how.

/// One data set and how both sides fit it.
pub struct Set {
    pub name: &'static str,
    pub title: &'static str,
    pub recipe: &'static str,
    pub train: File,
    pub test: File,
    /// Flags of the recipe that say how the files are read.
    pub reading: &'static [&'static str],
    /// Flags that only bertfit's side gets.
    pub ours: &'static [&'static str],
    pub fit: Fit,
    pub seeds: u32,
    pub metrics: &'static [Metric],
}

/// Where rows come from, below the folder of data sets.
pub enum File {
    Whole(&'static str),
    /// The first rows of a table.
    First(usize, &'static str),
    /// Files in SQuAD's form as one.
    Joined(&'static [&'static str]),
}

pub struct Fit {
    pub epochs: &'static str,
    pub lr: &'static str,
    pub batch_size: &'static str,
    pub max_length: &'static str,
}

pub struct Metric {
    pub title: &'static str,
    /// Its key in the results of both sides.
    pub key: &'static str,
    /// What makes it points.
    pub scale: f64,
}

const fn metric(title: &'static str, key: &'static str, scale: f64) -> Metric {
    Metric { title, key, scale }
}

/// Epochs, highest learning rate, rows of a batch, most tokens of a row.
#[rustfmt::skip]
const fn fit(epochs: &'static str, lr: &'static str, batch_size: &'static str, max_length: &'static str) -> Fit {
    Fit { epochs, lr, batch_size, max_length }
}

const MULTI: &str = "multi_label_classification";

#[rustfmt::skip] // one line each
pub const SETS: [Set; 9] = [
    Set {
        name: "cola", title: "CoLA, dev", recipe: "text_classification",
        train: File::Whole("cola/train.tsv"), test: File::Whole("cola/dev.tsv"),
        reading: &["--no-header", "--text-column", "3", "--label-column", "1"],
        ours: &[],
        fit: fit("3", "1e-4", "32", "128"), seeds: 3,
        metrics: &[metric("Matthews correlation", "test_matthews_correlation", 100.0)],
    },
    Set {
        name: "mrpc", title: "MRPC, test", recipe: "text_classification",
        train: File::Whole("mrpc/train.tsv"), test: File::Whole("mrpc/test.tsv"),
        reading: &["--text-column", "#1 String", "--pair-column", "#2 String", "--label-column", "Quality"],
        ours: &[],
        fit: fit("5", "1e-4", "32", "128"), seeds: 3,
        metrics: &[metric("F1", "test_f1", 100.0)],
    },
    Set {
        name: "stsb", title: "STS-B, dev", recipe: "text_classification",
        train: File::Whole("stsb/train.tsv"), test: File::Whole("stsb/dev.tsv"),
        reading: &[
            "--text-column", "sentence1", "--pair-column", "sentence2", "--label-column", "score",
            "--problem-type", "regression",
        ],
        ours: &[],
        fit: fit("4", "1e-4", "32", "128"), seeds: 3,
        metrics: &[metric("Spearman correlation", "test_spearmanr", 100.0)],
    },
    Set {
        name: "embeddings", title: "STS-B, test, by cosines", recipe: "sentence_embeddings",
        train: File::Whole("stsb/train.tsv"), test: File::Whole("stsb/test.tsv"),
        reading: &[
            "--text-column", "sentence1", "--pair-column", "sentence2", "--label-column", "score",
            "--max-score", "5", "--loss", "cosent",
        ],
        ours: &[],
        fit: fit("4", "2e-5", "32", "128"), seeds: 3,
        metrics: &[metric("Spearman correlation", "test_spearmanr", 100.0)],
    },
    Set {
        name: "goemotions", title: "GoEmotions, test", recipe: "text_classification",
        train: File::Whole("goemotions/train.tsv.gz"), test: File::Whole("goemotions/test.tsv"),
        reading: &["--no-header", "--text-column", "0", "--label-column", "1", "--problem-type", MULTI],
        ours: &[],
        fit: fit("2", "1e-4", "32", "128"), seeds: 1,
        metrics: &[metric("micro-F1", "test_f1_micro", 100.0)],
    },
    Set {
        name: "banking77", title: "Banking77, test", recipe: "text_classification",
        train: File::Whole("banking77/train.tsv"), test: File::Whole("banking77/test.tsv"),
        reading: &[],
        ours: &[],
        fit: fit("8", "1e-4", "32", "128"), seeds: 3,
        metrics: &[metric("accuracy", "test_accuracy", 100.0)],
    },
    Set {
        name: "wnut17", title: "WNUT-17, test", recipe: "token_classification",
        train: File::Whole("ner/train.conll"), test: File::Whole("ner/test.conll"),
        reading: &[],
        ours: &[],
        fit: fit("5", "1e-4", "32", "256"), seeds: 3,
        metrics: &[metric("entity F1", "test_f1", 100.0)],
    },
    Set {
        name: "squad", title: "SQuAD 1.1, a fifth of train, dev", recipe: "question_answering",
        train: File::Joined(&["squad/train-articles.json.gz", "squad/train-sample.json.gz"]),
        test: File::Whole("squad/dev-v1.1.json.gz"),
        reading: &["--doc-stride", "128"],
        ours: &[],
        fit: fit("2", "1e-4", "32", "384"), seeds: 1,
        metrics: &[metric("exact match", "test_exact_match", 1.0), metric("F1", "test_f1", 1.0)],
    },
    Set {
        name: "imdb", title: "IMDb, 4,000 of train and of test, bertfit in windows, transformers cut at 512", recipe: "text_classification",
        train: File::First(4000, "imdb/train.tsv.xz"), test: File::First(4000, "imdb/test.tsv.xz"),
        reading: &[],
        ours: &["--truncation", "windows", "--doc-stride", "128"],
        fit: fit("2", "5e-5", "16", "512"), seeds: 1,
        metrics: &[metric("accuracy", "test_accuracy", 100.0)],
    },
];
