//! Folders as transformers 4 and 5 save tokenizers, and as people have them: read with the same
//! ids, written so that both load them again, or refused by name. The folders and ids are from
//! `tests/data/tokenizer/make_folders.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bertfit::{Limits, TextEncoder, Tokenizer, Truncation};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::fixture::data;
use crate::log_lines::warnings;

#[derive(Deserialize)]
struct Folders {
    texts: Vec<Texts>,
    folders: BTreeMap<String, Folder>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Pair(String, String),
}

#[derive(Deserialize)]
struct Folder {
    files: Map<String, Value>,
    /// Ids and segments of each text, by the release of transformers.
    encodings: BTreeMap<String, Option<Vec<[Vec<i64>; 2]>>>,
}

fn folders() -> Folders {
    let text = fs::read_to_string(data("tokenizer/folders.json")).expect("the folders");
    serde_json::from_str(&text).expect("JSON")
}

/// The files of a folder by their names.
pub fn files_of(name: &str) -> Map<String, Value> {
    folders()
        .folders
        .remove(name)
        .expect("a folder of the name")
        .files
}

fn written(files: &Map<String, Value>) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(files, dir.path());
    dir
}

pub fn write(files: &Map<String, Value>, dir: &Path) {
    for (name, content) in files {
        let text = content.as_str().map_or(content.to_string(), str::to_owned);
        fs::write(dir.join(name), text).expect("a file");
    }
}

