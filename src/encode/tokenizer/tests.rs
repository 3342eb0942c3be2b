//! What the tokenizer does, on a vocabulary that fits on a page. That it does
//! what transformers does is tested in `tests/it/encode/tokenizer.rs`.

use std::fs;

use super::*;

const VOCAB: [&str; 24] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "hello", "world", ",",
    "!", "[", "]", "cafe", "istanbul", "中", "国", "don", "'", "t", "s", "##ep", "sep",
];

fn tokenizer() -> Tokenizer {
    with_config(TokenizerConfig::default())
}

fn with_config(config: TokenizerConfig) -> Tokenizer {
    Tokenizer::from_vocab(VOCAB, config).expect("a good vocabulary")
}

/// Tokens with their offsets, in short.
fn shown(tokenizer: &Tokenizer, encoding: &Encoding) -> String {
    let ids = encoding.input_ids.iter();
    let tokens = ids.zip(&encoding.offsets).map(|(&id, (start, end))| {
        let token = tokenizer.id_to_token(id).expect("an id of the vocabulary");
        if (*start, *end) == (0, 0) {
            token.to_owned()
        } else {
            format!("{token}:{start}-{end}")
        }
    });
    tokens.collect::<Vec<_>>().join(" ")
}

fn encode(tokenizer: &Tokenizer, text: &str) -> String {
    let encoding = tokenizer
        .encode(text, None, 64, Truncation::default())
        .expect("it fits");
    shown(tokenizer, &encoding)
}

#[test]
fn a_text_becomes_tokens_with_their_places() {
    let cases = [
        ("", "[CLS] [SEP]"),
        (
            "Hello, world!",
            "[CLS] hello:0-5 ,:5-6 world:7-12 !:12-13 [SEP]",
        ),
        ("unaffable", "[CLS] un:0-2 ##aff:2-5 ##able:5-9 [SEP]"),
        ("unaffordable", "[CLS] [UNK]:0-12 [SEP]"), // all of the word
        ("Cafe\u{301} café", "[CLS] cafe:0-4 cafe:6-10 [SEP]"),
        ("İstanbul", "[CLS] istanbul:0-8 [SEP]"),
        ("中国", "[CLS] 中:0-1 国:1-2 [SEP]"),
        ("x[SEP]y", "[CLS] [UNK]:0-1 [SEP]:1-6 [UNK]:6-7 [SEP]"),
        ("[sep]", "[CLS] [:0-1 sep:1-4 ]:4-5 [SEP]"),
    ];
    for (text, expected) in cases {
        assert_eq!(encode(&tokenizer(), text), expected, "{text:?}");
    }
    let cased = with_config(TokenizerConfig {
        do_lower_case: false,
        ..Default::default()
    });
    assert_eq!(
        encode(&cased, "Hello cafe\u{301}"),
        "[CLS] [UNK]:0-5 [UNK]:6-11 [SEP]"
    );
}

#[test]
fn a_pair_has_types_words_and_sequences() {
    let tokenizer = tokenizer();
    let strategy = Truncation::default();
    let encoding = tokenizer
        .encode("hello!", Some("unable"), 64, strategy)
        .expect("it fits");
    let expected = Encoding {
        input_ids: vec![2, 8, 11, 3, 5, 7, 3],
        token_type_ids: vec![0, 0, 0, 0, 1, 1, 1],
        special_tokens_mask: vec![true, false, false, true, false, false, true],
        offsets: vec![(0, 0), (0, 5), (5, 6), (0, 0), (0, 2), (2, 6), (0, 0)],
        word_ids: vec![None, Some(0), Some(1), None, Some(0), Some(0), None],
        truncated: 0,
    };
    assert_eq!(encoding, expected);
    let sequences: Vec<_> = encoding.sequence_ids().collect();
    assert_eq!(
        sequences,
        [None, Some(0), Some(0), None, Some(1), Some(1), None]
    );
    let empty = tokenizer
        .encode("hello", Some(""), 64, strategy)
        .expect("it fits");
    assert_eq!(empty.input_ids, [2, 8, 3, 3]);
}

#[test]
fn words_keep_their_numbers() {
    let tokenizer = tokenizer();
    let encoding = tokenizer
        .encode_words(&["Hello,", "", "unable", "\0"], 64)
        .expect("it fits");
    assert_eq!(
        shown(&tokenizer, &encoding),
        "[CLS] hello:0-5 ,:5-6 un:0-2 ##able:2-6 [SEP]"
    );
    assert_eq!(
        encoding.word_ids,
        [None, Some(0), Some(0), Some(2), Some(2), None]
    );
    let cut = tokenizer
        .encode_words(&["hello", "unable"], 4)
        .expect("it fits");
    assert_eq!((cut.input_ids, cut.truncated), (vec![2, 8, 5, 3], 1));
}

