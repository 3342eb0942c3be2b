//! Texts become token ids, exactly as with transformers' `BertTokenizerFast`:
//! ids, places in the user's own text, and word numbers. In goes a text, a
//! pair, or words; out comes an [`Encoding`]. Padding and tensors come later,
//! when a batch is made.
//!
//! rust_tokenizers holds the vocabulary; `docs/decisions.md` says why the rest
//! of it could not be used.

mod added;
mod class;
mod config;
mod decode;
mod encode;
mod encoding;
mod fast;
mod files;
mod normalize;
mod vocab;
mod word_piece;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::Result;

pub use added::AddedToken;
pub use config::TokenizerConfig;
pub use encoding::{Encoding, Truncation, TruncationSide};

use added::AddedTokens;
use files::Source;
use normalize::Normalizer;
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

impl Tokenizer {
    /// Reads the tokenizer of a model's folder: `vocab.txt` or `tokenizer.json`, one of
    /// which must be there, and the other files that transformers writes, which may.
    ///
    /// The settings are those that transformers finds. Where the class that the folder names
    /// (`tokenizer_class` in `tokenizer_config.json`, else in `config.json`) is
    /// `PreTrainedTokenizerFast` or `TokenizersBackend`, case, accents and Chinese characters
    /// are treated as `tokenizer.json` says; else as `tokenizer_config.json` says, whose
    /// defaults are those of `BertTokenizer`. A warning is logged where the vocabulary has
    /// words with capitals and nothing says whether texts are to be brought to lower case.
    ///
    /// # Errors
    ///
    /// A file cannot be read; is not UTF-8 or not JSON, with the line; has a
    /// value of the wrong type; lacks a special token; is of another kind of
    /// tokenizer than BERT's; or two files contradict each other.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        crate::hub::expect_folder(dir)?;
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
        let special = source.special_ids();
        let reachable = source.vocabulary.reachable();
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
        let after_added = added.last_id().map_or(0, |id| id as usize + 1);
        let inner = Inner {
            source,
            normalizer,
            added,
            word_piece,
            vocab_size: reachable.max(after_added),
            special,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Writes `vocab.txt`, `tokenizer.json`, `tokenizer_config.json` and
    /// `special_tokens_map.json`, from which transformers, of release 4 and of release 5,
    /// loads the same tokenizer. A `vocab.txt` that was read is written byte for byte, and
    /// so is a `tokenizer.json` that says the same as the other files did. Another
    /// tokenizer's files do not stay.
    ///
    /// # Errors
    ///
    /// The folder or a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.inner
            .source
            .write(dir, &self.inner.word_piece.tokens())
    }

    /// Removes what [`save`](Self::save) does not replace of another tokenizer's files.
    pub(crate) fn remove_others(&self, dir: &Path) -> Result<()> {
        self.inner.source.remove_others(dir)
    }

    /// The content of `vocab.txt`.
    pub(crate) fn vocab_bytes(&self) -> &[u8] {
        &self.inner.source.vocab_bytes
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

    /// Number of ids, added tokens included: every id that a text can become is below it.
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

    /// Whether the model gets segment ids, 1 for the second text of a pair; if not, they are
    /// all 0. False for folders of `DistilBertTokenizer` and `TokenizersBackend`, and where
    /// `model_input_names` leaves `token_type_ids` out.
    pub fn has_segments(&self) -> bool {
        class::has_segments(&self.config().extra)
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

#[cfg(test)]
mod tests;
