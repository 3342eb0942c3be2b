//! The readers that are fed hostile files, each with the well-formed files that these are
//! made of and the memory that it may take.

use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use bertfit::{Backbone, BertConfig, Error, Result, Tokenizer, Truncation};
use flate2::bufread::MultiGzDecoder;
use serde_json::{Value, json};

use super::checkpoint;
use super::data_files::{
    compressed, parquet, questions, read_parquet, read_questions, read_table, read_tagged, tables,
    tagged,
};
use super::mutate::{Random, mutated, mutated_safetensors};
use super::pickles::{self, mutated_pickle};

/// A reader of files.
pub struct Target {
    pub name: &'static str,
    /// Memory that it may take: so many bytes, and so many for each byte of the file.
    pub bound: (usize, usize),
    /// How often it reads a file, in one way or another.
    pub reads: u32,
    seeds: fn() -> Vec<Seed>,
    read: fn(&Path) -> Result<()>,
}

/// A file by its name and content, and the files that stand beside it.
pub struct Seed {
    name: &'static str,
    content: Vec<u8>,
    beside: Vec<(&'static str, Vec<u8>)>,
}

const KIB: usize = 1 << 10;

/// What a Parquet file may say that it holds: 64 MiB of pages, or a value for each 16 bytes of
/// them, which takes 40 and twice as much while a list grows.
const PAGES: usize = 64 << 20;

pub const TARGETS: [Target; 11] = [
    // Of `compressed` it is the text that counts. `weights` may have 1,024 small layers.
    // A field of a row takes one byte in the file and 24 in memory, twice while a list grows.
    Target {
        name: "table",
        bound: (256 * KIB, 128),
        reads: 9,
        seeds: tables,
        read: read_table,
    },
    Target {
        name: "compressed",
        bound: (256 * KIB, 128),
        reads: 9,
        seeds: compressed,
        read: read_table,
    },
    // The rows as JSON lines; and what pages say that they have is asked for before it is read.
    Target {
        name: "parquet",
        bound: (6 * PAGES, 1024),
        reads: 12,
        seeds: parquet,
        read: read_parquet,
    },
    Target {
        name: "tagged",
        bound: (256 * KIB, 128),
        reads: 6,
        seeds: tagged,
        read: read_tagged,
    },
    Target {
        name: "questions",
        bound: (256 * KIB, 128),
        reads: 3,
        seeds: questions,
        read: read_questions,
    },
    Target {
        name: "vocab",
        bound: (256 * KIB, 256),
        reads: 1,
        seeds: vocabularies,
        read: read_tokenizer,
    },
    Target {
        name: "tokenizer",
        bound: (256 * KIB, 256),
        reads: 1,
        seeds: tokenizers,
        read: read_tokenizer,
    },
    Target {
        name: "config",
        bound: (256 * KIB, 128),
        reads: 1,
        seeds: configs,
        read: read_config,
    },
    Target {
        name: "weights",
        bound: (4 << 20, 128),
        reads: 1,
        seeds: weights,
        read: read_weights,
    },
    Target {
        name: "pickle",
        bound: (4 << 20, 128),
        reads: 1,
        seeds: pickles::seeds,
        read: read_weights,
    },
    Target {
        name: "state",
        bound: (4 << 20, 128),
        reads: 1,
        seeds: checkpoint::seeds,
        read: checkpoint::read,
    },
];

/// The files of a target in a folder of their own.
pub struct Corpus {
    seeds: Vec<(PathBuf, Seed)>,
    read: fn(&Path) -> Result<()>,
}

impl Target {
    /// Writes the well-formed files below `dir`; each must be accepted.
    pub fn corpus(&self, dir: &Path) -> Corpus {
        let mut seeds = Vec::new();
        for (number, seed) in (self.seeds)().into_iter().enumerate() {
            let folder = dir.join(self.name).join(number.to_string());
            let path = folder.join(seed.name);
            for (name, content) in &seed.beside {
                write(&folder.join(name), content);
            }
            write(&path, &seed.content);
            if let Err(error) = (self.read)(&path) {
                panic!(
                    "{}: a well-formed file is refused: {}",
                    self.name,
                    error.chain()
                );
            }
            seeds.push((path, seed));
        }
        Corpus {
            seeds,
            read: self.read,
        }
    }
}

impl Corpus {
    /// Writes the file of a case; returns where, and its content.
    pub fn write(&self, seed: u64, case: u64) -> (&Path, Vec<u8>) {
        let mut random = Random::of(seed, case);
        let (path, file) = &self.seeds[random.below(self.seeds.len())];
        let (_, other) = &self.seeds[random.below(self.seeds.len())];
        let change = match path.extension().and_then(OsStr::to_str) {
            Some("safetensors") => mutated_safetensors,
            Some("bin") => mutated_pickle,
            _ => mutated,
        };
        let content = change(&mut random, &file.content, &other.content);
        write(path, &content);
        (path, content)
    }

