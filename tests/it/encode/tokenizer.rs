//! The tokenizer against transformers' `BertTokenizerFast`: ids, types, special
//! tokens, offsets and words must be equal, on hostile and random texts and on
//! whole data sets. The expected values are from
//! `tests/data/tokenizer/make_reference.py`, which says what each file is.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::{env, fs};

use bertfit::{Encoding, Error, RowProblem, Tokenizer, TokenizerConfig, Truncation};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::fixture::read_gz;

fn reference_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/tokenizer")
        .join(name)
}

fn model_folder() -> PathBuf {
    let models = env::var_os("BERTFIT_MODELS").expect("`.cargo/config.toml` sets BERTFIT_MODELS");
    Path::new(&models).join("all-MiniLM-L6-v2")
}

/// A tokenizer from a folder with this vocabulary and these settings.
fn from_folder(vocab: &[u8], settings: &Map<String, Value>) -> Tokenizer {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("vocab.txt"), vocab).expect("written");
    let settings = serde_json::to_vec(settings).expect("JSON");
    fs::write(dir.path().join("tokenizer_config.json"), settings).expect("written");
    Tokenizer::from_dir(dir.path()).expect("a good folder")
}

#[derive(Deserialize)]
struct Head {
    chars: Vec<String>,
    settings: HashMap<String, Map<String, Value>>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    text: Option<String>,
    pair: Option<String>,
    words: Option<Vec<String>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    limit: usize,
    strategy: Truncation,
    encoding: Option<Expected>,
    decoded: Option<[String; 2]>,
}

/// Compact: `offsets` is flat, types and special tokens are digits, no word is -1.
#[derive(Debug, PartialEq, Deserialize)]
struct Expected {
    ids: Vec<i64>,
    types: String,
    special: String,
    offsets: Vec<usize>,
    words: Vec<i64>,
    truncated: usize,
}

impl From<&Encoding> for Expected {
    fn from(encoding: &Encoding) -> Self {
        let words = encoding.word_ids.iter();
        Self {
            ids: encoding.input_ids.clone(),
            types: encoding.token_type_ids.iter().map(i64::to_string).collect(),
            special: flags(encoding),
            offsets: encoding
                .offsets
                .iter()
                .flat_map(|&(start, end)| [start, end])
                .collect(),
            words: words
                .map(|word| word.map_or(-1, |word| word as i64))
                .collect(),
            truncated: encoding.truncated,
        }
    }
}

fn flags(encoding: &Encoding) -> String {
    encoding
        .special_tokens_mask
        .iter()
        .map(|&flag| if flag { '1' } else { '0' })
        .collect()
}

#[test]
fn hostile_and_random_texts_are_encoded_as_by_transformers() {
    let text = read_gz(&reference_file("reference.jsonl.gz"));
    let (head, rows) = text.split_once('\n').expect("more than one line");
    let Head { chars, settings } = serde_json::from_str(head).expect("the first line");
    let chars: String = chars.into_iter().map(|token| token + "\n").collect();
    let model_vocab = fs::read(model_folder().join("vocab.txt")).expect("the small model");
    let mut tokenizers: HashMap<_, _> = settings
        .iter()
        .map(|(name, settings)| {
            let of_model = name.starts_with("model");
            let vocab = if of_model {
                &model_vocab
            } else {
                chars.as_bytes()
            };
            (name.clone(), from_folder(vocab, settings))
        })
        .collect();
    let model = Tokenizer::from_dir(&model_folder()).expect("the small model");
    tokenizers.insert("model".to_owned(), model);

    let mut cases = BTreeMap::<&str, usize>::new();
    for row in rows.lines() {
        let row: Row = serde_json::from_str(row).expect("a row");
        for case in &row.cases {
            let tokenizer = &tokenizers[&case.tokenizer];
            let context = || format!("{:?} by {}, {}", row.name, case.tokenizer, case.limit);
            let encoded = match (&row.words, &row.text) {
                (Some(words), _) => tokenizer.encode_words(words, case.limit),
                (None, Some(text)) => {
                    tokenizer.encode(text, row.pair.as_deref(), case.limit, case.strategy)
                }
                (None, None) => panic!("{}: neither text nor words", context()),
            };
            let Some(expected) = &case.encoding else {
                let error = encoded.expect_err(&context());
                let problem = RowProblem::Truncation {
                    length: 0,
                    limit: 0,
                    strategy: "",
                };
                let Error::Row {
                    row: 0,
                    problem: found,
                } = error
                else {
                    panic!("{error}")
                };
                assert_eq!(
                    std::mem::discriminant(&found),
                    std::mem::discriminant(&problem)
                );
                *cases.entry("refused").or_default() += 1;
                continue;
            };
            let encoded = encoded.unwrap_or_else(|error| panic!("{}: {error}", context()));
            assert_eq!(
                Expected::from(&encoded),
                *expected,
                "{}: {:?}",
                context(),
                row.text
            );
            for (skip, decoded) in [false, true].into_iter().zip(case.decoded.iter().flatten()) {
                assert_eq!(
                    tokenizer.decode(&encoded.input_ids, skip),
                    *decoded,
                    "{}",
                    context()
                );
                *cases.entry("decoded").or_default() += 1;
            }
            let kind = match (&row.words, &row.pair) {
                (Some(_), _) => "words",
                (None, Some(_)) => "pairs",
                (None, None) => "texts",
            };
            *cases.entry(kind).or_default() += 1;
        }
    }
    // Not an empty loop: every kind of case was met.
    for kind in ["texts", "pairs", "words", "refused", "decoded"] {
        assert!(
            cases.get(kind).is_some_and(|&count| count > 500),
            "{cases:?}"
        );
    }
}

