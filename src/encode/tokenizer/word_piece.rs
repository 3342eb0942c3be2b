//! Cleaned text into words, and words into pieces of the vocabulary: words end
//! at white space, every punctuation mark is a word, and a word becomes the
//! longest piece that fits, then the longest of the rest, and so on. A word
//! that cannot be made of pieces, or of more than 100 characters, is unknown.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rust_tokenizers::vocab::BertVocab;
use unicode_categories::UnicodeCategories;

use super::encoding::Piece;
use super::normalize::Normalized;

/// Longer words are unknown, as in BERT.
pub(super) const MAX_WORD_CHARS: usize = 100;

/// What a piece that does not begin a word begins with.
pub(super) const CONTINUATION: &str = "##";

/// Splits cleaned text into pieces of the vocabulary.
#[derive(Debug)]
pub(super) struct WordPiece {
    vocab: BertVocab,
    unk_id: i64,
    /// Bytes of the longest piece, its prefix included: no longer text needs
    /// to be looked up.
    longest: usize,
}

impl WordPiece {
    /// `unk_token` must be in the vocabulary, otherwise `None`.
    pub(super) fn new(values: HashMap<String, i64>, unk_token: &str) -> Option<Self> {
        let unk_id = *values.get(unk_token)?;
        let mut vocab = BertVocab {
            indices: values
                .iter()
                .map(|(token, &id)| (id, token.clone()))
                .collect(),
            special_values: HashMap::from([(unk_token.to_owned(), unk_id)]),
            special_indices: HashMap::from([(unk_id, unk_token.to_owned())]),
            // rust_tokenizers does not export this type's name.
            special_token_map: Default::default(),
            values,
        };
        vocab.special_token_map.unk_token = unk_token.to_owned();
        let longest = vocab.values.keys().map(String::len).max().unwrap_or(0);
        Some(Self {
            vocab,
            unk_id,
            longest,
        })
    }

    pub(super) fn unk_id(&self) -> i64 {
        self.unk_id
    }

    pub(super) fn id(&self, token: &str) -> Option<i64> {
        self.vocab.values.get(token).copied()
    }

    pub(super) fn token(&self, id: i64) -> Option<&str> {
        self.vocab.indices.get(&id).map(String::as_str)
    }

    /// The vocabulary by its ids.
    pub(super) fn tokens(&self) -> BTreeMap<i64, &str> {
        let ids = self.vocab.values.iter();
        ids.map(|(token, &id)| (id, token.as_str())).collect()
    }

    /// Appends the pieces of a part of the cleaned text, which begins with the
    /// word number `word`; returns the number of the next word.
    pub(super) fn split(
        &self,
        cleaned: &Normalized,
        part: Range<usize>,
        mut word: usize,
        pieces: &mut Vec<Piece>,
    ) -> usize {
        let mut start = part.start;
        let mut end_word = |range: Range<usize>| {
            if !range.is_empty() {
                self.push_word(cleaned, range, word, pieces);
                word += 1;
            }
        };
        for (at, c) in cleaned.text[part.clone()].char_indices() {
            let boundary = if c.is_ascii() {
                !c.is_ascii_alphanumeric()
            } else {
                true
            };
            if !boundary {
                continue;
            }
            let at = part.start + at;
            let after = at + c.len_utf8();
            if c.is_whitespace() {
                end_word(start..at);
                start = after;
            } else if is_punctuation(c) {
                end_word(start..at);
                end_word(at..after);
                start = after;
            }
        }
        end_word(start..part.end);
        word
    }

    /// Appends the pieces of one word.
    fn push_word(
        &self,
        cleaned: &Normalized,
        range: Range<usize>,
        word: usize,
        pieces: &mut Vec<Piece>,
    ) {
        let text = &cleaned.text[range.clone()];
        let piece = |id: i64, within: Range<usize>| Piece {
            id,
            start: cleaned.sources[range.start + within.start],
            end: cleaned.sources[range.start + within.end - 1] + 1,
            word,
        };
        if text.len() > MAX_WORD_CHARS && text.chars().count() > MAX_WORD_CHARS {
            pieces.push(piece(self.unk_id, 0..text.len()));
            return;
        }
        if let Some(&id) = self.vocab.values.get(text) {
            pieces.push(piece(id, 0..text.len()));
            return;
        }
        let first = pieces.len();
        let mut start = 0;
        // `##` and the rest of the word, cut to the length that can be a piece.
        let mut lookup = String::new();
        while start < text.len() {
            lookup.clear();
            if start > 0 {
                lookup.push_str(CONTINUATION);
            }
            let prefix = lookup.len();
            lookup.push_str(&text[start..]);
            lookup.truncate(floor_char_boundary(&lookup, self.longest.max(prefix)));
            let found = loop {
                if lookup.len() == prefix {
                    break None;
                }
                if let Some(&id) = self.vocab.values.get(&lookup) {
                    break Some(id);
                }
                lookup.pop();
            };
            let Some(id) = found else {
                pieces.truncate(first);
                pieces.push(piece(self.unk_id, 0..text.len()));
                return;
            };
            let end = start + lookup.len() - prefix;
            pieces.push(piece(id, start..end));
            start = end;
        }
    }
}

