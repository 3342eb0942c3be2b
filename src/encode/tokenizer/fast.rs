//! `tokenizer.json`, the file of Hugging Face's tokenizers library: read, compared piece by
//! piece with BERT's tokenizer, and written as transformers' `BertTokenizerFast` writes it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::SpecialIds;
use super::added::AddedToken;
use super::class::Settings;
use super::config::TokenizerConfig;
use super::encoding::TruncationSide;
use super::vocab::{self, Vocabulary};
use super::word_piece::{CONTINUATION, MAX_WORD_CHARS};

/// The parts of a `tokenizer.json` that matter here.
#[derive(Deserialize)]
pub(super) struct TokenizerJson {
    /// How other programs cut rows.
    pub(super) truncation: Option<Value>,
    /// How other programs pad rows.
    pub(super) padding: Option<Value>,
    added_tokens: Option<Vec<TokenWithId>>,
    model: Model,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
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
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    vocab: HashMap<String, i64>,
}

/// The settings of a `BertNormalizer`, with those of the library where they are absent.
#[derive(Deserialize)]
struct Cleaning {
    clean_text: Option<bool>,
    handle_chinese_chars: Option<bool>,
    strip_accents: Option<bool>,
    lowercase: Option<bool>,
}

/// What is wrong with a file.
type Problem = String;

impl TokenizerJson {
    /// The content of the `vocab.txt` that has the same vocabulary.
    pub(super) fn vocab_text(&self) -> Result<String, Problem> {
        vocab::text_of(&self.model.vocab)
    }

    /// The added tokens by their ids.
    pub(super) fn added_tokens(&self) -> BTreeMap<i64, AddedToken> {
        let tokens = self.added_tokens.iter().flatten();
        tokens.map(|one| (one.id, one.token.clone())).collect()
    }

    /// Whether it cuts texts and words as BERT does, with the vocabulary given.
    pub(super) fn check(&self, vocabulary: &Vocabulary) -> Result<(), Problem> {
        let model = &self.model;
        let kind = model.kind.as_deref().unwrap_or("WordPiece");
        expect("model", kind, "WordPiece")?;
        let prefix = model.continuing_subword_prefix.as_deref();
        let limit = model.max_input_chars_per_word;
        if prefix.is_some_and(|prefix| prefix != CONTINUATION)
            || limit.is_some_and(|limit| limit != MAX_WORD_CHARS)
        {
            return Err(format!(
                "its WordPiece is not BERT's, whose pieces begin with {CONTINUATION} and whose \
                 words have at most {MAX_WORD_CHARS} characters"
            ));
        }
        if self.cleaning()?.clean_text == Some(false) {
            return Err("its normalizer does not clean texts, as BERT's does".to_owned());
        }
        expect(
            "pre-tokenizer",
            kind_of(&self.pre_tokenizer),
            "BertPreTokenizer",
        )?;
        expect("decoder", kind_of(&self.decoder), "WordPiece")?;
        let decoder = self.decoder.as_ref().unwrap_or(&Value::Null);
        let differs = |key: &str, usual: Value| !decoder[key].is_null() && decoder[key] != usual;
        if differs("prefix", CONTINUATION.into()) || differs("cleanup", true.into()) {
            return Err("its decoder is not BERT's".to_owned());
        }
        let here = model
            .vocab
            .iter()
            .filter(|(token, id)| vocabulary.ids.get(*token) != Some(id));
        let there = vocabulary
            .ids
            .iter()
            .filter(|(token, _)| !model.vocab.contains_key(*token));
        // Of an empty last line nothing depends.
        let differing = here.chain(there).map(|(token, _)| token);
        match differing.filter(|token| !token.is_empty()).min() {
            Some(token) => Err(format!(
                "its vocabulary differs from vocab.txt's at `{}`",
                token.escape_debug()
            )),
            None => Ok(()),
        }
    }

    /// Whether special tokens stand around texts as BERT has them, and unknown words become
    /// the same token as in `config`.
    pub(super) fn check_special(
        &self,
        config: &TokenizerConfig,
        ids: SpecialIds,
    ) -> Result<(), Problem> {
        if let Some(unk) = &self.model.unk_token
            && *unk != config.unk_token
        {
            return Err(format!(
                "its token for unknown words is `{}`, that of tokenizer_config.json is `{}`",
                unk.escape_debug(),
                config.unk_token.escape_debug()
            ));
        }
        let processor = self.post_processor.as_ref().unwrap_or(&Value::Null);
        let is_bert = match kind_of(&self.post_processor) {
            "TemplateProcessing" => {
                let [cls, sep] = [ids.cls, ids.sep].map(|id| json!([id]));
                let single = [(&cls, 0), (&json!("A"), 0), (&sep, 0)];
                let second = [(&json!("B"), 1), (&sep, 1)];
                is_template(processor, "single", &single)
                    && is_template(processor, "pair", &[&single[..], &second].concat())
            }
            "BertProcessing" => processor["cls"][1] == ids.cls && processor["sep"][1] == ids.sep,
            other => return expect("post-processor", other, "TemplateProcessing"),
        };
        match is_bert {
            true => Ok(()),
            false => Err(format!(
                "its post-processor does not make `{cls} text {sep}` and `{cls} text {sep} text \
                 {sep}`, with segments 0 and 1, as BERT's does",
                cls = config.cls_token.escape_debug(),
                sep = config.sep_token.escape_debug(),
            )),
        }
    }