    /// Reads what was written; `Ok(false)` if it is refused as it should be, with a
    /// message that names the file.
    pub fn read(&self, path: &Path) -> Result<bool, String> {
        let error = match (self.read)(path) {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        let message = error.chain();
        let folder = path.parent().unwrap_or(path).to_string_lossy().into_owned();
        let names = match &error {
            // Settings of the caller's.
            Error::Config { .. } | Error::OutOfMemory { .. } | Error::Torch { .. } => true,
            _ => message.contains(&folder),
        };
        match names {
            true => Ok(false),
            false => Err(format!("the message does not name the file: {message}")),
        }
    }

    /// Bytes of text in a file: those that it unpacks to, up to where it is damaged.
    pub fn text_bytes(path: &Path, content: &[u8]) -> usize {
        let mut unpacked: Box<dyn Read + '_> = match path.extension().and_then(OsStr::to_str) {
            // In pieces, as files are read: damage hides what was unpacked of its piece.
            Some("gz") => Box::new(MultiGzDecoder::new(BufReader::new(content))),
            Some("xz") => Box::new(liblzma::read::XzDecoder::new_multi_decoder(content)),
            _ => return content.len(),
        };
        let mut bytes = 0;
        let mut block = [0; 4096];
        while let Ok(read @ 1..) = unpacked.read(&mut block) {
            bytes += read;
        }
        bytes
    }

    /// Puts the well-formed file back in the place of a hostile one.
    pub fn restore(&self, path: &Path) {
        let seed = self.seeds.iter().find(|(place, _)| place == path);
        if let Some((_, seed)) = seed {
            write(path, &seed.content);
        }
    }
}

impl Seed {
    pub fn new(name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            content: content.into(),
            beside: Vec::new(),
        }
    }

    pub fn beside(mut self, files: &[(&'static str, Vec<u8>)]) -> Self {
        self.beside.extend(files.iter().cloned());
        self
    }
}

fn write(path: &Path, content: &[u8]) {
    let folder = path.parent().expect("a file is in a folder");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(path, content).expect("the folder can be written");
}

pub fn repository(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn vocabularies() -> Vec<Seed> {
    let short = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nthe\nfilm\n##é\n";
    let config = (
        "tokenizer_config.json",
        repository("model/tiny/tokenizer_config.json"),
    );
    vec![
        Seed::new("vocab.txt", short),
        Seed::new("vocab.txt", repository("model/tiny/vocab.txt")).beside(&[config]),
    ]
}

fn tokenizers() -> Vec<Seed> {
    let words = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "the", "film",
    ];
    let vocab = ("vocab.txt", words.join("\n").into_bytes());
    let ids: serde_json::Map<String, Value> = words
        .iter()
        .zip(0..)
        .map(|(word, id)| ((*word).to_owned(), json!(id)))
        .collect();
    let token = |id: usize, content: &str, strips: bool| {
        json!({"id": id, "content": content, "lstrip": strips, "rstrip": strips,
               "single_word": false, "normalized": false, "special": true})
    };
    let special = |id: &str, part: i64| json!({"SpecialToken": {"id": id, "type_id": part}});
    let text = |id: &str, part: i64| json!({"Sequence": {"id": id, "type_id": part}});
    let fast = json!({
        "version": "1.0",
        "added_tokens": [token(0, "[PAD]", false), token(4, "[MASK]", true), token(9, "[E]", true)],
        "truncation": {"direction": "Right", "max_length": 9}, "padding": null,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "lowercase": false,
                       "strip_accents": null, "handle_chinese_chars": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)],
            "pair": [special("[CLS]", 0), text("A", 0), special("[SEP]", 0),
                     text("B", 1), special("[SEP]", 1)],
            "special_tokens": {"[CLS]": {"ids": [2]}, "[SEP]": {"ids": [3]}}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    });
    let backend = (
        "tokenizer_config.json",
        json!({"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["[E]"],
               "padding_side": "right", "model_input_names": ["input_ids", "attention_mask"]})
        .to_string()
        .into_bytes(),
    );
    let more = json!({"do_lower_case": false, "strip_accents": true, "model_max_length": 512,
        "added_tokens_decoder": {"9": {"content": "[E]", "rstrip": true, "lstrip": true},
                                 "10": {"content": " ", "lstrip": true, "single_word": false}},
        "additional_special_tokens": ["[E]", {"content": "<x>", "lstrip": true}]});
    let special = json!({"mask_token": {"content": "[MASK]", "lstrip": true}, "sep_token": "[SEP]",
        "additional_special_tokens": ["[E]"]});
    let seed = |name, content: Value| {
        Seed::new(name, content.to_string()).beside(std::slice::from_ref(&vocab))
    };
    vec![
        seed("tokenizer_config.json", more),
        Seed::new(
            "tokenizer_config.json",
            repository("model/tiny/tokenizer_config.json"),
        )
        .beside(std::slice::from_ref(&vocab)),
        seed("special_tokens_map.json", special),
        seed("added_tokens.json", json!({"[E]": 9, "<y>": 10})),
        seed("tokenizer.json", fast.clone()),
        // As transformers 5 saves them: with no vocab.txt.
        Seed::new("tokenizer.json", fast.to_string()).beside(std::slice::from_ref(&backend)),
        Seed::new("tokenizer.json", fast.to_string()),
        Seed::new(backend.0, backend.1)
            .beside(&[("tokenizer.json", fast.to_string().into_bytes())]),
    ]
}

