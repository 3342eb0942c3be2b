//! Plain texts as blocks of tokens that fill a model's rows, for training without labels.

use super::tokenizer::{Tokenizer, Truncation};
use crate::data::{Dataset, Text};
use crate::error::{Error, Result};

/// A row of tokens without `[CLS]` and `[SEP]` around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBlock {
    /// Indexes into the vocabulary.
    pub input_ids: Vec<i64>,
}

/// Texts cut into blocks; four bytes a token.
#[derive(Debug, Clone)]
pub struct TokenBlocks {
    ids: Vec<u32>,
    /// Where each block ends.
    ends: Vec<usize>,
}

impl TokenBlocks {
    /// All texts one after another, with `[SEP]` between them, in blocks of `max_length`
    /// tokens, `[CLS]` and `[SEP]` of the block included; the last one may be shorter.
    /// Texts without a token are left out, nothing else is.
    ///
    /// # Errors
    /// When `max_length` leaves no room, or all texts are empty.
    pub fn packed<T: Text + Sync>(
        texts: &[T],
        tokenizer: &Tokenizer,
        max_length: usize,
    ) -> Result<Self> {
        let mut ids = Vec::new();
        each_text(texts, tokenizer, |of_text| {
            if !ids.is_empty() {
                ids.push(tokenizer.sep_id() as u32);
            }
            ids.extend(of_text);
        })?;
        let room = room(max_length)?;
        let starts = (0..ids.len()).step_by(room);
        let ends = starts.map(|start| ids.len().min(start + room)).collect();
        Self { ids, ends }.checked()
    }

    /// Each text by itself, in as many blocks as it needs.
    ///
    /// # Errors
    /// As [`packed`](Self::packed).
    pub fn by_text<T: Text + Sync>(
        texts: &[T],
        tokenizer: &Tokenizer,
        max_length: usize,
    ) -> Result<Self> {
        let room = room(max_length)?;
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        each_text(texts, tokenizer, |of_text| {
            for block in of_text.chunks(room) {
                ids.extend(block);
                ends.push(ids.len());
            }
        })?;
        Self { ids, ends }.checked()
    }

    fn checked(self) -> Result<Self> {
        match self.ends.is_empty() {
            true => Err(Error::config("texts", "at least one with a token", "none")),
            false => Ok(self),
        }
    }

    /// Tokens in all blocks, `[CLS]` and `[SEP]` around them not counted.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}

impl Dataset for TokenBlocks {
    type Item = TokenBlock;

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> Result<TokenBlock> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        let ids = &self.ids[start..self.ends[index]];
        Ok(TokenBlock {
            input_ids: ids.iter().map(|&id| i64::from(id)).collect(),
        })
    }
}

fn room(max_length: usize) -> Result<usize> {
    match max_length {
        3.. => Ok(max_length - 2),
        _ => Err(Error::config("max_length", "at least 3", max_length)),
    }
}

/// Texts that are tokenized at a time: enough for all cores.
const CHUNK: usize = 1024;

/// Calls `take` with the tokens of each text that has any.
fn each_text<T: Text + Sync>(
    texts: &[T],
    tokenizer: &Tokenizer,
    mut take: impl FnMut(&[u32]),
) -> Result<()> {
    let whole = Truncation::default();
    for chunk in texts.chunks(CHUNK) {
        for encoding in tokenizer.encode_batch(chunk, usize::MAX, whole)? {
            let own = encoding.input_ids.iter().zip(&encoding.special_tokens_mask);
            let own = own.filter(|(_, special)| !**special);
            let ids: Vec<u32> = own.map(|(&id, _)| id as u32).collect();
            if !ids.is_empty() {
                take(&ids);
            }
        }
    }
    Ok(())
}
