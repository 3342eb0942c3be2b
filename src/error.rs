//! The one `Error` of the crate. Each variant is something different that the
//! caller would do, and says where: a path, a line, a row, a field or a tensor.

mod context;
mod out_of_memory;
mod shown;

use std::io;
use std::path::PathBuf;

use tch::TchError;

pub(crate) use context::PathContext;
pub use context::TorchContext;
pub(crate) use shown::{listed, shown};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line of a data file cannot be used; `line` counts from 1.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The data file.
        path: PathBuf,
        /// Line of the file on which the record starts, from 1.
        line: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },

    /// An example of a data set cannot be used; `row` counts from 0.
    #[error("row {row}: {problem}")]
    Row {
        /// Index of the example in its data set, from 0.
        row: usize,
        /// What is wrong with it.
        problem: RowProblem,
    },

    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A file is readable, but its content as a whole is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A file that should be JSON is not, or lacks a field that it must have.
    #[error("{} is not valid", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where in the file, and why.
        source: serde_json::Error,
    },

    /// A setting is out of its range.
    #[error("`{field}` must be {rule}, got {got}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// What it must be.
        rule: String,
        /// What it is.
        got: String,
    },

    /// A model's `config.json` asks for something impossible or unsupported.
    #[error("{}: `{field}` must be {rule}, got {got}", path.display())]
    ModelConfig {
        /// The configuration file.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
        /// What it must be.
        rule: String,
        /// What it is.
        got: String,
    },

    /// A checkpoint lacks weights that the model cannot do without.
    #[error("{missing} of {total} weights are not in {}, the first is `{first}`", path.display())]
    MissingWeights {
        /// The weights file.
        path: PathBuf,
        /// How many are absent.
        missing: usize,
        /// How many the model needs.
        total: usize,
        /// Name of the first absent one, in alphabetical order.
        first: String,
    },

    /// A weight in a checkpoint has another shape than the model's.
    #[error("{}: `{name}` has shape {found:?}, the model needs {expected:?}", path.display())]
    WeightShape {
        /// The weights file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the model.
        expected: Vec<usize>,
    },

    /// A label is not one of the model's.
    #[error("label `{}` is not one of {}", shown(label), listed(known))]
    UnknownLabel {
        /// The label in question.
        label: String,
        /// The labels that exist, in the order of their ids.
        known: Vec<String>,
    },

    /// The checkpoint has a head for other labels than those asked for.
    #[error(
        "{} has a head for the labels {}, not for {}: ask for a fresh head to replace it",
        path.display(), listed(found), listed(asked)
    )]
    OtherHead {
        /// The model folder.
        path: PathBuf,
        /// Labels of the saved head.
        found: Vec<String>,
        /// Labels asked for.
        asked: Vec<String>,
    },

    /// The Hugging Face Hub does not give a model's file, and would not if it were
    /// asked again.
    #[error("`{model}`: {file} from {endpoint}: {problem}")]
    Hub {
        /// The model's name, as it was given.
        model: String,
        /// The file that was asked for.
        file: String,
        /// Address of the Hub.
        endpoint: String,
        /// Why, and what to do.
        problem: String,
    },

    /// The Hugging Face Hub, or the way to it, is down.
    #[error(
        "`{model}`: cannot download {file} from {endpoint}: try again, or look at the \
         connection, proxies and `HF_ENDPOINT`"
    )]
    HubUnreachable {
        /// The model's name, as it was given.
        model: String,
        /// The file that was asked for.
        file: String,
        /// Address of the Hub.
        endpoint: String,
        /// Why.
        source: io::Error,
    },

    /// Another run is writing into a folder, in this process or another one.
    #[error(
        "another run is writing into {}: wait until it ends, stop it, or choose another folder \
         (--out)", path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },

    /// A folder that should be new or empty is not.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },

    /// A checkpoint belongs to a run with other settings, data or model.
    #[error("{} is of another run: {}", path.display(), differences.join("; "))]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs, as `name: old, now new`.
        differences: Vec<String>,
    },

    /// The loss or the gradient is no longer a finite number.
    #[error(
        "{what} is {value} at step {step} (learning rate {learning_rate:e}, rows {}; the largest \
         parameter is {largest:e} in `{parameter}`)",
        some_of(rows)
    )]
    NotFinite {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value: NaN or an infinity.
        value: f64,
        /// Optimizer step, from 1.
        step: usize,
        /// Learning rate of that step.
        learning_rate: f64,
        /// Rows of the training set that made up the step.
        rows: Vec<usize>,
        /// Name of the parameter that holds the largest number, by magnitude.
        parameter: String,
        /// That number; NaN if one is.
        largest: f64,
    },

    /// Gradients do not flow as the freezing asks for.
    #[error("`{name}` {problem}")]
    Gradient {
        /// Name of the parameter.
        name: String,
        /// What is wrong with its gradient.
        problem: GradientProblem,
    },

    /// libtorch refused an operation.
    #[error("libtorch failed while {doing}")]
    Torch {
        /// What bertfit was doing.
        doing: String,
        /// libtorch's own words.
        source: TchError,
    },

    /// Memory is too small for training on one row, or on a batch that must not be cut into
    /// parts. Shorter rows, gradient checkpointing and frozen layers take less.
    #[error(
        "{problem}: training on {rows} rows at once, the longest of {longest} tokens, takes {plan}"
    )]
    OutOfMemory {
        /// The budget, or libtorch's own words.
        problem: String,
        /// Rows of the smallest part of a batch.
        rows: usize,
        /// Tokens of the longest of them.
        longest: usize,
        /// What it takes, as [`MemoryPlan`](crate::memory::MemoryPlan) prints it.
        plan: String,
    },

    /// What a [`Dataset`](crate::Dataset), a collator or a task of one's own has met with.
    #[error("failed while {doing}")]
    Other {
        /// What it was doing.
        doing: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A worker thread died; this is a bug in the code that it ran.
    #[error("a worker thread panicked while {doing}")]
    Worker {
        /// What it was doing.
        doing: &'static str,
    },
}

