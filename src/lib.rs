#![doc = include_str!("../README.md")]

pub mod checkpoint;
mod data;
mod encode;
mod error;
mod fine_tuner;
mod hub;
mod json;
mod metrics;
mod model;
mod native;
mod predict;
mod run_folder;
mod task;
mod tiny;
mod train;

pub use checkpoint::{CheckpointEvery, Checkpoints};
pub use data::{
    Column, Dataset, DevSize, Example, Format, IndexedTable, Labels, Subset, Table, Text,
    stratified_split, train_dev_split,
};
pub use encode::{
    AddedToken, Batch, ClassCollator, Collator, Encoding, Inputs, Limits, Padding, Sampler, Target,
    TextEncoder, Tokenizer, TokenizerConfig, Truncation, TruncationSide, pad,
};
pub use error::{Error, GradientProblem, Result, RowProblem};
pub use fine_tuner::{FineTuner, ItemOf, Loss, TargetOf};
pub use hub::model_dir;
pub use metrics::{ConfusionMatrix, Metric, NoMetric};
pub use model::{
    Activation, Backbone, BackboneBuilder, BertConfig, BertEncoder, Linear, LoadReport, Precision,
    cpu_has_bf16,
};
pub use native::reuse_memory;
pub use run_folder::RunFolder;
pub use task::{BertClassifier, BertClassifierBuilder, Predictions};
pub use tiny::write_tiny_model;
#[cfg(feature = "progress")]
pub use train::ProgressBar;
pub use train::{
    AdamW, AdamWConfig, Callback, Control, EarlyStopping, EvalEvery, EvalRecord, Evaluation,
    Freeze, LogRecord, Plan, Schedule, StepRecord, Stopped, TrainConfig, TrainReport, Trainer,
    Warmup, evaluate,
};

pub use ndarray;
/// The binding to libtorch that this crate uses, so that yours is the same one.
pub use tch;
