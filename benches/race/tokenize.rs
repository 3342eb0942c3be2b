//! Texts to token ids, in parallel.

use std::path::Path;

use bertfit::{Result, Tokenizer, Truncation};

use crate::{Figures, number, speed_on, texts};

pub fn run(model: &str, file: &str, rows: &str) -> Result<Figures> {
    let texts = texts(file, number(rows)?)?;
    let tokenizer = Tokenizer::from_dir(Path::new(model))?;
    speed_on(&texts, |texts| {
        tokenizer.encode_batch(texts, 512, Truncation::default())
    })
}
