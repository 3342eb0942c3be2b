//! A tokenizer's folder: which files there are, what each of them says about
//! added tokens, and whether they agree; and the same folder written again.
//!
//! Read are `vocab.txt`, `tokenizer_config.json`, and, as transformers does,
//! `tokenizer.json` and the older `special_tokens_map.json` and
//! `added_tokens.json`. Of `vocab.txt` and `tokenizer.json` one is enough; where
//! there are both, they must describe the same tokenizer.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, PathContext, Result};
use crate::json;
use crate::whole_file;

use super::SpecialIds;
use super::added::AddedToken;
use super::class::{self, Settings};
use super::config::TokenizerConfig;
use super::fast::{self, TokenizerJson};
use super::vocab::{self, Vocabulary};

const VOCAB: &str = "vocab.txt";
pub(super) const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";
const TOKENIZER: &str = "tokenizer.json";

/// All that a tokenizer is made of, checked.
pub(super) struct Source {
    /// With every added token in `added_tokens_decoder`.
    pub(super) config: TokenizerConfig,
    pub(super) vocabulary: Vocabulary,
    /// `vocab.txt` as it is, or as it would be.
    pub(super) vocab_bytes: Vec<u8>,
    tokenizer_json: Kept,
}

/// What is known of the `tokenizer.json` to be written.
enum Kept {
    /// All of it: one that was read and says what the other files say.
    Whole(Vec<u8>),
    /// What only other programs use; the rest follows from the settings.
    Parts { truncation: Value, padding: Value },
}

impl Source {
    /// Reads a folder.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let json_path = dir.join(TOKENIZER);
        let refused = |problem: String| Error::File {
            path: json_path.clone(),
            problem,
        };
        let json_bytes = read_if_there(&json_path)?;
        let fast: Option<TokenizerJson> = match &json_bytes {
            Some(bytes) => Some(from_json(&json_path, bytes)?),
            None => None,
        };
        let (vocab_path, vocab_bytes) = match (read_if_there(&dir.join(VOCAB))?, &fast) {
            (Some(bytes), _) => (dir.join(VOCAB), bytes),
            (None, Some(fast)) => {
                let text = fast.vocab_text().map_err(refused)?;
                (json_path.clone(), text.into_bytes())
            }
            (None, None) => return Err(no_tokenizer(dir)),
        };
        let vocabulary = vocab::parse(&vocab_path, &vocab_bytes)?;
        if let Some(fast) = &fast {
            fast.check(&vocabulary).map_err(refused)?;
        }
        let Read {
            config,
            declared,
            lower_cases_unasked,
        } = read_config(dir, fast.as_ref())?;
        let mut source = Self {
            config,
            vocabulary,
            vocab_bytes,
            tokenizer_json: Kept::nothing(),
        };
        source.complete(&vocab_path, declared)?;
        if let (Some(fast), Some(bytes)) = (fast, json_bytes) {
            let special = source.special_ids();
            fast.check_special(&source.config, special)
                .map_err(refused)?;
            source.tokenizer_json = match fast.agrees(&source.config) {
                true => Kept::Whole(bytes),
                false => Kept::Parts {
                    truncation: fast.truncation.unwrap_or_default(),
                    padding: fast.padding.unwrap_or_default(),
                },
            };
        }
        if lower_cases_unasked {
            source.warn_of_capitals(&vocab_path, &dir.join(CONFIG));
        }
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
            tokenizer_json: Kept::nothing(),
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
                    "the added token `{}` has id {id}, but its place is {place}",
                    content.escape_debug()
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
        let missing: Vec<_> = missing
            .map(|(_, content)| format!("`{}`", content.escape_debug()))
            .collect();
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

    /// The ids of the special tokens, which a complete source has.
    pub(super) fn special_ids(&self) -> SpecialIds {
        let config = &self.config;
        let tokens = &config.added_tokens_decoder;
        let id = |content: &str| {
            let mut found = tokens.iter().filter(|(_, token)| token.content == content);
            *found
                .next_back()
                .expect("a complete source has its special tokens")
                .0
        };
        SpecialIds {
            pad: id(&config.pad_token),
            cls: id(&config.cls_token),
            sep: id(&config.sep_token),
            mask: id(&config.mask_token),
        }
    }

    /// A vocabulary with capitals is of a cased model, whose folder should say so.
    fn warn_of_capitals(&self, vocab_path: &Path, config_path: &Path) {
        if let (count, Some(first)) = self.vocabulary.with_capitals() {
            log::warn!(
                "{}: {count} of {} tokens have capitals, such as {first:?}, and are never found, \
                 since texts are brought to lower case, as transformers does by default; if the \
                 model is cased, write {{\"do_lower_case\": false}} to {}, else {{\"do_lower_case\": \
                 true}}",
                vocab_path.display(),
                self.vocabulary.ids.len(),
                config_path.display()
            );
        }
    }