/// The last boundary between characters that is not after `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

/// All ASCII symbols count, such as `$` and `^`, and Unicode's P categories.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.is_punctuation()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde::Deserialize;
    use sha2::{Digest, Sha256};

    use super::super::normalize::Normalizer;
    use super::*;

    #[test]
    fn a_word_is_made_of_the_longest_pieces() {
        let tokens = ["[UNK]", "ab", "abc", "##c", "##d", "##de", "e"];
        let ids = tokens
            .iter()
            .zip(0..)
            .map(|(token, id)| (token.to_string(), id));
        let word_piece = WordPiece::new(ids.collect(), "[UNK]").expect("it is there");
        let cases: [(&str, &[i64]); 6] = [
            ("abcd", &[2, 4]),  // not ab ##c ##d
            ("abcde", &[2, 5]), // not ##d and something with e
            ("abce", &[0]),     // e begins words only
            ("e abd", &[6, 1, 4]),
            ("ab!e", &[1, 0, 6]), // a mark is a word
            (" ", &[]),
        ];
        for (text, ids) in cases {
            let mut cleaned = Normalized::default();
            Normalizer::new(true, true, true).run(text, 0, &mut cleaned);
            let mut pieces = Vec::new();
            word_piece.split(&cleaned, 0..cleaned.text.len(), 0, &mut pieces);
            assert_eq!(
                pieces.iter().map(|piece| piece.id).collect::<Vec<_>>(),
                ids,
                "{text:?}"
            );
        }
    }

    /// `code_points.json`; see `make_reference.py` beside it.
    #[derive(Deserialize)]
    struct CodePoints {
        new_capitals: Vec<(u32, u32)>,
        digests: Vec<Digests>,
    }

    #[derive(Deserialize)]
    struct Digests {
        lowercase: bool,
        strip_accents: bool,
        cjk: bool,
        blocks: Vec<String>,
    }

    #[test]
    fn every_code_point_is_cleaned_and_split_as_by_the_reference() {
        let path = "tests/data/tokenizer/code_points.json";
        let text =
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the reference");
        let CodePoints {
            new_capitals,
            digests,
        } = serde_json::from_slice(&text).expect("JSON");
        let word_piece =
            WordPiece::new([("[UNK]".to_owned(), 0)].into(), "[UNK]").expect("it is there");
        let mut cleaned = Normalized::default();
        let mut pieces = Vec::new();
        assert_eq!(digests.len(), 3);
        for Digests {
            lowercase,
            strip_accents,
            cjk,
            blocks,
        } in digests
        {
            let normalizer = Normalizer::new(lowercase, strip_accents, cjk);
            assert_eq!(blocks.len(), 0x110000 / 4096);
            for (block, expected) in (0..).step_by(4096).zip(blocks) {
                let mut lines = String::new();
                let codes = (block..block + 4096).filter(|code| {
                    !new_capitals
                        .iter()
                        .any(|(first, last)| (first..=last).contains(&code))
                });
                for c in codes.filter_map(char::from_u32) {
                    normalizer.run(&format!("a{c}a"), 0, &mut cleaned);
                    // So pieces, one a word here, tell their places in the cleaned text.
                    cleaned.sources = (0..cleaned.text.len()).collect();
                    pieces.clear();
                    word_piece.split(&cleaned, 0..cleaned.text.len(), 0, &mut pieces);
                    for (word, piece) in pieces.iter().enumerate() {
                        lines += if word > 0 { " " } else { "" };
                        lines += &cleaned.text[piece.start..piece.end];
                    }
                    lines.push('\n');
                }
                let digest = Sha256::digest(lines.as_bytes());
                let digest: String = digest[..8]
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                assert_eq!(
                    digest, expected,
                    "lower case {lowercase}, from U+{block:04X}"
                );
            }
        }
    }
}