    /// Adds to `config` what this file says. `unsaid` is whether `tokenizer_config.json` leaves
    /// out `truncation_side`, `padding_side` and `unk_token`.
    pub(super) fn settle(
        &self,
        config: &mut TokenizerConfig,
        settings: Settings,
        unsaid: [bool; 3],
    ) -> Result<(), Problem> {
        let [truncation_side, padding_side, unk_token] = unsaid;
        if settings == Settings::TokenizerJson {
            let cleaning = self.cleaning()?;
            config.do_lower_case = cleaning.lowercase.unwrap_or(true);
            config.tokenize_chinese_chars = cleaning.handle_chinese_chars.unwrap_or(true);
            config.strip_accents = cleaning.strip_accents;
            if let Some(unk) = self.model.unk_token.as_ref().filter(|_| unk_token) {
                config.unk_token = unk.clone();
            }
        }
        let on_left = |side: &Option<Value>| {
            let side = side.as_ref();
            side.is_some_and(|side| side["direction"] == "Left")
        };
        if truncation_side && on_left(&self.truncation) {
            config.truncation_side = TruncationSide::Left;
        }
        match padding_side && on_left(&self.padding) {
            true => Err("its padding is on the left, but bertfit pads on the right".to_owned()),
            false => Ok(()),
        }
    }

    /// Whether it says what the settings say, so that it can be kept as it is.
    pub(super) fn agrees(&self, config: &TokenizerConfig) -> bool {
        let same_cleaning = self.cleaning().is_ok_and(|cleaning| {
            let lowercase = cleaning.lowercase.unwrap_or(true);
            let strips = |own: Option<bool>, lowercase| own.unwrap_or(lowercase);
            lowercase == config.do_lower_case
                && cleaning.handle_chinese_chars.unwrap_or(true) == config.tokenize_chinese_chars
                && strips(cleaning.strip_accents, lowercase)
                    == strips(config.strip_accents, config.do_lower_case)
        });
        same_cleaning && self.added_tokens() == config.added_tokens_decoder
    }

    fn cleaning(&self) -> Result<Cleaning, Problem> {
        expect("normalizer", kind_of(&self.normalizer), "BertNormalizer")?;
        let normalizer = self.normalizer.as_ref().unwrap_or(&Value::Null);
        Cleaning::deserialize(normalizer).map_err(|error| format!("its normalizer: {error}"))
    }
}

/// The content of a `tokenizer.json` with these settings and the vocabulary `tokens`.
pub(super) fn content(
    config: &TokenizerConfig,
    tokens: &BTreeMap<i64, &str>,
    ids: SpecialIds,
    truncation: &Value,
    padding: &Value,
) -> Value {
    let added = config.added_tokens_decoder.iter();
    let added: Vec<Value> = added
        .map(|(id, token)| {
            json!({
                "id": id,
                "content": token.content,
                "single_word": token.single_word,
                "lstrip": token.lstrip,
                "rstrip": token.rstrip,
                "normalized": token.normalized,
                "special": token.special,
            })
        })
        .collect();
    let vocab: Map<String, Value> = tokens
        .iter()
        .map(|(&id, &token)| (token.to_owned(), id.into()))
        .collect();
    let (cls, sep) = (&config.cls_token, &config.sep_token);
    let special = |token: &str, part: i64| json!({"SpecialToken": {"id": token, "type_id": part}});
    let text = |text: &str, part: i64| json!({"Sequence": {"id": text, "type_id": part}});
    let single = [special(cls, 0), text("A", 0), special(sep, 0)];
    let pair = [&single[..], &[text("B", 1), special(sep, 1)]].concat();
    let token = |token: &str, id: i64| json!({"id": token, "ids": [id], "tokens": [token]});
    json!({
        "version": "1.0",
        "truncation": truncation,
        "padding": padding,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": config.tokenize_chinese_chars,
            "strip_accents": config.strip_accents,
            "lowercase": config.do_lower_case,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": {cls: token(cls, ids.cls), sep: token(sep, ids.sep)},
        },
        "decoder": {"type": "WordPiece", "prefix": CONTINUATION, "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": config.unk_token,
            "continuing_subword_prefix": CONTINUATION,
            "max_input_chars_per_word": MAX_WORD_CHARS,
            "vocab": vocab,
        },
    })
}

/// Whether a template has these pieces: the ids of a special token, or the name of a text,
/// each with its segment.
fn is_template(processor: &Value, name: &str, pieces: &[(&Value, i64)]) -> bool {
    let found = processor[name].as_array().map(Vec::as_slice);
    let found = found.unwrap_or_default();
    let is_piece = |(found, (piece, part)): (&Value, &(&Value, i64))| {
        let (special, text) = (&found["SpecialToken"], &found["Sequence"]);
        match special["id"].as_str() {
            Some(name) => {
                processor["special_tokens"][name]["ids"] == **piece && special["type_id"] == *part
            }
            None => text["id"] == **piece && text["type_id"] == *part,
        }
    };
    found.len() == pieces.len() && found.iter().zip(pieces).all(is_piece)
}

/// The name of a part, and `none` where there is no part.
fn kind_of(part: &Option<Value>) -> &str {
    let part = part.as_ref().unwrap_or(&Value::Null);
    part["type"].as_str().unwrap_or("none")
}

fn expect(part: &str, found: &str, usual: &str) -> Result<(), Problem> {
    match found == usual {
        true => Ok(()),
        false => Err(format!(
            "its {part} is {}, but BERT's is {usual}",
            found.escape_debug()
        )),
    }
}
