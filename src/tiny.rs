//! A tiny random BERT in a folder, for documentation and tests: of this crate, and
//! of crates that build on it. It loads, trains and predicts as a real one does.

use std::path::Path;

use tch::Device;

use crate::encode::{Tokenizer, TokenizerConfig};
use crate::error::Result;
use crate::model::{Backbone, BertConfig};

/// The words that the tiny model knows besides the special tokens.
const WORDS: [&str; 20] = [
    "a", "bad", "dull", "film", "fine", "food", "good", "great", "i", "is", "it", "not", "sad",
    "the", "this", "very", "was", "##ly", "!", ".",
];

/// Writes a BERT with two layers of width 16, random weights and a vocabulary of 25
/// tokens to `dir`.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_tiny_model(dir: impl AsRef<Path>) -> Result<()> {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let vocab: Vec<_> = special.into_iter().chain(WORDS).collect();
    let config: BertConfig = serde_json::from_value(serde_json::json!({
        "vocab_size": vocab.len(),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        // Wider than BERT's, so that so small a model learns something.
        "initializer_range": 0.2,
    }))
    .expect("the fields of a configuration");
    let tokenizer = Tokenizer::from_vocab(vocab, TokenizerConfig::default())?;
    // The same weights everywhere.
    let random = Backbone::random(config, tokenizer).device(Device::Cpu);
    let (model, ()) = random.build(|_, _| Ok(()))?;
    model.save(dir.as_ref(), |config| {
        config.architectures = vec!["BertModel".to_owned()]
    })
}
