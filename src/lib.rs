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
mod whole_file;

pub use checkpoint::{CheckpointEvery, Checkpoints};
pub use data::{
    ChoiceExample, ChoiceFile, Column, Dataset, DevSize, EmbeddingExample, Example, Format,
    IndexedTable, Labels, QaExample, QaSpan, Quoting, SkippedRow, SkippedRows, SquadFile, Subset,
    Table, TaggedFile, TaggedWords, Text, stratified_split, train_dev_split,
};
pub use encode::{
    AddedToken, Batch, ChoiceCollator, ChoiceTarget, ClassCollator, Collator, EmbeddingCollator,
    EmbeddingTarget, Encoding, Inputs, Limits, LongText, MaskCollator, Masking, MultiLabelCollator,
    NumberCollator, Padding, QaCollator, QaRows, QaTarget, Sampler, SentenceTags, TagCollator,
    TagTarget, Target, TextCollator, TextEncoder, TextWindows, TokenBlock, TokenBlocks, Tokenizer,
    TokenizerConfig, Truncation, TruncationSide, WindowPooling, pad,
};
pub use error::{Error, GradientProblem, Result, RowProblem, TorchContext};
pub use fine_tuner::{FineTuner, ItemOf, Loss, TargetOf};
pub use hub::{model_dir, model_dir_quietly};
pub use metrics::{
    Bleu, ConfusionMatrix, EntityMetrics, Metric, MultiLabelMetrics, NoMetric, RegressionMetrics,
    RougeL, Sari, Scheme, SquadMetrics, TagSpan, best_threshold, pearson, roc_auc, spearman,
    tag_spans,
};
pub use model::{
    Activation, Backbone, BackboneBuilder, BertConfig, BertEncoder, Linear, LoadReport, ModelFiles,
    Precision, cpu_has_bf16,
};
pub use native::reuse_memory;
pub use run_folder::RunFolder;
pub use task::{
    Answer, BertClassifier, BertClassifierBuilder, BertEmbedder, BertEmbedderBuilder,
    BertGenerator, BertGeneratorBuilder, BertMaskedLm, BertMaskedLmBuilder,
    BertMultiLabelClassifier, BertMultiLabelClassifierBuilder, BertMultipleChoice,
    BertMultipleChoiceBuilder, BertQuestionAnswerer, BertQuestionAnswererBuilder, BertRegressor,
    BertRegressorBuilder, BertTokenClassifier, BertTokenClassifierBuilder, Choice, ClassLoss,
    Corpus, EmbeddingLoss, Entity, Fill, Generation, MultiLabelPredictions, Pooling, Predictions,
    ScoredAnswer, ScoredAnswers, SearchHit, StopBeams, TextMetrics, TripletDistance, WordTag,
    cosine_similarity, paired_cosine_similarity,
};
pub use tiny::write_tiny_model;
#[cfg(feature = "progress")]
pub use train::ProgressBar;
pub use train::memory::Memory;
pub use train::{
    AdamW, AdamWConfig, Callback, Control, EarlyStopping, EvalEvery, EvalRecord, Evaluation,
    Freeze, LogRecord, OnNotFinite, Plan, Schedule, StepRecord, StopFlag, Stopped, TrainConfig,
    TrainReport, Trainer, Warmup, Warning, evaluate, memory,
};

pub use ndarray;
/// The binding to libtorch that this crate uses, so that yours is the same one.
pub use tch;
