//! Folders as transformers 4 and 5 save tokenizers, and as people have them: read with the same
//! ids, and written so that both load them again. The folders and ids are from
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

/// A folder with these files.
pub fn written(files: &Map<String, Value>) -> TempDir {
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