#[test]
fn what_does_not_fit_is_cut_or_refused() {
    let tokenizer = tokenizer();
    let text = "hello world , !";
    let cut = tokenizer
        .encode(text, None, 4, Truncation::OnlyFirst)
        .expect("it can be cut");
    assert_eq!((cut.input_ids, cut.truncated), (vec![2, 8, 9, 3], 2));
    let left = TokenizerConfig {
        truncation_side: TruncationSide::Left,
        ..Default::default()
    };
    let cut = with_config(left)
        .encode(text, None, 4, Truncation::default())
        .expect("it fits");
    assert_eq!(
        (cut.input_ids, cut.offsets[1]),
        (vec![2, 10, 11, 3], (12, 13))
    );

    let message = |pair, limit, strategy| {
        tokenizer
            .encode(text, pair, limit, strategy)
            .expect_err("too long")
            .to_string()
    };
    assert_eq!(
        message(None, 1, Truncation::default()),
        "`max_length` must be at least 2, for the special tokens, got 1"
    );
    assert_eq!(
        message(Some("hello"), 2, Truncation::default()),
        "`max_length` must be at least 3, for the special tokens, got 2"
    );
    assert_eq!(
        message(Some("hello"), 7, Truncation::OnlySecond),
        "row 0: 8 tokens, which `only_second` truncation cannot bring down to 7"
    );
    let bad = tokenizer.encode_batch(
        &[("", ""), (text, "!"), (text, "!")],
        7,
        Truncation::OnlySecond,
    );
    assert_eq!(
        bad.expect_err("too long").to_string(),
        "row 1: 8 tokens, which `only_second` truncation cannot bring down to 7"
    );
}

#[test]
fn a_batch_is_its_texts_one_by_one_in_order() {
    let tokenizer = tokenizer();
    let texts: Vec<String> = (0..200).map(|row| "hello ".repeat(row % 17)).collect();
    let batch = tokenizer
        .encode_batch(&texts, 12, Truncation::default())
        .expect("it can be cut");
    for (text, encoding) in texts.iter().zip(&batch) {
        let one = tokenizer
            .encode(text, None, 12, Truncation::default())
            .expect("the same");
        assert_eq!(*encoding, one);
    }
    assert_eq!(batch.len(), texts.len());
}

#[test]
fn words_of_more_than_100_characters_are_unknown() {
    let vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "é", "##é"];
    let config = TokenizerConfig {
        do_lower_case: false,
        ..Default::default()
    };
    let tokenizer = Tokenizer::from_vocab(vocab, config).expect("a good vocabulary");
    let length = |chars: usize| {
        let encoding = tokenizer.encode(&"é".repeat(chars), None, 512, Truncation::default());
        encoding.expect("it fits").len()
    };
    assert_eq!((length(100), length(101), length(1_000_000)), (102, 3, 3));
}

#[test]
fn decoding_joins_pieces_and_punctuation() {
    let tokenizer = tokenizer();
    let text = "Hello, unable [MASK] world don't!";
    let encoding = tokenizer
        .encode(text, None, 64, Truncation::default())
        .expect("it fits");
    let ids = &encoding.input_ids;
    assert_eq!(
        tokenizer.decode(ids, false),
        "[CLS] hello, unable [MASK] world don't! [SEP]"
    );
    assert_eq!(tokenizer.decode(ids, true), "hello, unable world don't!");
    let kept = TokenizerConfig {
        clean_up_tokenization_spaces: Some(false),
        ..Default::default()
    };
    assert_eq!(
        with_config(kept).decode(ids, true),
        "hello, unable world don ' t!"
    );
    assert_eq!(tokenizer.decode(&[7, -1, 999], false), "##able");
    assert_eq!(tokenizer.decode(&[], false), "");
}

#[test]
fn tokens_and_ids_are_looked_up() {
    let mut config = TokenizerConfig::default();
    config
        .added_tokens_decoder
        .insert(24, AddedToken::word("Ünable"));
    config.additional_special_tokens.push("<e>".to_owned());
    let tokenizer = with_config(config);
    assert_eq!(tokenizer.vocab_size(), 26);
    assert_eq!(
        encode(&tokenizer, "<e> UNABLE <E>"),
        "[CLS] <e>:0-3 Ünable:4-10 [UNK]:11-12 \
        [UNK]:12-13 [UNK]:13-14 [SEP]"
    );
    for (token, id) in [("[PAD]", 0), ("hello", 8), ("Ünable", 24), ("<e>", 25)] {
        assert_eq!(
            (tokenizer.token_to_id(token), tokenizer.id_to_token(id)),
            (Some(id), Some(token))
        );
    }
    assert_eq!(
        (tokenizer.token_to_id("nothing"), tokenizer.id_to_token(26)),
        (None, None)
    );
    let special = [
        tokenizer.pad_id(),
        tokenizer.unk_id(),
        tokenizer.cls_id(),
        tokenizer.sep_id(),
    ];
    assert_eq!((special, tokenizer.mask_id()), ([0, 1, 2, 3], 4));
}

