//! What comes out of the tokenizer: the ids of one text or pair, with where
//! each of them came from; and how a text that is too long gets shorter.
//! Padding is not done here but when a batch is made.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Which text of a pair loses tokens when the pair is too long.
///
/// A single text is cut by [`Truncation::LongestFirst`] and
/// [`Truncation::OnlyFirst`] alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// The longer one, until both are equally long; then both. The default.
    #[default]
    LongestFirst,
    /// The first one, which must keep at least one token.
    OnlyFirst,
    /// The second one, which must keep at least one token.
    OnlySecond,
}

impl Truncation {
    /// The name that transformers and configuration files use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LongestFirst => "longest_first",
            Self::OnlyFirst => "only_first",
            Self::OnlySecond => "only_second",
        }
    }

    /// How many tokens of the first and of the second text stay when there is
    /// room for `room`; `None` when this strategy cannot remove enough.
    pub(crate) fn kept(
        self,
        first: usize,
        second: Option<usize>,
        room: usize,
    ) -> Option<(usize, usize)> {
        let length = first + second.unwrap_or(0);
        if length <= room {
            return Some((first, second.unwrap_or(0)));
        }
        // The reference does not look at the strategy when nothing may stay.
        if room == 0 {
            return Some((0, 0));
        }
        let excess = length - room;
        match (self, second) {
            (Self::LongestFirst, None) => Some((room, 0)),
            (Self::LongestFirst, Some(second)) => Some(longest_first(first, second, room)),
            // One token at least must stay, hence `>`.
            (Self::OnlyFirst, second) => {
                (first > excess).then(|| (first - excess, second.unwrap_or(0)))
            }
            (Self::OnlySecond, Some(second)) => (second > excess).then(|| (first, second - excess)),
            (Self::OnlySecond, None) => None,
        }
    }
}

/// Both texts get half the room, unless the shorter one needs less; of an odd
/// room the longer text gets the larger half (the second, if they are equal).
fn longest_first(first: usize, second: usize, room: usize) -> (usize, usize) {
    let shorter = first.min(second);
    let (shorter, longer) = if shorter * 2 <= room {
        (shorter, room - shorter)
    } else {
        (room / 2, room - room / 2)
    };
    if first > second {
        (longer, shorter)
    } else {
        (shorter, longer)
    }
}

/// Which end of a text that is too long is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TruncationSide {
    /// The beginning.
    Left,
    /// The end. The default.
    #[default]
    Right,
}

/// One tokenized text or pair, all fields of the same length `S`.
///
/// `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Indexes into the vocabulary.
    pub input_ids: Vec<i64>,
    /// 0 for the first text and its special tokens, 1 for the second.
    pub token_type_ids: Vec<i64>,
    /// True for the `[CLS]` and `[SEP]` that the tokenizer put there itself;
    /// a `[SEP]` that stands in the text is the text's.
    pub special_tokens_mask: Vec<bool>,
    /// Start and end of each token in the text that it came from (of the word,
    /// where words were given), in characters (Unicode code points); `(0, 0)`
    /// for the tokenizer's own special tokens.
    pub offsets: Vec<(usize, usize)>,
    /// Number of the word that each token belongs to, from 0 in each text;
    /// `None` for the tokenizer's own special tokens. Punctuation marks are
    /// words. Where words were given, these are their indexes.
    pub word_ids: Vec<Option<usize>>,
    /// How many tokens were left out because of the maximal length.
    pub truncated: usize,
}

impl Encoding {
    /// Number of tokens, special tokens included.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether there is no token at all, which the tokenizer never returns.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }

    /// For each token, 0 if it came from the first text, 1 if from the second,
    /// `None` for the tokenizer's own special tokens.
    pub fn sequence_ids(&self) -> impl ExactSizeIterator<Item = Option<usize>> + '_ {
        let parts = self.token_type_ids.iter().zip(&self.special_tokens_mask);
        parts.map(|(&part, &special)| if special { None } else { Some(part as usize) })
    }

    /// Some of the tokens, in the order given, as a row of its own.
    pub(crate) fn select(&self, parts: &[Range<usize>]) -> Self {
        let mut some = Self::with_capacity(parts.iter().map(Range::len).sum());
        for part in parts {
            let part = part.clone();
            some.input_ids.extend(&self.input_ids[part.clone()]);
            some.token_type_ids
                .extend(&self.token_type_ids[part.clone()]);
            some.special_tokens_mask
                .extend(&self.special_tokens_mask[part.clone()]);
            some.offsets.extend(&self.offsets[part.clone()]);
            some.word_ids.extend(&self.word_ids[part]);
        }
        some.truncated = self.len() - some.len();
        some
    }

    /// With space for `length` tokens.
    pub(super) fn with_capacity(length: usize) -> Self {
        Self {
            input_ids: Vec::with_capacity(length),
            token_type_ids: Vec::with_capacity(length),
            special_tokens_mask: Vec::with_capacity(length),
            offsets: Vec::with_capacity(length),
            word_ids: Vec::with_capacity(length),
            truncated: 0,
        }
    }

    /// Appends one of the tokenizer's own special tokens.
    pub(super) fn push_special(&mut self, id: i64, part: i64) {
        self.input_ids.push(id);
        self.token_type_ids.push(part);
        self.special_tokens_mask.push(true);
        self.offsets.push((0, 0));
        self.word_ids.push(None);
    }

    /// Appends the tokens of one text.
    pub(super) fn extend(&mut self, pieces: &[Piece], part: i64) {
        self.input_ids.extend(pieces.iter().map(|piece| piece.id));
        self.offsets
            .extend(pieces.iter().map(|piece| (piece.start, piece.end)));
        self.word_ids
            .extend(pieces.iter().map(|piece| Some(piece.word)));
        self.token_type_ids.resize(self.input_ids.len(), part);
        self.special_tokens_mask.resize(self.input_ids.len(), false);
    }
}

/// One token of a text, with the characters and the word that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: i64,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) word: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_first_shares_the_room_evenly() {
        let cases = [
            // first, second, room -> kept
            (3, 4, 10, (3, 4)),   // everything fits
            (10, 10, 10, (5, 5)), // equal
            (10, 10, 9, (4, 5)),  // the odd token goes to the second
            (12, 10, 9, (5, 4)),  // or to the longer one
            (2, 10, 8, (2, 6)),   // the short one stays whole
            (10, 2, 8, (6, 2)),
            (0, 10, 4, (0, 4)),
            (10, 10, 1, (0, 1)),
            (10, 10, 0, (0, 0)),
        ];
        for (first, second, room, kept) in cases {
            let got = Truncation::LongestFirst.kept(first, Some(second), room);
            assert_eq!(got, Some(kept), "{first} + {second} into {room}");
        }
    }

    #[test]
    fn only_one_text_is_cut_and_keeps_a_token() {
        use Truncation::{OnlyFirst, OnlySecond};
        assert_eq!(OnlyFirst.kept(10, Some(3), 8), Some((5, 3)));
        assert_eq!(OnlyFirst.kept(10, Some(3), 4), Some((1, 3)));
        assert_eq!(OnlyFirst.kept(10, Some(3), 3), None);
        assert_eq!(OnlySecond.kept(3, Some(10), 8), Some((3, 5)));
        assert_eq!(OnlySecond.kept(3, Some(10), 3), None);
        assert_eq!(OnlySecond.kept(10, None, 8), None);
        assert_eq!(OnlyFirst.kept(10, None, 8), Some((8, 0)));
    }
}