/// A lone surrogate is no character and cannot be in a `str`. JSON can spell
/// one; a reader of JSON must refuse that line, as serde_json does, and not
/// put something else in its place, which would shift all offsets.
#[test]
fn lone_surrogates_are_refused_by_the_reader() {
    let file = fs::File::open(reference_file("hostile.jsonl")).expect("the hostile texts");
    let mut refused = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.expect("ASCII");
        if serde_json::from_str::<Value>(&line).is_err() {
            refused.push(line);
        }
    }
    assert_eq!(refused.len(), 4);
    assert!(
        refused.iter().all(|line| line.contains("\"lone surrogate")),
        "{refused:?}"
    );
}

/// One data set with one tokenizer: digests of 500 encodings each.
#[derive(Deserialize)]
struct Block {
    file: String,
    kind: String,
    tokenizer: String,
    limit: usize,
    rows: usize,
    digests: Vec<String>,
}

/// Checks the data sets whose file `find` knows; returns how many rows.
fn check_data_sets(find: impl Fn(&str) -> Option<PathBuf>) -> usize {
    let text = fs::read_to_string(reference_file("blocks.json")).expect("the digests");
    let blocks: Vec<Block> = serde_json::from_str(&text).expect("JSON");
    let model = Tokenizer::from_dir(&model_folder()).expect("the small model");
    let vocab = fs::read(model_folder().join("vocab.txt")).expect("the small model");
    let settings = Map::from_iter([("do_lower_case".to_owned(), Value::Bool(false))]);
    let cased = from_folder(&vocab, &settings);
    let mut rows = 0;
    for block in &blocks {
        let Some(path) = find(&block.file) else {
            continue;
        };
        let text = match path.extension() {
            Some(extension) if extension == "gz" => read_gz(&path),
            _ => fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        };
        let tokenizer = if block.tokenizer == "model" {
            &model
        } else {
            &cased
        };
        let encodings = encode_file(tokenizer, &text, &block.kind, block.limit);
        assert_eq!(encodings.len(), block.rows, "{} {}", block.file, block.kind);
        assert_eq!(block.digests.len(), block.rows.div_ceil(500));
        for (index, (part, expected)) in encodings.chunks(500).zip(&block.digests).enumerate() {
            let lines: String = part.iter().map(line).collect();
            let Block {
                file,
                kind,
                tokenizer,
                ..
            } = block;
            let at = 500 * index;
            assert_eq!(
                digest(&lines),
                *expected,
                "{file}, {kind}, {tokenizer}: from row {at}"
            );
        }
        rows += block.rows;
    }
    rows
}

