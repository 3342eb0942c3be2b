//! What a tokenizer's folder may say that transformers would honour and bertfit does not, or that
//! nothing can: each is refused with its file and name.

use bertfit::Tokenizer;
use serde_json::{Value, json};

use super::tokenizer_folders::{files_of, written};

/// Each case is a file with a place in it, the value that is put there, and the message.
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
    Tokenizer::from_dir(written(&files).path()).expect("a good folder");
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
