//! Stage 2: examples become batches of CPU tensors. Text is tokenized, padded
//! and checked here, by the same code for training and for prediction.

mod batch;
mod choice_collator;
mod collator;
mod embedding_collator;
mod loader;
mod long_text;
mod mask_collator;
mod qa_collator;
mod row_collators;
mod sampler;
mod tag_collator;
mod text_collator;
mod token_blocks;
mod tokenizer;
mod windows;

pub use batch::{Batch, Inputs, Limits, Padding, Target, pad};
pub(crate) use batch::{KnownState, LOWEST};
pub use choice_collator::{ChoiceCollator, ChoiceTarget};
pub use collator::{ClassCollator, Collator, TextEncoder};
pub use embedding_collator::{EmbeddingCollator, EmbeddingTarget};
pub(crate) use loader::{lengths, load};
pub use long_text::{LongText, TextWindows, WindowPooling};
pub use mask_collator::{MaskCollator, Masking};
pub(crate) use qa_collator::context_tokens;
pub use qa_collator::{QaCollator, QaRows, QaTarget};
pub use row_collators::{MultiLabelCollator, NumberCollator};
pub use sampler::Sampler;
pub(crate) use sampler::{Pass, mix};
pub(crate) use tag_collator::IGNORED;
pub use tag_collator::{SentenceTags, TagCollator, TagTarget};
pub use text_collator::TextCollator;
pub use token_blocks::{TokenBlock, TokenBlocks};
pub use tokenizer::{AddedToken, Encoding, Tokenizer, TokenizerConfig, Truncation, TruncationSide};
pub(crate) use windows::WordWindows;