fn encode_file(tokenizer: &Tokenizer, text: &str, kind: &str, limit: usize) -> Vec<Encoding> {
    let strategy = Truncation::LongestFirst;
    let first = |row: &str| row.split('\t').next().unwrap_or_default().to_owned();
    let encoded = match kind {
        "text" | "pair" => {
            let texts: Vec<_> = text
                .trim_end_matches('\n')
                .split('\n')
                .skip(1)
                .map(first)
                .collect();
            if kind == "text" {
                tokenizer.encode_batch(&texts, limit, strategy)
            } else {
                let pairs: Vec<_> = texts.windows(2).map(|two| (&two[0], &two[1])).collect();
                tokenizer.encode_batch(&pairs, limit, strategy)
            }
        }
        _ => {
            let sentences = text.split("\n\n").map(|one| one.trim_matches('\n'));
            let sentences = sentences.filter(|one| !one.is_empty());
            let words = sentences.map(|one| one.split('\n').map(first).collect::<Vec<_>>());
            if kind == "words" {
                words
                    .map(|words| tokenizer.encode_words(&words, limit))
                    .collect()
            } else {
                let texts: Vec<_> = words.map(|words| words.join(" ")).collect();
                tokenizer.encode_batch(&texts, limit, strategy)
            }
        }
    };
    encoded.expect("real text")
}

/// The same line as in `make_reference.py`.
fn line(encoding: &Encoding) -> String {
    let join = |parts: Vec<String>| parts.join(",");
    let types: String = encoding.token_type_ids.iter().map(i64::to_string).collect();
    let offsets = encoding
        .offsets
        .iter()
        .map(|(start, end)| format!("{start}-{end}"));
    let words = encoding.word_ids.iter();
    let words = words.map(|word| word.map_or("-".to_owned(), |word| word.to_string()));
    format!(
        "{};{types};{};{};{}\n",
        join(encoding.input_ids.iter().map(i64::to_string).collect()),
        flags(encoding),
        join(offsets.collect()),
        join(words.collect()),
    )
}

fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes[..8].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("strings take everything");
        hex
    })
}

#[test]
fn the_sentences_of_the_examples_are_encoded_as_by_transformers() {
    let rows = check_data_sets(|file| {
        let name = file.strip_prefix("sentiment-sentences/")?;
        Some(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("examples/data")
                .join(name),
        )
    });
    assert_eq!(rows, 3 * 3000 - 3);
}

/// Data sets that are not in the repository: `BERTFIT_DATA` names a folder with
/// `sst2/{train.tsv.gz,dev.tsv}` and `ner/{train,dev,test}.conll` (WNUT-17).
#[test]
fn whole_data_sets_are_encoded_as_by_transformers() {
    let Some(data) = env::var_os("BERTFIT_DATA") else {
        eprintln!("NOT RUN: BERTFIT_DATA is not set; it should name a folder with sst2 and ner");
        return;
    };
    let rows = check_data_sets(|file| {
        (!file.starts_with("sentiment-sentences/")).then(|| Path::new(&data).join(file))
    });
    assert_eq!(rows, 2 * 67_349 + 3 * 872 - 1 + 4 * (3394 + 1009 + 1287));
}

proptest! {
    #[test]
    fn any_text_is_encoded_with_offsets_inside_it(
        text in any::<String>(),
        pair in proptest::option::of("(\\PC|[\\[\\]#SEP \u{300}-\u{303}]){0,20}"),
        limit in 3..40_usize,
    ) {
        let vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "e", "##e", "["];
        let tokenizer = Tokenizer::from_vocab(vocab, TokenizerConfig::default()).expect("good");
        let encoding = tokenizer
            .encode(&text, pair.as_deref(), limit, Truncation::LongestFirst)
            .expect("longest_first never fails");
        prop_assert!(encoding.len() <= limit);
        let chars = [text.chars().count(), pair.as_deref().unwrap_or("").chars().count()];
        let mut last = (0, 0, 0);
        for (place, part) in encoding.sequence_ids().enumerate() {
            prop_assert!((0..vocab.len() as i64).contains(&encoding.input_ids[place]));
            let (start, end) = encoding.offsets[place];
            let Some(part) = part else {
                prop_assert_eq!((start, end, encoding.word_ids[place]), (0, 0, None));
                continue;
            };
            let word = encoding.word_ids[place].expect("each token of a text has a word");
            prop_assert!(start < end && end <= chars[part]);
            // Tokens are in the order of the text, and so are words.
            prop_assert!((part, word, start) >= last);
            last = (part, word, start);
        }
    }
}
