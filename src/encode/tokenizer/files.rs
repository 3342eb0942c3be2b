//! A tokenizer's folder: which files there are, what each of them says about
//! added tokens, and whether they agree; and the same folder written again.
//!
//! Read are `vocab.txt`, `tokenizer_config.json`, and, as transformers does,
//! `tokenizer.json` and the older `special_tokens_map.json` and
//! `added_tokens.json`. Of `tokenizer.json` only the added tokens are used; it
//! must describe the same tokenizer as the other files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, PathContext, Result};
use crate::json;
use crate::whole_file;

use super::added::AddedToken;
use super::config::TokenizerConfig;
use super::vocab::{self, Vocabulary};
use super::word_piece::CONTINUATION;

const VOCAB: &str = "vocab.txt";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";
const TOKENIZER: &str = "tokenizer.json";

/// All that a tokenizer is made of, checked.
pub(super) struct Source {
    /// With every added token in `added_tokens_decoder`.
    pub(super) config: TokenizerConfig,
    pub(super) vocabulary: Vocabulary,
    /// `vocab.txt` as it is.
    pub(super) vocab_bytes: Vec<u8>,
    /// `tokenizer.json` as it is.
    pub(super) tokenizer_json: Option<Vec<u8>>,
}

/// The parts of a `tokenizer.json` that matter here.
#[derive(Deserialize)]
struct TokenizerJson {
    #[serde(default)]
    added_tokens: Vec<TokenWithId>,
    model: Model,
    normalizer: Option<Part>,
    pre_tokenizer: Option<Part>,
}

#[derive(Deserialize)]
struct TokenWithId {
    id: i64,
    #[serde(flatten)]
    token: AddedToken,
}

#[derive(Deserialize)]
struct Model {
    // Older files name no type.
    #[serde(rename = "type")]
    kind: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    vocab: HashMap<String, i64>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    clean_text: Option<bool>,
}

impl Source {
    /// Reads a folder.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(VOCAB);
        let vocab_bytes = whole_file::read(&path)?;
        let vocabulary = vocab::parse(&path, &vocab_bytes)?;

