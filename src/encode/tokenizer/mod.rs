//! Texts become token ids, exactly as with transformers' `BertTokenizerFast`:
//! ids, places in the user's own text, and word numbers. In goes a text, a
//! pair, or words; out comes an [`Encoding`]. Padding and tensors come later,
//! when a batch is made.
//!
//! rust_tokenizers holds the vocabulary; `docs/decisions.md` says why the rest
//! of it could not be used.

mod added;
mod config;
mod decode;
mod encoding;
mod files;
mod normalize;
mod vocab;
mod word_piece;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::data::Text;
use crate::error::{Error, Result, RowProblem};

pub use added::AddedToken;
pub use config::TokenizerConfig;
pub use encoding::{Encoding, Truncation, TruncationSide};

use added::AddedTokens;
use encoding::Piece;
use files::Source;
use normalize::{Normalized, Normalizer};
use word_piece::WordPiece;

/// A BERT tokenizer. Cloning it is cheap, and threads can share it.
///
/// ```
/// use bertfit::{Tokenizer, TokenizerConfig, Truncation};
///
/// let vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able"];
/// let tokenizer = Tokenizer::from_vocab(vocab, TokenizerConfig::default())?;
/// let encoding = tokenizer.encode("Unaffable", None, 128, Truncation::default())?;
/// assert_eq!(encoding.input_ids, [2, 5, 6, 7, 3]);
/// assert_eq!(encoding.offsets[2], (2, 5));
/// assert_eq!(tokenizer.decode(&encoding.input_ids, true), "unaffable");
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    normalizer: Normalizer,
    added: AddedTokens,
    word_piece: WordPiece,
    vocab_size: usize,
    special: SpecialIds,
}

#[derive(Debug, Clone, Copy)]
struct SpecialIds {
    pad: i64,
    cls: i64,
    sep: i64,
    mask: i64,
}

/// Memory that is used again from text to text.
#[derive(Default)]
struct Scratch {
    cleaned: Normalized,
    pieces: Vec<Piece>,
}

impl Tokenizer {
    /// Reads the tokenizer of a model's folder: `vocab.txt`, which must be
    /// there, and the other files that transformers writes, which may.
    ///
    /// # Errors
    ///
    /// A file cannot be read; is not UTF-8 or not JSON, with the line; has a
    /// value of the wrong type; lacks a special token; is of another kind of
    /// tokenizer than BERT's; or two files contradict each other.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        Ok(Self::new(Source::read(dir)?))
    }

    /// Makes a tokenizer from the tokens of a vocabulary, in the order of
    /// their ids.
    ///
    /// # Errors
    ///
    /// The vocabulary is empty, lacks a special token, or has a token with a
    /// line break.
    pub fn from_vocab(
        vocab: impl IntoIterator<Item = impl Into<String>>,
        config: TokenizerConfig,
    ) -> Result<Self> {
        Ok(Self::new(Source::from_tokens(vocab, config)?))
    }

    fn new(mut source: Source) -> Self {
        let config = &source.config;
        let normalizer = Normalizer::new(
            config.do_lower_case,
            config.strip_accents.unwrap_or(config.do_lower_case),
            config.tokenize_chinese_chars,
        );
        let by_id = config.added_tokens_decoder.clone();
        let added = AddedTokens::new(by_id, &normalizer, config.split_special_tokens);
        let ids = std::mem::take(&mut source.vocabulary.ids);
        let word_piece =
            WordPiece::new(ids, &config.unk_token).expect("a source has its special tokens");
        let id = |token: &str| added.id(token).expect("a source has its special tokens");
        let special = SpecialIds {
            pad: id(&config.pad_token),
            cls: id(&config.cls_token),
            sep: id(&config.sep_token),
            mask: id(&config.mask_token),
        };
        let after_added = added.last_id().map_or(0, |id| id as usize + 1);
        let vocab_size = source.vocabulary.len.max(after_added);
        let inner = Inner {
            source,
            normalizer,
            added,
            word_piece,
            vocab_size,
            special,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Writes `vocab.txt`, `tokenizer_config.json`, `special_tokens_map.json`
    /// and, if it was read from a folder with one, `tokenizer.json`, so that
    /// transformers loads the same tokenizer. `vocab.txt` and `tokenizer.json`
    /// are written byte for byte as they were read.
    ///
    /// # Errors
    ///
    /// The folder or a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.inner.source.write(dir)
    }

    /// The content of `vocab.txt`.
    pub(crate) fn vocab_bytes(&self) -> &[u8] {
        &self.inner.source.vocab_bytes
    }

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

    /// The settings, with every added and special token in
    /// `added_tokens_decoder`.
    pub fn config(&self) -> &TokenizerConfig {
        &self.inner.source.config
    }

    /// The id of a token, if there is such a token.
    pub fn token_to_id(&self, token: &str) -> Option<i64> {
        self.inner
            .added
            .id(token)
            .or_else(|| self.inner.word_piece.id(token))
    }

    /// The token with this id, if there is one.
    pub fn id_to_token(&self, id: i64) -> Option<&str> {
        let added = self.inner.added.get(id).map(|token| token.content.as_str());
        added.or_else(|| self.inner.word_piece.token(id))
    }

    /// Number of ids, added tokens included: every id is below it.
    pub fn vocab_size(&self) -> usize {
        self.inner.vocab_size
    }

    /// Id of the token that fills up a batch, `[PAD]`.
    pub fn pad_id(&self) -> i64 {
        self.inner.special.pad
    }

    /// Id of the token that begins each input, `[CLS]`.
    pub fn cls_id(&self) -> i64 {
        self.inner.special.cls
    }

    /// Id of the token that ends each text, `[SEP]`.
    pub fn sep_id(&self) -> i64 {
        self.inner.special.sep
    }

    /// Id of the token for what the vocabulary lacks, `[UNK]`.
    pub fn unk_id(&self) -> i64 {
        self.inner.word_piece.unk_id()
    }

    /// Id of the token that hides a token from the model, `[MASK]`.
    pub fn mask_id(&self) -> i64 {
        self.inner.special.mask
    }

    /// How many tokens the model takes, if the tokenizer's files say so.
    pub fn model_max_length(&self) -> Option<usize> {
        self.config().model_max_length
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("do_lower_case", &self.config().do_lower_case)
            .finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