/// Reads a folder, tokenizes with it, and writes it and reads it again.
fn read_tokenizer(path: &Path) -> Result<()> {
    let dir = path.parent().expect("a file is in a folder");
    let tokenizer = Tokenizer::from_dir(dir)?;
    let texts = [
        "The film [MASK]  [E] \t was  <x>naïve中 [SEP] a\u{301}b",
        " [E]  [E] ",
        "",
    ];
    for text in texts {
        let encoding = tokenizer.encode(text, Some(" [E] a"), 40, Truncation::default())?;
        let size = tokenizer.vocab_size() as i64;
        assert!(
            encoding.input_ids.iter().all(|id| (0..size).contains(id)),
            "ids"
        );
        let length = text.chars().count().max(6);
        let outside = encoding
            .offsets
            .iter()
            .find(|(start, end)| start > end || *end > length);
        assert_eq!(outside, None, "offsets in {text:?}");
        tokenizer.decode(&encoding.input_ids, false);
    }
    tokenizer.decode(&[-1, i64::MAX, i64::MIN], true);
    let saved = tempfile::tempdir().expect("a temporary folder");
    tokenizer.save(saved.path()).expect("a saved tokenizer");
    let again = Tokenizer::from_dir(saved.path()).expect("what was written can be read");
    for text in texts {
        let encode =
            |tokenizer: &Tokenizer| tokenizer.encode(text, None, 40, Truncation::default());
        assert_eq!(
            encode(&again)?,
            encode(&tokenizer)?,
            "the same from what was written"
        );
    }
    Ok(())
}

fn configs() -> Vec<Seed> {
    let labelled = json!({"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512,
        "id2label": {"0": "a", "1": 1, "2": true}, "label2id": {"a": 0, "b": 1},
        "model_type": null, "num_labels": 3, "bertfit": {"max_length": 128}, "hidden_act": "gelu_new"});
    vec![
        Seed::new("config.json", repository("model/tiny/config.json")),
        Seed::new("config.json", labelled.to_string()),
    ]
}

fn read_config(path: &Path) -> Result<()> {
    let config = BertConfig::from_dir(path.parent().expect("a file is in a folder"))?;
    config.num_labels();
    config.class_names(path)?;
    assert!(config.head_size() > 0 && config.limits().max_length > 0);
    Ok(())
}

/// A model of a few hundred numbers.
fn weights() -> Vec<Seed> {
    let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n";
    let config = json!({"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 4, "max_position_embeddings": 8});
    let dir = tempfile::tempdir().expect("a temporary folder");
    let tokenizer = Tokenizer::from_vocab(words.lines(), Default::default()).expect("a tokenizer");
    let config: BertConfig = serde_json::from_value(config).expect("a configuration");
    let (model, ()) = Backbone::random(config, tokenizer)
        .build(|_, _| Ok(()))
        .expect("a model");
    model.save(dir.path(), |_| ()).expect("a saved model");
    let file = |name: &'static str| (name, std::fs::read(dir.path().join(name)).expect("a file"));
    let (config, vocab) = (file("config.json"), file("vocab.txt"));
    let weights = file("model.safetensors");
    vec![
        Seed::new(weights.0, weights.1.clone()).beside(&[config.clone(), vocab.clone()]),
        Seed::new(config.0, config.1).beside(&[weights, vocab]),
    ]
}

fn read_weights(path: &Path) -> Result<()> {
    let dir = path.parent().expect("a file is in a folder");
    Backbone::builder(dir).build(|_, _| Ok(())).map(|_| ())
}
