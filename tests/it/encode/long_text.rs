//! What is read of texts that are too long, against transformers' tokenizer; see
//! `tests/data/task/make_long_texts.py`.

use bertfit::{
    BertConfig, Encoding, Example, LongText, Result, TextEncoder, TextWindows, Tokenizer,
    TokenizerConfig, Truncation, TruncationSide,
};
use serde_json::{Value, json};

use crate::fixture::{data, read_gz, tiny};

fn encoder(max_length: usize, truncation: Truncation) -> TextEncoder {
    let tokenizer = Tokenizer::from_dir(&tiny()).expect("a tokenizer");
    let limits = BertConfig::from_dir(tiny())
        .expect("a configuration")
        .limits();
    TextEncoder::new(tokenizer, limits, max_length, truncation).expect("an encoder")
}

fn windows(doc_stride: usize) -> LongText {
    LongText::Windows(TextWindows {
        doc_stride: Some(doc_stride),
        ..TextWindows::default()
    })
}

fn seen(rows: &[Encoding]) -> Value {
    let row = |row: &Encoding| {
        let offsets: Vec<_> = row.offsets.iter().map(|place| [place.0, place.1]).collect();
        json!({
            "input_ids": row.input_ids,
            "token_type_ids": row.token_type_ids,
            "offsets": offsets,
        })
    };
    rows.iter().map(row).collect()
}

#[test]
fn rows_are_those_of_transformers() {
    let reference = read_gz(&data("task/long_texts.json.gz"));
    let reference: Value = serde_json::from_str(&reference).expect("JSON");
    let mut compared = [0; 2];
    for case in reference["cases"].as_array().expect("cases") {
        let text = Example {
            text: case["text"].as_str().expect("a text").to_owned(),
            pair: case["pair"].as_str().map(str::to_owned),
            label: (),
        };
        let number = |field: &str| case[field].as_u64().expect(field) as usize;
        let truncation = case["truncation"].clone();
        let truncation = serde_json::from_value(truncation).expect("a truncation");
        let long_text = match case["kind"].as_str().expect("a kind") {
            "head" => LongText::Head,
            "tail" => LongText::Tail,
            "head_tail" => LongText::HeadTail {
                head: case["share"].as_f64().expect("a share"),
            },
            _ => windows(number("stride")),
        };
        let encoder = encoder(number("max_length"), truncation);
        let encoder = encoder.with_long_text(long_text).expect("an encoder");
        let texts = [Example::new("", ()), text];
        let rows = encoder.rows(&texts);
        match (&case["rows"], rows) {
            (Value::Null, rows) => {
                let error = rows.expect_err("a pair that cannot be cut").to_string();
                assert!(error.starts_with("row 1: "), "{error}");
            }
            (expected, rows) => {
                let rows = rows.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(&seen(&rows[1]), expected, "{case}");
                let tokens = rows[1].iter().map(Encoding::len).sum::<usize>();
                assert_eq!(
                    encoder.lengths(&texts).expect("lengths"),
                    [2 + usize::from(texts[0].pair.is_some()), tokens]
                );
            }
        }
        compared[usize::from(case["rows"].is_null())] += 1;
    }
    assert!(compared[0] > 200 && compared[1] > 50, "{compared:?}");
}

#[test]
fn a_tokenizer_that_cuts_the_beginning_is_followed_unless_something_else_is_asked_for() {
    let vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"];
    let config = TokenizerConfig {
        truncation_side: TruncationSide::Left,
        ..TokenizerConfig::default()
    };
    let tokenizer = Tokenizer::from_vocab(vocab, config).expect("a tokenizer");
    let limits = BertConfig::from_dir(tiny())
        .expect("a configuration")
        .limits();
    let encoder = TextEncoder::new(tokenizer, limits, 4, Truncation::default());
    let encoder = encoder.expect("an encoder");
    let ids = |encoder: &TextEncoder| {
        encoder.encode(&["a b c"]).expect("a row")[0]
            .input_ids
            .clone()
    };
    assert_eq!(encoder.long_text(), LongText::Tail);
    assert_eq!(ids(&encoder), [2, 6, 7, 3]);
    let head = encoder.with_long_text(LongText::Head).expect("an encoder");
    assert_eq!(ids(&head), [2, 5, 6, 3]);
}

