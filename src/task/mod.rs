//! Stage 4: hidden states become logits, losses and answers; one file for each
//! task.

mod classifier;
mod predictions;

pub use classifier::{BertClassifier, BertClassifierBuilder};
pub use predictions::Predictions;
