//! Stage 2: examples become batches of CPU tensors. Text is tokenized, padded
//! and checked here, by the same code for training and for prediction.

mod batch;
mod collator;
mod loader;
mod sampler;
mod tokenizer;

pub(crate) use batch::KnownState;
pub use batch::{Batch, Inputs, Limits, Padding, Target, pad};
pub use collator::{ClassCollator, Collator, TextEncoder};
pub(crate) use loader::{lengths, load};
pub use sampler::Sampler;
pub(crate) use sampler::mix;
pub use tokenizer::{AddedToken, Encoding, Tokenizer, TokenizerConfig, Truncation, TruncationSide};
