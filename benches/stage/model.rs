//! Random models in the shapes of two well-known ones, and texts for them.

use bertfit::tch::Device;
use bertfit::{BertConfig, Example, Tokenizer, TokenizerConfig};
use serde_json::json;

/// MiniLM-L6 and BERT-base.
pub const SHAPES: [(&str, Shape); 2] = [
    (
        "minilm",
        Shape {
            layers: 6,
            hidden: 384,
            heads: 12,
            wide: 1536,
        },
    ),
    (
        "base",
        Shape {
            layers: 12,
            hidden: 768,
            heads: 12,
            wide: 3072,
        },
    ),
];

#[derive(Clone, Copy)]
pub struct Shape {
    layers: i64,
    hidden: i64,
    heads: i64,
    wide: i64,
}

/// As many words as BERT's vocabulary has, none of them split.
pub fn tokenizer() -> Tokenizer {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let words = (special.len()..30522).map(|word| format!("w{word}"));
    Tokenizer::from_vocab(special.into_iter().chain(words), TokenizerConfig::default())
        .expect("a vocabulary")
}

/// A model folder with random weights.
pub fn folder(shape: Shape) -> tempfile::TempDir {
    let config: BertConfig = serde_json::from_value(json!({
        "vocab_size": 30522,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.wide,
        "max_position_embeddings": 512,
    }))
    .expect("a configuration");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (model, ()) = bertfit::Backbone::random(config, tokenizer())
        .device(Device::Cpu)
        .build(|_, _| Ok(()))
        .expect("a model");
    model.save(dir.path(), |_| ()).expect("a saved model");
    dir
}

/// Rows of `length` tokens, the special ones included.
pub fn examples(rows: usize, length: usize) -> Vec<Example> {
    let text = |row: usize| {
        let words =
            (2..length).map(|place| format!("w{}", 5 + (row * 7919 + place * 104_729) % 30000));
        words.collect::<Vec<_>>().join(" ")
    };
    (0..rows)
        .map(|row| Example::new(text(row), if row % 2 == 0 { "a" } else { "b" }))
        .collect()
}