fn load(files: &Map<String, Value>) -> Tokenizer {
    Tokenizer::from_dir(written(files).path()).expect("a good folder")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// The ids and the segments that a model gets of each text.
fn encoded(tokenizer: &Tokenizer, texts: &[Texts]) -> Vec<[Vec<i64>; 2]> {
    let limits = Limits {
        vocab_size: 32,
        max_length: 64,
        // So many as each of these folders needs at least.
        type_vocab_size: if tokenizer.has_segments() { 2 } else { 1 },
    };
    let encoder = TextEncoder::new(tokenizer.clone(), limits, 64, Truncation::default());
    let encoder = encoder.expect("an encoder");
    let one = |texts: &Texts| {
        let (text, pair) = match texts {
            Texts::One(text) => (text, None),
            Texts::Pair(text, pair) => (text, Some(pair.as_str())),
        };
        let encoding = tokenizer.encode(text, pair, 64, Truncation::default());
        let inputs = encoder
            .inputs(&[encoding.expect("it fits")])
            .expect("inputs");
        [inputs.input_ids(), inputs.token_type_ids()]
            .map(|tensor| Vec::<i64>::try_from(tensor.view(-1)).expect("ids"))
    };
    texts.iter().map(one).collect()
}

#[test]
fn folders_of_both_releases_give_the_ids_of_transformers_and_so_does_what_is_saved() {
    let Folders { texts, folders } = folders();
    assert_eq!(folders.len(), 8);
    for (name, folder) in folders {
        let tokenizer = load(&folder.files);
        // Of release 4 where it loads the folder; they differ in the segments of generic_4.
        let expected = folder.encodings.values().flatten().next();
        let expected = expected.expect("one loads it");
        assert_eq!(&encoded(&tokenizer, &texts), expected, "{name}");

        let saved = tempfile::tempdir().expect("a temporary folder");
        tokenizer.save(saved.path()).expect("a saved tokenizer");
        for file in ["vocab.txt", "tokenizer.json"] {
            assert!(saved.path().join(file).exists(), "{name}: {file}");
        }
        let class = &read(&saved.path().join("tokenizer_config.json"))["tokenizer_class"];
        assert_eq!(class, "BertTokenizer");
        let again = Tokenizer::from_dir(saved.path()).expect("the same tokenizer");
        assert_eq!(&encoded(&again, &texts), expected, "{name}, saved");
        // Of one of the two files the same comes out.
        for left_out in ["vocab.txt", "tokenizer.json"] {
            fs::remove_file(saved.path().join(left_out)).expect("it is there");
            let one = Tokenizer::from_dir(saved.path()).expect("the other is enough");
            assert_eq!(
                &encoded(&one, &texts),
                expected,
                "{name} without {left_out}"
            );
            assert_eq!(one.config(), again.config(), "{name} without {left_out}");
            tokenizer.save(saved.path()).expect("a saved tokenizer");
        }
    }
}

/// All of it: normalizer, pre-tokenizer, post-processor, decoder, added tokens and model.
#[test]
fn a_tokenizer_json_that_is_not_there_is_written_as_transformers_writes_it() {
    for name in ["bert_4", "accents_4", "tokens_4"] {
        let mut files = files_of(name);
        let expected = files.remove("tokenizer.json").expect("it has one");
        let saved = tempfile::tempdir().expect("a temporary folder");
        load(&files).save(saved.path()).expect("a saved tokenizer");
        assert_eq!(
            read(&saved.path().join("tokenizer.json")),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_tokenizer_json_is_kept_where_it_says_what_counts_and_else_mended() {
    let saved_json = |files: &Map<String, Value>| {
        let saved = tempfile::tempdir().expect("a temporary folder");
        load(files).save(saved.path()).expect("a saved tokenizer");
        read(&saved.path().join("tokenizer.json"))
    };
    for name in ["bert_5", "tokens_5", "generic_4", "generic_5"] {
        let files = files_of(name);
        assert_eq!(saved_json(&files), files["tokenizer.json"], "{name}");
    }
    // transformers lower-cases there, whatever tokenizer.json says, and saves so.
    let mut files = files_of("uncased_by_default");
    files["tokenizer.json"]["truncation"] = json!({"direction": "Right", "max_length": 9});
    let mut expected = files["tokenizer.json"].clone();
    assert_eq!(expected["normalizer"]["lowercase"], false);
    expected["normalizer"]["lowercase"] = json!(true);
    assert_eq!(saved_json(&files), expected);
}

#[test]
fn the_vocabulary_of_a_tokenizer_json_may_be_out_of_order_and_have_gaps() {
    let mut files = files_of("bert_5");
    let vocab = &mut files["tokenizer.json"]["model"]["vocab"];
    // As of a vocab.txt with `unused` on two lines: the later counts.
    let vocab = vocab.as_object_mut().expect("tokens");
    let unused = vocab.shift_remove("[unused1]").expect("a token");
    assert_eq!(unused, 1);
    vocab.sort_keys();
    let tokenizer = load(&files);
    assert_eq!(tokenizer.id_to_token(1), None);
    let saved = tempfile::tempdir().expect("a temporary folder");
    tokenizer.save(saved.path()).expect("a saved tokenizer");
    let (again, warned) = warnings(|| Tokenizer::from_dir(saved.path()));
    let texts = folders().texts;
    let again = again.expect("the same tokenizer");
    assert_eq!(encoded(&again, &texts), encoded(&tokenizer, &texts));
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].ends_with("is also on line 2; the later one counts"),
        "{warned:?}"
    );
}

#[test]
fn null_is_absent() {
    let mut files = files_of("bert_4");
    let expected = load(&files);
    for (key, null) in [
        ("tokenize_chinese_chars", Value::Null),
        ("model_max_length", Value::Null),
        ("truncation_side", Value::Null),
        ("unk_token", Value::Null),
        ("additional_special_tokens", Value::Null),
        ("extra_special_tokens", Value::Null),
        ("tokenizer_class", Value::Null),
        ("padding_side", Value::Null),
        ("model_input_names", Value::Null),
    ] {
        files["tokenizer_config.json"][key] = null;
    }
    files["special_tokens_map.json"]["mask_token"] = Value::Null;
    files["config.json"]["tokenizer_class"] = Value::Null;
    for key in ["truncation", "padding"] {
        files["tokenizer.json"][key] = Value::Null;
    }
    let texts = folders().texts;
    assert_eq!(encoded(&load(&files), &texts), encoded(&expected, &texts));
    files["tokenizer_config.json"]["added_tokens_decoder"] = Value::Null;
    assert_eq!(encoded(&load(&files), &texts), encoded(&expected, &texts));
}

/// The last row is the file, where the change is, and the value there.
#[test]
fn what_transformers_would_honour_and_bertfit_does_not_is_refused_by_name() {
    let template = json!({"type": "TemplateProcessing", "single": [
        {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [], "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": [4], "tokens": ["[SEP]"]}}});
    let cases = [
        (
            "tokenizer_config.json/tokenizer_class",
            json!("BertJapaneseTokenizer"),
            "tokenizer_config.json: `tokenizer_class` is BertJapaneseTokenizer, which does not",
        ),
        (
            "tokenizer_config.json/tokenizer_class",
            json!("Roberta\nTokenizer"),
            r"tokenizer_config.json: `tokenizer_class` is Roberta\nTokenizer, which does not",
        ),
        (
            "tokenizer_config.json/word_tokenizer_type",
            json!("mecab"),
            "tokenizer_config.json: `word_tokenizer_type` is mecab, which bertfit does not have: \
             expected basic",
        ),
        (
            "tokenizer_config.json/subword_tokenizer_type",
            json!("character"),
            "tokenizer_config.json: `subword_tokenizer_type` is character, which bertfit does",
        ),
        (
            "tokenizer_config.json/padding_side",
            json!("left"),
            "tokenizer_config.json: `padding_side` is left, but bertfit pads on the right",
        ),
        (
            "tokenizer_config.json/model_input_names",
            json!(["input_ids"]),
            "tokenizer_config.json: `model_input_names` has no attention_mask",
        ),
        (
            "tokenizer_config.json/unk_token",
            json!("[PAD]"),
            "tokenizer.json: its token for unknown words is `[UNK]`, that of \
             tokenizer_config.json is `[PAD]`",
        ),
        (
            "tokenizer.json/padding",
            json!({"direction": "Left"}),
            "tokenizer.json: its padding is on the left, but bertfit pads on the right",
        ),
        (
            "tokenizer.json/model/type",
            json!("BPE"),
            "tokenizer.json: its model is BPE, but BERT's is WordPiece",
        ),
        (
            "tokenizer.json/model/max_input_chars_per_word",
            json!(200),
            "tokenizer.json: its WordPiece is not BERT's",
        ),
        (
            "tokenizer.json/normalizer",
            json!({"type": "Sequence", "normalizers": [{"type": "NFC"}]}),
            "tokenizer.json: its normalizer is Sequence, but BERT's is BertNormalizer",
        ),
        (
            "tokenizer.json/normalizer",
            Value::Null,
            "tokenizer.json: its normalizer is none, but BERT's is BertNormalizer",
        ),
        (
            "tokenizer.json/normalizer/clean_text",
            json!(false),
            "tokenizer.json: its normalizer does not clean texts, as BERT's does",
        ),
        (
            "tokenizer.json/normalizer/lowercase",
            json!("yes"),
            "tokenizer.json: its normalizer: invalid type: string \"yes\", expected a boolean",
        ),
        (
            "tokenizer.json/pre_tokenizer",
            json!({"type": "Whitespace"}),
            "tokenizer.json: its pre-tokenizer is Whitespace, but BERT's is BertPreTokenizer",
        ),
        (
            "tokenizer.json/post_processor",
            Value::Null,
            "tokenizer.json: its post-processor is none, but BERT's is TemplateProcessing",
        ),
        (
            "tokenizer.json/post_processor",
            template,
            "tokenizer.json: its post-processor does not make `[CLS] text [SEP]` and",
        ),
        (
            "tokenizer.json/post_processor/pair/3/Sequence/type_id",
            json!(0),
            "tokenizer.json: its post-processor does not make `[CLS] text [SEP]` and",
        ),
        (
            "tokenizer.json/post_processor",
            json!({"type": "BertProcessing", "cls": ["[CLS]", 4], "sep": ["[SEP]", 3]}),
            "tokenizer.json: its post-processor does not make `[CLS] text [SEP]` and",
        ),
        (
            "tokenizer.json/decoder",
            json!({"type": "BPEDecoder"}),
            "tokenizer.json: its decoder is BPEDecoder, but BERT's is WordPiece",
        ),
        (
            "tokenizer.json/decoder/cleanup",
            json!(false),
            "tokenizer.json: its decoder is not BERT's",
        ),
        (
            "tokenizer.json/model/vocab/film",
            json!(8),
            r#"tokenizer.json: "Film" and "film" both have the id 8"#,
        ),
        (
            "tokenizer.json/model/vocab/film",
            json!(-1),
            r#"tokenizer.json: the id of "film" is -1: expected 0 to 16777215"#,
        ),
        (
            "tokenizer.json/model/vocab/film",
            json!(1e300),
            "tokenizer.json is not valid",
        ),
        (
            "tokenizer.json/model/vocab/film",
            json!(4_000_000_000_u64),
            r#"tokenizer.json: the id of "film" is 4000000000: expected 0 to 16777215"#,
        ),
        (
            "tokenizer.json/model/vocab/film",
            json!(16_000_000),
            "tokenizer.json: its vocabulary has 25 tokens and ids up to 16000000: most ids have",
        ),
        (
            "tokenizer.json/model/vocab",
            json!(["[PAD]", "[UNK]"]),
            "tokenizer.json is not valid",
        ),
        (
            "tokenizer.json/model/vocab",
            json!({}),
            "tokenizer.json: no tokens",
        ),
        (
            "tokenizer.json/model/vocab",
            json!({"a\nb": 0}),
            r#"tokenizer.json: the token "a\nb" has a line break, which no vocab.txt can hold"#,
        ),
        (
            "tokenizer.json/model/vocab",
            json!({"film": 0}),
            "tokenizer.json: the added token `[PAD]` has id 0, but its place is 1",
        ),
        (
            "tokenizer.json/added_tokens/0/id",
            json!(7),
            "tokenizer.json: the added token `[PAD]` has id 7, but its place is 0",
        ),
    ];
    for (place, value, message) in cases {
        let mut files = files_of("bert_5");
        let (file, path) = place.split_once('/').expect("a file and a place in it");
        let (parent, key) = path
            .rsplit_once('/')
            .map_or(("", path), |(parent, key)| (parent, key));
        let parent = if parent.is_empty() {
            String::new()
        } else {
            format!("/{parent}")
        };
        let parent = files[file]
            .pointer_mut(&parent)
            .expect("the place is there");
        parent[key] = value;
        let dir = written(&files);
        let error = Tokenizer::from_dir(dir.path())
            .expect_err(message)
            .to_string();
        let said = error.strip_prefix(&format!("{}/", dir.path().display()));
        assert!(
            said.is_some_and(|said| said.starts_with(message)),
            "{place}: {error}"
        );
    }
}

/// As the published Japanese models: the class stands in the model's configuration alone.
#[test]
fn the_class_may_stand_in_the_configuration_of_the_model() {
    let mut files = files_of("bert_4");
    files["tokenizer_config.json"] = json!({"do_lower_case": false});
    files["config.json"]["tokenizer_class"] = json!("BertJapaneseTokenizer");
    let dir = written(&files);
    let error = Tokenizer::from_dir(dir.path())
        .expect_err("another tokenizer")
        .to_string();
    let path = dir.path().join("config.json");
    let start = format!(
        "{}: `tokenizer_class` is BertJapaneseTokenizer",
        path.display()
    );
    assert!(error.starts_with(&start), "{error}");
    // That of the tokenizer's own file goes before it.
    files["tokenizer_config.json"]["tokenizer_class"] = json!("BertTokenizerFast");
    load(&files);
    // Without tokenizer.json its settings are nowhere.
    files.shift_remove("tokenizer.json");
    files["tokenizer_config.json"]["tokenizer_class"] = json!("TokenizersBackend");
    let error = Tokenizer::from_dir(written(&files).path()).expect_err("no settings");
    assert!(
        error
            .to_string()
            .contains("tokenizer.json, which is not there"),
        "{error}"
    );
}

#[test]
fn segments_are_left_out_where_transformers_leaves_them_out() {
    let texts = [Texts::Pair("the film".to_owned(), "was good".to_owned())];
    let segments = |class: &str, names: Value| {
        let mut files = files_of("bert_4");
        files["tokenizer_config.json"]["tokenizer_class"] = json!(class);
        files["tokenizer_config.json"]["model_input_names"] = names;
        encoded(&load(&files), &texts)[0][1].clone()
    };
    let both = [0, 0, 0, 0, 1, 1, 1];
    assert_eq!(segments("BertTokenizer", Value::Null), both);
    assert_eq!(segments("PreTrainedTokenizerFast", Value::Null), both);
    assert_eq!(segments("DistilBertTokenizerFast", Value::Null), [0; 7]);
    let (without, with) = (
        json!(["input_ids", "attention_mask"]),
        json!(["input_ids", "token_type_ids", "attention_mask"]),
    );
    assert_eq!(segments("BertTokenizer", without), [0; 7]);
    assert_eq!(segments("TokenizersBackend", with), both);
}

#[test]
fn a_cased_vocabulary_that_nothing_calls_so_is_warned_of_once() {
    let (tokenizer, warned) = warnings(|| load(&files_of("uncased_by_default")));
    assert!(tokenizer.config().do_lower_case);
    let [line] = &warned[..] else {
        panic!("{warned:?}")
    };
    let parts = [
        "tokenizer.json: 4 of 25 tokens have capitals, such as \"Film\"",
        "write {\"do_lower_case\": false} to ",
        "tokenizer_config.json, else {\"do_lower_case\": true}",
    ];
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    for name in ["bert_4", "accents_4", "bert_5", "generic_4", "generic_5"] {
        let (_, warned) = warnings(|| load(&files_of(name)));
        assert_eq!(warned, [""; 0], "{name}: it says so");
    }
}
