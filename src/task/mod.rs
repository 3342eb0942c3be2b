//! Stage 4: hidden states become logits, losses and answers; one file for each
//! task.

mod answers;
mod class_loss;
mod classifier;
mod entities;
mod generator;
mod masked_lm;
mod multi_label_classifier;
mod multiple_choice;
mod predictions;
mod question_answerer;
mod regressor;
mod sequence;
mod source;
mod token_accuracy;
mod token_classifier;

pub use answers::Answer;
pub use class_loss::ClassLoss;
pub use classifier::{BertClassifier, BertClassifierBuilder};
pub use entities::{Entity, WordTag};
pub use generator::{BertGenerator, BertGeneratorBuilder, Generation, StopBeams};
pub use masked_lm::{BertMaskedLm, BertMaskedLmBuilder, Fill};
pub use multi_label_classifier::{
    BertMultiLabelClassifier, BertMultiLabelClassifierBuilder, MultiLabelPredictions,
};
pub use multiple_choice::{BertMultipleChoice, BertMultipleChoiceBuilder, Choice};
pub use predictions::Predictions;
pub use question_answerer::{BertQuestionAnswerer, BertQuestionAnswererBuilder};
pub use regressor::{BertRegressor, BertRegressorBuilder};
pub use token_classifier::{BertTokenClassifier, BertTokenClassifierBuilder};
