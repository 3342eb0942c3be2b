//! Each field of `config.json` that is absent or absurd is named in the error.

use bertfit::{BertConfig, Error};
use serde_json::{Value, json};

use crate::fixture::{tiny, with_config};

fn read(changes: &[(&str, Value)]) -> Result<BertConfig, Error> {
    BertConfig::from_dir(with_config(&tiny(), changes).path())
}

#[test]
fn an_absent_size_is_named() {
    for field in [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    ] {
        match read(&[(field, Value::Null)]) {
            Err(Error::Json { source, .. }) => {
                assert!(
                    source
                        .to_string()
                        .contains(&format!("missing field `{field}`"))
                );
            }
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn an_absurd_value_is_named_with_its_rule() {
    let absurd = [
        ("vocab_size", json!(0), "from 1 to 16777216, got 0"),
        (
            "hidden_size",
            json!(33),
            "a multiple of num_attention_heads (4), got 33",
        ),
        ("num_hidden_layers", json!(-1), "from 1 to 1024, got -1"),
        ("num_attention_heads", json!(0), "from 1 to 16777216, got 0"),
        (
            "intermediate_size",
            json!(1_i64 << 40),
            "from 1 to 16777216, got 1099511627776",
        ),
        (
            "max_position_embeddings",
            json!(0),
            "from 1 to 16777216, got 0",
        ),
        ("type_vocab_size", json!(0), "from 1 to 16777216, got 0"),
        (
            "hidden_dropout_prob",
            json!(1.0),
            "at least 0 and below 1, got 1",
        ),
        (
            "attention_probs_dropout_prob",
            json!(-0.1),
            "at least 0 and below 1, got -0.1",
        ),
        (
            "classifier_dropout",
            json!(2.0),
            "at least 0 and below 1, got 2",
        ),
        ("layer_norm_eps", json!(0.0), "between 0 and 1, got 0"),
        ("initializer_range", json!(-1.0), "from 0 to 10, got -1"),
        ("pad_token_id", json!(246), "a token id, got 246"),
        ("model_type", json!("roberta"), "`bert`, got roberta"),
        (
            "position_embedding_type",
            json!("relative_key"),
            "`absolute`, got relative_key",
        ),
        ("is_decoder", json!(true), "false, got true"),
    ];
    for (field, value, rule) in absurd {
        let error = read(&[(field, value)]).expect_err(field).to_string();
        let expected = format!("config.json: `{field}` must be {rule}");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn an_unknown_activation_names_the_known_ones() {
    match read(&[("hidden_act", json!("glu"))]) {
        Err(Error::Json { source, .. }) => {
            assert!(
                source
                    .to_string()
                    .contains("unknown variant `glu`, expected one of `gelu`")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn fields_that_are_not_ours_survive() {
    let config = read(&[("use_cache", json!(true)), ("my_own", json!({"a": 1}))]).expect("valid");
    let written = serde_json::to_value(config).expect("plain data");
    assert_eq!(written["my_own"], json!({"a": 1}));
    assert_eq!(written["use_cache"], json!(true));
}

#[test]
fn class_names_must_be_numbered_without_gaps() {
    let names = |json| {
        let config = read(&[("id2label", json)]).expect("valid");
        config.class_names("config.json".as_ref())
    };
    let ok = names(json!({"1": "b", "0": "a", "2": "c"})).expect("numbered");
    assert_eq!(ok, Some(["a", "b", "c"].map(str::to_owned).to_vec()));
    let error = names(json!({"0": "a", "2": "c"}))
        .expect_err("a gap")
        .to_string();
    assert!(
        error.contains("`id2label` must be names numbered from 0 without gaps"),
        "{error}"
    );
}
