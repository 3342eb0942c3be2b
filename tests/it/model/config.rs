//! Each field of `config.json` that is absent or absurd is named in the error.

use bertfit::{BertConfig, Error};
use serde_json::{Value, json};

use crate::fixture::{tiny, with_config};
use crate::log_lines::warnings;

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

/// The configurations of other models, with the fields that they have.
#[test]
fn another_model_is_named_whatever_its_fields_are() {
    let others = [
        json!({"model_type": "distilbert", "dim": 768, "n_layers": 6, "n_heads": 12}),
        json!({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "vocab_size": 50257}),
        json!({"model_type": "t5", "d_model": 512, "num_layers": 6}),
        json!({"model_type": "nomic_bert", "n_embd": 768, "activation_function": "swiglu"}),
        json!({"model_type": "deberta-v2", "type_vocab_size": 0, "hidden_size": 768}),
        json!({"model_type": "roberta", "hidden_act": "other", "hidden_size": "768"}),
        json!({"model_type": "x\ny"}),
        json!({"model_type": 5}),
    ];
    for config in others {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("config.json");
        std::fs::write(&path, config.to_string()).expect("a file");
        let name = match &config["model_type"] {
            Value::String(name) => name.replace('\n', "\\n"),
            other => other.to_string(),
        };
        let expected = format!(
            "{}: `model_type` must be `bert`, got {name}",
            path.display()
        );
        let error = BertConfig::from_dir(dir.path()).expect_err("another model");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn null_is_absent() {
    let nulls = [
        "model_type",
        "architectures",
        "type_vocab_size",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "initializer_range",
        "layer_norm_eps",
        "pad_token_id",
        "position_embedding_type",
        "is_decoder",
        "problem_type",
        "id2label",
        "label2id",
        "num_labels",
    ];
    let dir = with_config(&tiny(), &[]);
    let path = dir.path().join("config.json");
    let text = std::fs::read_to_string(&path).expect("a file");
    let mut fields: Value = serde_json::from_str(&text).expect("JSON");
    for name in nulls {
        fields.as_object_mut().expect("fields").shift_remove(name);
    }
    std::fs::write(&path, fields.to_string()).expect("a file");
    let absent = BertConfig::from_dir(dir.path()).expect("valid");
    for name in nulls {
        fields[name] = Value::Null;
    }
    fields["hidden_size"] = Value::Null;
    std::fs::write(&path, fields.to_string()).expect("a file");
    let error = BertConfig::from_dir(dir.path()).expect_err("no size");
    assert!(matches!(error, Error::Json { .. }), "{error}");
    fields["hidden_size"] = absent.hidden_size.into();
    std::fs::write(&path, fields.to_string()).expect("a file");
    // transformers 5 refuses some fields that are null.
    fields["use_cache"] = Value::Null;
    std::fs::write(&path, fields.to_string()).expect("a file");
    let null = BertConfig::from_dir(dir.path()).expect("valid");
    assert_eq!(null.other.get("use_cache"), None);
    let mut absent = absent;
    absent.other.shift_remove("use_cache");
    assert_eq!(null, absent);
    assert_eq!(null.num_labels(), 2);
}

#[test]
fn class_names_are_those_that_python_shows() {
    let names = |json| {
        let config = read(&[("id2label", json)]).expect("valid");
        let names = config.class_names("config.json".as_ref());
        names.map(|names| names.expect("there are names"))
    };
    let cases = [
        (json!({"1": "b", "0": "a", "2": "c"}), vec!["a", "b", "c"]),
        (json!({"0": 0, "1": 1}), vec!["0", "1"]),
        (json!({"0": -1, "1": 2.5}), vec!["-1", "2.5"]),
        (json!({"0": false, "1": true}), vec!["False", "True"]),
        (json!({"0": "no", "1": 1}), vec!["no", "1"]),
    ];
    for (json, expected) in cases {
        assert_eq!(names(json).expect("names"), expected);
    }
    for bad in [
        json!({"0": "a", "2": "c"}),
        json!({"0": "a", "1": null}),
        json!({"0": ["a"]}),
        json!({"a": "0", "b": "1"}),
        json!(["a", "b"]),
        json!("a"),
    ] {
        let error = names(bad).expect_err("no names").to_string();
        let rule = "config.json: `id2label` must be names numbered from 0 without gaps, got ";
        assert!(error.starts_with(rule), "{error}");
    }
    for (bad, name) in [
        (json!({"0": "a", "1": "a"}), "a"),
        (json!({"0": "", "1": "a"}), ""),
    ] {
        let error = names(bad).expect_err("no names").to_string();
        let rule = "config.json: `id2label` must be distinct names that are not empty, got";
        assert_eq!(error, format!("{rule} `{name}`"));
    }
}

/// As transformers' `PretrainedConfig.num_labels` counts them.
#[test]
fn outputs_are_counted_by_their_names_or_else_by_num_labels() {
    let count = |changes: &[(&str, Value)]| read(changes).expect("valid").num_labels();
    let names = json!({"0": "a", "7": "b", "x": null});
    assert_eq!(count(&[]), 2);
    assert_eq!(count(&[("num_labels", json!(5))]), 5);
    assert_eq!(count(&[("num_labels", json!(5)), ("id2label", names)]), 3);
    assert_eq!(count(&[("id2label", json!({"0": "LABEL_0"}))]), 1);
    let error = read(&[("num_labels", json!(u64::MAX))]).expect_err("too many");
    let end = "`num_labels` must be at most 65536, got 18446744073709551615";
    assert!(error.to_string().ends_with(end), "{error}");
}

/// As in dbmdz/bert-base-italian-xxl (1000 rows more) and many others.
#[test]
fn rows_without_a_token_are_warned_of() {
    let load = |rows: i64| {
        let config = read(&[("vocab_size", rows.into())]).expect("valid");
        let tokenizer = bertfit::Tokenizer::from_dir(&tiny()).expect("246 tokens");
        warnings(|| bertfit::Backbone::random(config, tokenizer).build(|_, _| Ok(())))
    };
    let (loaded, warned) = load(246);
    loaded.expect("a model");
    assert_eq!(warned, [""; 0]);
    for (rows, more) in [(247, 1), (256, 10), (403, 157), (1246, 1000)] {
        let (loaded, warned) = load(rows);
        loaded.expect("a model");
        let expected = format!(
            "config.json: `vocab_size` is {rows}, but the vocabulary has 246 tokens: no text is \
             ever turned into the last {more} rows of the embeddings"
        );
        assert_eq!(warned, [expected]);
    }
    let error = load(245).0.expect_err("a token without a row").to_string();
    let expected = "config.json: `vocab_size` must be at least the size of the vocabulary (246), \
                    got 245";
    assert_eq!(error, expected);
}
