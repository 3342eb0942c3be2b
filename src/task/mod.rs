//! Stage 4: hidden states become logits, losses and answers; one file for each
//! task.

mod answer_metric;
mod answers;
mod class_loss;
mod classifier;
mod embedder;
mod embedding_loss;
mod embedding_metric;
mod entities;
mod generator;
mod masked_lm;
mod multi_label_classifier;
mod multiple_choice;
mod pooling;
mod predictions;
mod question_answerer;
mod regressor;
mod sentence_transformers;
mod sequence;
mod similarity;
mod source;
mod token_accuracy;
mod token_classifier;

pub use answers::{Answer, ScoredAnswer, ScoredAnswers};
pub use class_loss::ClassLoss;
pub use classifier::{BertClassifier, BertClassifierBuilder};
pub use embedder::{BertEmbedder, BertEmbedderBuilder};
pub use embedding_loss::{EmbeddingLoss, TripletDistance};
pub use entities::{Entity, WordTag};
pub use generator::{BertGenerator, BertGeneratorBuilder, Generation, StopBeams, TextMetrics};
pub use masked_lm::{BertMaskedLm, BertMaskedLmBuilder, Fill};
pub use multi_label_classifier::{
    BertMultiLabelClassifier, BertMultiLabelClassifierBuilder, MultiLabelPredictions,
};
pub use multiple_choice::{BertMultipleChoice, BertMultipleChoiceBuilder, Choice};
pub use pooling::Pooling;
pub use predictions::Predictions;
pub use question_answerer::{BertQuestionAnswerer, BertQuestionAnswererBuilder};
pub use regressor::{BertRegressor, BertRegressorBuilder};
pub use similarity::{Corpus, SearchHit, cosine_similarity, paired_cosine_similarity};
pub use token_classifier::{BertTokenClassifier, BertTokenClassifierBuilder};