#[test]
fn windows_of_a_pair_want_to_know_which_text_they_go_over() {
    let pair = |text: &str, pair: &str| {
        [
            Example::new("a", ()).with_pair("b"),
            Example::new(text, ()).with_pair(pair),
        ]
    };
    let error = |truncation, max_length, texts: &[Example<()>]| {
        let encoder = encoder(max_length, truncation).with_long_text(windows(2));
        let error = encoder.expect("an encoder").rows(texts);
        error.expect_err("a pair that is too long").to_string()
    };
    assert_eq!(
        error(Truncation::LongestFirst, 8, &pair("a b c", "d e f")),
        "row 1: field `pair`: 9 tokens in rows of 8: windows of a pair need the truncation \
         `only_first` or `only_second`, which says what they go over"
    );
    assert_eq!(
        error(Truncation::OnlySecond, 8, &pair("a b c", "d e f")),
        "row 1: field `pair`: the text that stands in all windows has 3 tokens, which leaves too \
         little room in rows of 8 that share 2"
    );
}

#[test]
fn one_row_is_not_made_of_several_in_silence() {
    let encoder = encoder(6, Truncation::default()).with_long_text(windows(1));
    let encoder = encoder.expect("an encoder");
    assert_eq!(encoder.encode(&["a b c"]).expect("a row")[0].len(), 5);
    let error = encoder
        .encode(&["a", "a b c d e f g"])
        .expect_err("two windows");
    let expected = "row 1: field `text`: 2 windows where one row is wanted";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn training_reads_so_many_windows_and_counts_their_tokens() {
    let long_text = LongText::Windows(TextWindows {
        doc_stride: Some(1),
        max_windows: Some(3),
        ..TextWindows::default()
    });
    let encoder = encoder(5, Truncation::default()).with_long_text(long_text);
    let encoder = encoder.expect("an encoder");
    // Windows of 3 that begin at each second token: 5 and a last one of 2.
    let texts = ["a b c d e f g h i j k l", "a b c d e"];
    let all = encoder.rows(&texts).expect("rows");
    assert_eq!([all[0].len(), all[1].len()], [6, 2]);
    let training = encoder.clone().for_training();
    let read = training.rows(&texts).expect("rows");
    assert_eq!(
        read[0],
        [0, 2, 5].map(|window: usize| all[0][window].clone())
    );
    assert_eq!(read[1], all[1]);
    assert_eq!(
        training.lengths(&texts).expect("lengths"),
        [5 + 5 + 4, 5 + 5]
    );
}

#[test]
fn numbers_out_of_their_range_are_refused() {
    let refused = |long_text: LongText| -> Result<TextEncoder> {
        encoder(10, Truncation::default()).with_long_text(long_text)
    };
    let most = LongText::Windows(TextWindows {
        max_windows: Some(0),
        ..TextWindows::default()
    });
    for (long_text, expected) in [
        (
            LongText::HeadTail { head: 0.0 },
            "`head` must be a share above 0 and below 1, got 0",
        ),
        (
            LongText::HeadTail { head: f64::NAN },
            "`head` must be a share above 0 and below 1, got NaN",
        ),
        (
            windows(8),
            "`doc_stride` must be below 8, the text's tokens of a row, got 8",
        ),
        (most, "`max_windows` must be at least 1, got 0"),
    ] {
        let error = refused(long_text).expect_err("an unusable number");
        assert_eq!(error.to_string(), expected);
    }
    // The usual overlap is made to fit.
    let LongText::Windows(usual) = refused(LongText::windows()).expect("windows").long_text()
    else {
        panic!("no windows");
    };
    assert_eq!(usual.doc_stride, Some(3));
}