        let mut declared = Vec::new();
        let file = read_json(&dir.join(CONFIG))?.unwrap_or_default();
        let mut config = TokenizerConfig::from_map(&dir.join(CONFIG), file, &mut declared)?;
        let mut tokens = BTreeMap::new();
        // Since it lists all added tokens, the older files have no say.
        if config.added_tokens_decoder.is_empty() {
            let path = dir.join(SPECIAL_TOKENS);
            if let Some(file) = read_json(&path)? {
                config.merge_special_tokens(&path, file, &mut declared)?;
            }
            let more: Option<BTreeMap<String, i64>> = read_json(&dir.join(ADDED_TOKENS))?;
            for (content, id) in more.into_iter().flatten() {
                let token = if config.is_special(&content) {
                    AddedToken::special(content)
                } else {
                    AddedToken::word(content)
                };
                tokens.insert(id, token);
            }
        }
        let path = dir.join(TOKENIZER);
        let tokenizer_json = read_if_there(&path)?;
        if let Some(bytes) = &tokenizer_json {
            let file: TokenizerJson = from_json(&path, bytes)?;
            file.check(&vocabulary).map_err(|problem| Error::File {
                path: path.clone(),
                problem,
            })?;
            tokens.extend(file.added_tokens.into_iter().map(|one| (one.id, one.token)));
        }
        tokens.append(&mut config.added_tokens_decoder);
        config.added_tokens_decoder = tokens;
        config
            .clean_up_tokenization_spaces
            .get_or_insert(tokenizer_json.is_none());
        let mut source = Self {
            config,
            vocabulary,
            vocab_bytes,
            tokenizer_json,
        };
        source.complete(&dir.join(VOCAB), declared)?;
        Ok(source)
    }

    /// Takes a vocabulary from memory.
    pub(super) fn from_tokens(
        tokens: impl IntoIterator<Item = impl Into<String>>,
        config: TokenizerConfig,
    ) -> Result<Self> {
        let mut text = String::new();
        for token in tokens {
            let token: String = token.into();
            if token.contains(['\n', '\r']) {
                return Err(Error::config(
                    "vocab",
                    "tokens without line breaks",
                    format!("{token:?}"),
                ));
            }
            text += &token;
            text.push('\n');
        }
        // So a vocabulary in memory and its file have the same errors.
        let path = Path::new(VOCAB);
        let vocab_bytes = text.into_bytes();
        let vocabulary = vocab::parse(path, &vocab_bytes)?;
        let mut source = Self {
            config,
            vocabulary,
            vocab_bytes,
            tokenizer_json: None,
        };
        source
            .config
            .clean_up_tokenization_spaces
            .get_or_insert(true);
        source.complete(path, Vec::new())?;
        Ok(source)
    }

    /// Adds the special tokens to the added tokens, with what was `declared`
    /// about them, and checks the ids of all.
    fn complete(&mut self, vocab_path: &Path, declared: Vec<AddedToken>) -> Result<()> {
        let problem = |problem: String| Error::File {
            path: vocab_path.to_owned(),
            problem,
        };
        let config = &mut self.config;
        let ids = &self.vocabulary.ids;
        let mut next = self.vocabulary.len as i64;
        // Where transformers would put an added token.
        let mut place = |content: &str| {
            ids.get(content).copied().unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        };
        for (&id, AddedToken { content, .. }) in &config.added_tokens_decoder {
            let place = place(content);
            if id != place {
                return Err(problem(format!(
                    "the added token `{content}` has id {id}, but its place is {place}"
                )));
            }
        }
        let added = |content: &str| {
            config
                .added_tokens_decoder
                .values()
                .any(|token| token.content == content)
        };
        let special = config.special_tokens();
        // What is unknown is found out in the vocabulary proper.
        let missing = special.iter().filter(|(name, content)| {
            !ids.contains_key(*content) && (*name == "unk_token" || !added(content))
        });
        let missing: Vec<_> = missing.map(|(_, content)| format!("`{content}`")).collect();
        if !missing.is_empty() {
            return Err(problem(format!("no special token {}", missing.join(", "))));
        }
        let special = special.map(|(_, content)| content.to_owned());
        for content in special.iter().chain(&config.additional_special_tokens) {
            let tokens = &mut config.added_tokens_decoder;
            match tokens.values_mut().find(|token| token.content == *content) {
                Some(token) => token.special = true,
                None => {
                    let declared = declared.iter().find(|token| token.content == *content);
                    let token = declared
                        .cloned()
                        .unwrap_or_else(|| AddedToken::special(content));
                    tokens.insert(place(content), token);
                }
            }
        }
        config
            .extra
            .entry("tokenizer_class")
            .or_insert_with(|| "BertTokenizer".into());
        Ok(())
    }

    /// Writes the folder's files.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).writing(dir)?;
        self.remove_others(dir)?;
        write(&dir.join(VOCAB), &self.vocab_bytes)?;
        write_json(&dir.join(CONFIG), self.config.to_map())?;
        write_json(&dir.join(SPECIAL_TOKENS), self.config.special_tokens_map())?;
        match &self.tokenizer_json {
            Some(bytes) => write(&dir.join(TOKENIZER), bytes),
            None => Ok(()),
        }
    }

    /// Removes the files of an earlier tokenizer that [`write`](Self::write) does not replace,
    /// and that would be read along with its own.
    pub(super) fn remove_others(&self, dir: &Path) -> Result<()> {
        let stale = [
            Some(ADDED_TOKENS),
            self.tokenizer_json.is_none().then_some(TOKENIZER),
        ];
        for path in stale.into_iter().flatten().map(|name| dir.join(name)) {
            if path.exists() {
                fs::remove_file(&path).writing(&path)?;
            }
        }
        Ok(())
    }
}

impl TokenizerJson {
    /// Whether this is BERT's tokenizer with the given vocabulary. What
    /// `tokenizer_config.json` says goes before the file's own settings, in
    /// transformers as here, and needs no check.
    fn check(&self, vocabulary: &Vocabulary) -> std::result::Result<(), String> {
        let model = &self.model;
        if model
            .kind
            .as_deref()
            .is_some_and(|kind| kind != "WordPiece")
        {
            return Err("its model is not WordPiece".to_owned());
        }
        if model
            .continuing_subword_prefix
            .as_deref()
            .is_some_and(|prefix| prefix != CONTINUATION)
            || model
                .max_input_chars_per_word
                .is_some_and(|limit| limit != 100)
        {
            return Err("its WordPiece is not BERT's".to_owned());
        }
        let normalizer = self.normalizer.as_ref();
        if !normalizer
            .is_some_and(|part| part.kind == "BertNormalizer" && part.clean_text != Some(false))
        {
            return Err("its normalizer is not BERT's".to_owned());
        }
        if self
            .pre_tokenizer
            .as_ref()
            .is_none_or(|part| part.kind != "BertPreTokenizer")
        {
            return Err("its pre-tokenizer is not BERT's".to_owned());
        }
        let here = model
            .vocab
            .iter()
            .filter(|(token, id)| vocabulary.ids.get(*token) != Some(id));
        let there = vocabulary
            .ids
            .iter()
            .filter(|(token, _)| !model.vocab.contains_key(*token));
        match here.chain(there).map(|(token, _)| token).min() {
            Some(token) => Err(format!(
                "its vocabulary differs from {VOCAB}'s at `{token}`"
            )),
            None => Ok(()),
        }
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match whole_file::read(path) {
        Err(Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = read_if_there(path)?;
    bytes.map(|bytes| from_json(path, &bytes)).transpose()
}

fn from_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).writing(path)
}

fn write_json(path: &Path, map: Map<String, Value>) -> Result<()> {
    json::write(path, &map)
}
