//! Stage 4: hidden states become logits, losses and answers; one file for each
//! task.

mod classifier;

pub use classifier::{BertClassifier, BertClassifierBuilder, Predictions};
