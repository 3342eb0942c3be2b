//! Texts become tokens: added tokens first, then words and their pieces; too
//! many are cut off, and special tokens stand around the rest.

use rayon::prelude::*;

use crate::data::Text;
use crate::error::{Error, Result, RowProblem};

use super::encoding::{Encoding, Piece, Truncation, TruncationSide};
use super::normalize::Normalized;
use super::{Inner, SpecialIds, Tokenizer};

/// Memory that is used again from text to text.
#[derive(Default)]
struct Scratch {
    cleaned: Normalized,
    pieces: Vec<Piece>,
}

impl Tokenizer {
    /// Tokenizes a text, or a pair of texts, to at most `max_length` tokens
    /// with the special tokens.
    ///
    /// A second text that is empty still gets its `[SEP]`.
    ///
    /// # Errors
    ///
    /// `max_length` leaves no space for the special tokens, or `truncation`
    /// cannot remove enough (the error says row 0).
    pub fn encode(
        &self,
        text: &str,
        pair: Option<&str>,
        max_length: usize,
        truncation: Truncation,
    ) -> Result<Encoding> {
        self.encode_row(
            0,
            (text, pair),
            max_length,
            truncation,
            &mut Scratch::default(),
        )
    }

    /// Tokenizes many texts or pairs on all cores; the results are in the
    /// order of the texts.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), with the index of the first bad row.
    pub fn encode_batch<T: Text + Sync>(
        &self,
        texts: &[T],
        max_length: usize,
        truncation: Truncation,
    ) -> Result<Vec<Encoding>> {
        let encodings: Vec<Result<Encoding>> = texts
            .par_iter()
            .enumerate()
            .map_init(Scratch::default, |scratch, (row, text)| {
                let texts = (text.text(), text.pair());
                self.encode_row(row, texts, max_length, truncation, scratch)
            })
            .collect();
        // Only now, for of several bad rows the first is to be named.
        encodings.into_iter().collect()
    }

    /// Tokenizes a text that is split into words already. Word ids are indexes
    /// of `words`, offsets are characters of the word; a word of which nothing
    /// is left (empty, control characters) has no token.
    ///
    /// # Errors
    ///
    /// `max_length` leaves no space for the special tokens.
    pub fn encode_words(&self, words: &[impl AsRef<str>], max_length: usize) -> Result<Encoding> {
        let room = room(max_length, 2)?;
        let mut scratch = Scratch::default();
        for (word, text) in words.iter().enumerate() {
            let first = scratch.pieces.len();
            self.tokenize(text.as_ref(), &mut scratch);
            scratch.pieces[first..]
                .iter_mut()
                .for_each(|piece| piece.word = word);
        }
        let kept = scratch.pieces.len().min(room);
        Ok(self.assemble(&scratch.pieces, None, (kept, 0)))
    }

    fn encode_row(
        &self,
        row: usize,
        (text, pair): (&str, Option<&str>),
        max_length: usize,
        truncation: Truncation,
        scratch: &mut Scratch,
    ) -> Result<Encoding> {
        let special = if pair.is_some() { 3 } else { 2 };
        let room = room(max_length, special)?;
        scratch.pieces.clear();
        self.tokenize(text, scratch);
        let first = scratch.pieces.len();
        if let Some(pair) = pair {
            self.tokenize(pair, scratch);
        }
        let (first, second) = scratch.pieces.split_at(first);
        let second = pair.map(|_| second);
        let kept = truncation
            .kept(first.len(), second.map(<[_]>::len), room)
            .ok_or_else(|| Error::Row {
                row,
                problem: RowProblem::Truncation {
                    length: first.len() + second.map_or(0, <[_]>::len) + special,
                    limit: max_length,
                    strategy: truncation.as_str(),
                },
            })?;
        Ok(self.assemble(first, second, kept))
    }

    /// Appends the pieces of one text to `scratch.pieces`, with words from 0.
    fn tokenize(&self, text: &str, scratch: &mut Scratch) {
        let Inner {
            normalizer,
            added,
            word_piece,
            ..
        } = &*self.inner;
        let Scratch { cleaned, pieces } = scratch;
        let mut source = 0;
        let mut word = 0;
        added.in_text.split(text, |part, token| {
            let part = &text[part];
            if let Some(id) = token {
                let start = source;
                source += part.chars().count();
                pieces.push(Piece {
                    id,
                    start,
                    end: source,
                    word,
                });
                word += 1;
                return;
            }
            source = normalizer.run(part, source, cleaned);
            added
                .in_cleaned
                .split(&cleaned.text, |part, token| match token {
                    None => word = word_piece.split(cleaned, part, word, pieces),
                    Some(id) => {
                        let (start, end) =
                            (cleaned.sources[part.start], cleaned.sources[part.end - 1]);
                        pieces.push(Piece {
                            id,
                            start,
                            end: end + 1,
                            word,
                        });
                        word += 1;
                    }
                });
        });
    }

    /// Cuts the texts to the lengths in `kept` and adds the special tokens.
    fn assemble(
        &self,
        first: &[Piece],
        second: Option<&[Piece]>,
        kept: (usize, usize),
    ) -> Encoding {
        let cut = |pieces: &[Piece], kept: usize| match self.config().truncation_side {
            TruncationSide::Right => 0..kept,
            TruncationSide::Left => pieces.len() - kept..pieces.len(),
        };
        let SpecialIds { cls, sep, .. } = self.inner.special;
        let mut encoding = Encoding::with_capacity(kept.0 + kept.1 + 3);
        encoding.push_special(cls, 0);
        encoding.extend(&first[cut(first, kept.0)], 0);
        encoding.push_special(sep, 0);
        encoding.truncated = first.len() - kept.0;
        if let Some(second) = second {
            encoding.extend(&second[cut(second, kept.1)], 1);
            encoding.push_special(sep, 1);
            encoding.truncated += second.len() - kept.1;
        }
        encoding
    }
}

/// How many tokens of text fit in.
fn room(max_length: usize, special: usize) -> Result<usize> {
    max_length.checked_sub(special).ok_or_else(|| {
        Error::config(
            "max_length",
            format!("at least {special}, for the special tokens"),
            max_length,
        )
    })
}