    /// Writes the folder's files; `tokens` is the vocabulary.
    pub(super) fn write(&self, dir: &Path, tokens: &BTreeMap<i64, &str>) -> Result<()> {
        fs::create_dir_all(dir).writing(dir)?;
        self.remove_others(dir)?;
        write(&dir.join(VOCAB), &self.vocab_bytes)?;
        json::write(&dir.join(CONFIG), &self.config.to_map())?;
        json::write(&dir.join(SPECIAL_TOKENS), &self.config.special_tokens_map())?;
        let path = dir.join(TOKENIZER);
        match &self.tokenizer_json {
            Kept::Whole(bytes) => write(&path, bytes),
            Kept::Parts {
                truncation,
                padding,
            } => {
                let ids = self.special_ids();
                let content = fast::content(&self.config, tokens, ids, truncation, padding);
                json::write(&path, &content)
            }
        }
    }

    /// Removes the file of an earlier tokenizer that [`write`](Self::write) does not replace,
    /// and that would be read along with its own.
    pub(super) fn remove_others(&self, dir: &Path) -> Result<()> {
        let path = dir.join(ADDED_TOKENS);
        match path.exists() {
            true => fs::remove_file(&path).writing(&path),
            false => Ok(()),
        }
    }
}

/// What the files say besides the vocabulary.
struct Read {
    config: TokenizerConfig,
    /// Special tokens that a file describes.
    declared: Vec<AddedToken>,
    /// Whether texts are brought to lower case because nothing says otherwise.
    lower_cases_unasked: bool,
}

/// Reads the settings and the added tokens of a folder with this `tokenizer.json`.
fn read_config(dir: &Path, fast: Option<&TokenizerJson>) -> Result<Read> {
    let path = dir.join(CONFIG);
    let mut file: Map<String, Value> = read_json(&path)?.unwrap_or_default();
    let settings = class::settle(dir, &mut file)?;
    let unsaid = |key: &str| file.get(key).is_none_or(Value::is_null);
    let lower_cases_unasked = settings == Settings::Config && unsaid("do_lower_case");
    let unsaid = ["truncation_side", "padding_side", "unk_token"].map(unsaid);
    let mut declared = Vec::new();
    let mut config = TokenizerConfig::from_map(&path, file, &mut declared)?;
    // Since it lists all added tokens, the older files have no say.
    let mut tokens = match config.added_tokens_decoder.is_empty() {
        true => older_tokens(dir, &mut config, &mut declared)?,
        false => BTreeMap::new(),
    };
    if let Some(fast) = fast {
        tokens.append(&mut fast.added_tokens());
        fast.settle(&mut config, settings, unsaid)
            .map_err(|problem| Error::File {
                path: dir.join(TOKENIZER),
                problem,
            })?;
    } else if settings == Settings::TokenizerJson {
        let problem = format!(
            "its `tokenizer_class` has its settings in {TOKENIZER}, which is not there: expected \
             BertTokenizer"
        );
        return Err(Error::File { path, problem });
    }
    tokens.append(&mut config.added_tokens_decoder);
    config.added_tokens_decoder = tokens;
    config
        .clean_up_tokenization_spaces
        .get_or_insert(fast.is_none());
    Ok(Read {
        config,
        declared,
        lower_cases_unasked,
    })
}

/// The added tokens of the older files, which may also name other special tokens.
fn older_tokens(
    dir: &Path,
    config: &mut TokenizerConfig,
    declared: &mut Vec<AddedToken>,
) -> Result<BTreeMap<i64, AddedToken>> {
    let path = dir.join(SPECIAL_TOKENS);
    if let Some(file) = read_json(&path)? {
        config.merge_special_tokens(&path, file, declared)?;
    }
    let more: Option<BTreeMap<String, i64>> = read_json(&dir.join(ADDED_TOKENS))?;
    let token = |(content, id): (String, i64)| match config.is_special(&content) {
        true => (id, AddedToken::special(content)),
        false => (id, AddedToken::word(content)),
    };
    Ok(more.into_iter().flatten().map(token).collect())
}

fn no_tokenizer(dir: &Path) -> Error {
    Error::File {
        path: dir.to_owned(),
        problem: format!("no tokenizer: {VOCAB} or {TOKENIZER} is needed, and neither is there"),
    }
}

impl Kept {
    fn nothing() -> Self {
        Self::Parts {
            truncation: Value::Null,
            padding: Value::Null,
        }
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match whole_file::read(path) {
        Err(Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// The content of a JSON file, if it is there.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
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
