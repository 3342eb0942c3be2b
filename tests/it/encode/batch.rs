//! Token lists to tensors: padding, and every check on what goes into the model.

use bertfit::tch::Tensor;
use bertfit::{
    BertConfig, ClassCollator, Collator, Encoding, Error, Example, Labels, Limits, Padding,
    TextEncoder, Tokenizer, Truncation, pad,
};

use crate::fixture::tiny;

fn limits() -> Limits {
    BertConfig::from_dir(tiny())
        .expect("a configuration")
        .limits()
}

fn encodings(texts: &[&str]) -> Vec<Encoding> {
    let tokenizer = Tokenizer::from_dir(&tiny()).expect("a tokenizer");
    tokenizer
        .encode_batch(texts, 64, Truncation::LongestFirst)
        .expect("encodings")
}

fn rows(tensor: &Tensor) -> Vec<Vec<i64>> {
    Vec::try_from(tensor).expect("a matrix of int64")
}

#[test]
fn rows_are_padded_on_the_right_to_the_longest() {
    let encodings = encodings(&["good", "a b c"]);
    let inputs = pad(&encodings, 7, Padding::Longest, &limits()).expect("a batch");
    let first = &encodings[0].input_ids;
    assert_eq!(first.len(), 3);
    assert_eq!(encodings[1].len(), 5);
    let ids = rows(inputs.input_ids());
    assert_eq!(ids[0], [first[0], first[1], first[2], 7, 7]);
    assert_eq!(ids[1], encodings[1].input_ids);
    let mask = rows(inputs.attention_mask());
    assert_eq!(mask, [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]);
    assert_eq!(rows(inputs.token_type_ids()), [[0; 5], [0; 5]]);
}

#[test]
fn a_fixed_length_is_kept_whatever_the_rows() {
    let encodings = encodings(&["good"]);
    let inputs = pad(&encodings, 0, Padding::Fixed(10), &limits()).expect("a batch");
    assert_eq!(inputs.size(), (1, 10));
    let error = pad(&encodings, 0, Padding::Fixed(2), &limits()).expect_err("too short");
    assert_eq!(
        error.to_string(),
        "row 0: 3 tokens, the model takes at most 2"
    );
}

#[test]
fn what_the_model_cannot_take_is_named_with_its_row() {
    let message = |limits: Limits, change: fn(&mut Encoding)| {
        let mut encodings = encodings(&["good", "a b c"]);
        change(&mut encodings[1]);
        let error = pad(&encodings, 0, Padding::Longest, &limits).expect_err("a bad row");
        error.to_string()
    };
    let short = Limits {
        max_length: 4,
        ..limits()
    };
    assert_eq!(
        message(short, |_| ()),
        "row 1: 5 tokens, the model takes at most 4"
    );
    assert_eq!(
        message(limits(), |row| row.input_ids[2] = 246),
        "row 1: token id 246 is outside the vocabulary of 246"
    );
    assert_eq!(
        message(limits(), |row| row.input_ids[2] = -1),
        "row 1: token id -1 is outside the vocabulary of 246"
    );
    assert_eq!(
        message(limits(), |row| row.token_type_ids[0] = 3),
        "row 1: field `token_type_ids`: segment 3, the model has 3"
    );
}

#[test]
fn a_collator_gives_inputs_class_ids_and_the_count_of_real_tokens() {
    let tokenizer = Tokenizer::from_dir(&tiny()).expect("a tokenizer");
    let encoder = TextEncoder::new(tokenizer, limits(), 8, Truncation::LongestFirst);
    let collator = ClassCollator {
        encoder: encoder.expect("an encoder"),
        labels: Labels::new(["bad", "good"]).expect("labels"),
    };
    let mut examples = vec![
        Example::new("a b c", "good"),
        Example::new("a", "bad").with_pair("b"),
        Example::new("a b c d e f g h i", "good"),
    ];
    let batch = collator.collate(&examples).expect("a batch");
    assert_eq!(batch.inputs.size(), (3, 8), "the last row is cut to 8");
    assert_eq!(batch.tokens, 5 + 5 + 8);
    assert_eq!(Vec::<i64>::try_from(&batch.target).expect("ids"), [1, 0, 1]);
    let types = rows(batch.inputs.token_type_ids());
    assert_eq!(types[1], [0, 0, 0, 1, 1, 0, 0, 0]);

    examples[2].label = "Good".to_owned();
    match collator.collate(&examples) {
        Err(error @ Error::Row { .. }) => {
            assert_eq!(
                error.to_string(),
                "row 2: label `Good` is not one of bad, good"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pair_that_may_not_be_cut_enough_is_named_with_its_row() {
    let tokenizer = Tokenizer::from_dir(&tiny()).expect("a tokenizer");
    let encoder = TextEncoder::new(tokenizer, limits(), 8, Truncation::OnlySecond);
    let pairs = [("a", "b"), ("a b c d e f g h", "i")];
    let error = encoder
        .expect("an encoder")
        .encode(&pairs)
        .expect_err("too long");
    assert_eq!(
        error.to_string(),
        "row 1: 12 tokens, which `only_second` truncation cannot bring down to 8"
    );
}