impl Error {
    /// A setting that is not what it `must be`.
    pub fn config(field: &'static str, must_be: impl Into<String>, got: impl ToString) -> Self {
        Self::Config {
            field,
            rule: must_be.into(),
            got: got.to_string(),
        }
    }

    /// An error of somebody else's code, such as the database behind a data set.
    pub fn other(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Other {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// The error and its causes in one line, for a log or a terminal.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line += &format!(": {error}");
            cause = error.source();
        }
        line.replace('\n', " ")
    }

    /// The same error, with its place in a batch turned into the row of the data set
    /// that stands there.
    pub(crate) fn of_rows(self, rows: &[usize]) -> Self {
        match self {
            Self::Row { row, problem } => Self::Row {
                row: rows.get(row).copied().unwrap_or(row),
                problem,
            },
            other => other,
        }
    }
}

/// What can be wrong with one row of data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// Too few or too many columns.
    #[error("expected {expected} columns, found {found}")]
    Columns {
        /// Number of columns that the header (or the first row) has.
        expected: usize,
        /// Number of columns found.
        found: usize,
    },
    /// A field is absent or not of the right type.
    #[error("field `{}`: {problem}", shown(field))]
    Field {
        /// Name or index of the column.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes are not UTF-8.
    #[error("invalid UTF-8 at byte {byte} of the line")]
    Utf8 {
        /// Offset of the first bad byte in the line, from 0.
        byte: usize,
    },
    /// The line is not a record of the format (broken JSON, open quotes, …).
    #[error("{0}")]
    Syntax(String),
    /// The file is no longer the one that was indexed, on this line or a little after.
    #[error("the file has changed, here or a little after, since it was indexed")]
    Changed,
    /// A label that the model does not know.
    #[error("label `{}` is not one of {}", shown(label), listed(known))]
    UnknownLabel {
        /// The label in question.
        label: String,
        /// The labels that exist, in the order of their ids.
        known: Vec<String>,
    },
    /// More tokens than the model has positions.
    #[error("{length} tokens, the model takes at most {limit}")]
    TooLong {
        /// Tokens of the row.
        length: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// More tokens than asked for, and the truncation may not remove enough.
    #[error("{length} tokens, which `{strategy}` truncation cannot bring down to {limit}")]
    Truncation {
        /// Tokens of the row, special tokens included.
        length: usize,
        /// The maximal length that was asked for.
        limit: usize,
        /// The strategy, as transformers calls it.
        strategy: &'static str,
    },
    /// A token id outside the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab_size}")]
    TokenId {
        /// The id.
        id: i64,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
}

/// What can be wrong with a parameter's first gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GradientProblem {
    /// It is trainable, yet no gradient arrived.
    #[error("is to be trained but received no gradient")]
    Absent,
    /// It is trainable, yet its gradient is zero everywhere.
    #[error("is to be trained but its gradient is zero everywhere")]
    Zero,
    /// Its gradient holds NaN or infinity.
    #[error("received a gradient that is not finite")]
    NotFinite,
    /// It is frozen, yet it received a gradient.
    #[error("is frozen but received a gradient")]
    Frozen,
}

/// The first few of many rows, for a message.
fn some_of(rows: &[usize]) -> String {
    let shown: Vec<_> = rows.iter().take(8).map(usize::to_string).collect();
    let more = if rows.len() > 8 { ", …" } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests;