#[test]
fn threads_can_share_a_tokenizer() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Tokenizer>();
}

#[test]
fn a_saved_tokenizer_is_the_same() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (first, second) = (dir.path().join("first"), dir.path().join("a/second"));
    fs::create_dir(&first).expect("created");
    let vocab = VOCAB.join("\r\n");
    fs::write(first.join("vocab.txt"), &vocab).expect("written");
    fs::write(
        first.join("tokenizer_config.json"),
        r#"{"do_lower_case": false, "name_or_path": "x", "model_max_length": 128, "more": [1]}"#,
    )
    .expect("written");
    fs::write(first.join("added_tokens.json"), r#"{"<new>": 24}"#).expect("written");
    fs::write(
        first.join("special_tokens_map.json"),
        r#"{"mask_token": "<new>"}"#,
    )
    .expect("written");
    let tokenizer = Tokenizer::from_dir(&first).expect("a good folder");
    assert_eq!(tokenizer.model_max_length(), Some(128));
    assert_eq!(tokenizer.mask_id(), 24);
    tokenizer.save(&second).expect("written");
    assert_eq!(
        fs::read(second.join("vocab.txt")).expect("there"),
        vocab.as_bytes()
    );
    let again = Tokenizer::from_dir(&second).expect("a good folder");
    assert_eq!(again.config(), tokenizer.config());
    assert_eq!(again.config().extra["more"], serde_json::json!([1]));
    assert_eq!(
        fs::read_to_string(second.join("special_tokens_map.json")).expect("there"),
        "{\n  \"unk_token\": \"[UNK]\",\n  \"sep_token\": \"[SEP]\",\n  \"pad_token\": \"[PAD]\",\n  \
         \"cls_token\": \"[CLS]\",\n  \"mask_token\": \"<new>\"\n}\n"
    );
    assert_eq!(
        encode(&again, "Hello hello <new>"),
        encode(&tokenizer, "Hello hello <new>")
    );
}

/// A folder with these files besides a good `vocab.txt`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("vocab.txt"), VOCAB.join("\n")).expect("written");
    for (name, content) in files {
        fs::write(dir.path().join(name), content).expect("written");
    }
    dir
}

#[test]
fn an_unusable_folder_is_refused_with_the_reason() {
    let other_vocab = r#"{"model": {"type": "WordPiece", "vocab": {"[PAD]": 1}},
        "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece"}}"#;
    let cases: [(&str, &str, &str); 7] = [
        ("vocab.txt", "", "vocab.txt: no tokens"),
        (
            "vocab.txt",
            "[UNK]\n[CLS]\n[SEP]\na",
            "vocab.txt: no special token `[PAD]`, `[MASK]`",
        ),
        (
            "tokenizer_config.json",
            "{",
            "tokenizer_config.json is not valid",
        ),
        (
            "tokenizer_config.json",
            r#"{"tokenizer_class": "RobertaTokenizer"}"#,
            "tokenizer_config.json: `tokenizer_class` is RobertaTokenizer",
        ),
        (
            "tokenizer_config.json",
            r#"{"added_tokens_decoder": {"30": {"content": "<e>"}}}"#,
            "vocab.txt: the added token `<e>` has id 30, but its place is 24",
        ),
        (
            "added_tokens.json",
            r#"{"hello": 24}"#,
            "vocab.txt: the added token `hello` has id 24, but its place is 8",
        ),
        (
            "tokenizer.json",
            other_vocab,
            "tokenizer.json: its vocabulary differs from vocab.txt's at `!`",
        ),
    ];
    for (name, content, message) in cases {
        let dir = folder(&[(name, content)]);
        let error = Tokenizer::from_dir(dir.path())
            .expect_err(message)
            .to_string();
        let place = format!("{}{}", dir.path().display(), std::path::MAIN_SEPARATOR);
        assert!(
            error
                .strip_prefix(&place)
                .is_some_and(|said| said.starts_with(message)),
            "{error}"
        );
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let error = Tokenizer::from_dir(dir.path()).expect_err("no vocabulary");
    let end = ": no tokenizer: vocab.txt or tokenizer.json is needed, and neither is there";
    assert_eq!(error.to_string(), format!("{}{end}", dir.path().display()));
    let error = Tokenizer::from_vocab(["[PAD]\n"], TokenizerConfig::default());
    assert_eq!(
        error.expect_err("a line break").to_string(),
        r#"`vocab` must be tokens without line breaks, got "[PAD]\n""#
    );
}
