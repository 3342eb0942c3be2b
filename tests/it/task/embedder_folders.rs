//! Folders that are read as an embedder's, and those that are not.

use bertfit::{BertEmbedder, Error, FineTuner, Pooling};
use serde_json::{Value, json};

use crate::fixture::tiny;

#[test]
fn an_encoder_becomes_an_embedder_only_where_it_is_asked_for() {
    match BertEmbedder::load(tiny()) {
        Err(Error::File { path, .. }) => assert!(path.ends_with("modules.json")),
        other => panic!("{other:?}"),
    }
    let model = BertEmbedder::builder(tiny()).build().expect("an embedder");
    assert_eq!(
        (model.pooling(), model.is_normalized()),
        (Pooling::Mean, false)
    );
}

#[test]
fn folders_that_make_vectors_otherwise_are_refused() {
    let refused = |file: &str, content: Value, expected: &str| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let saved = dir.path().join("model");
        BertEmbedder::builder(tiny())
            .build()
            .and_then(|model| model.save(&saved))
            .expect("a saved model");
        std::fs::write(saved.join(file), content.to_string()).expect("a file");
        let error = BertEmbedder::load(&saved).expect_err("another kind of model");
        let message = error.to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(file), "{message}");
    };
    let module = |class: &str, path: &str| json!({"type": class, "path": path});
    let (first, second) = (
        module("x.Transformer", ""),
        module("x.Pooling", "1_Pooling"),
    );
    refused(
        "modules.json",
        json!([first, second, module("x.Dense", "2_Dense")]),
        "got Transformer, Pooling, Dense",
    );
    refused("modules.json", json!([]), "must be Transformer, Pooling");
    refused("modules.json", json!({"a": 1}), "not valid");
    refused(
        "modules.json",
        json!([module("x.Transformer", "0_Transformer"), second]),
        "not in `0_Transformer`",
    );
    for pooling in [
        json!({"pooling_mode": "weightedmean"}),
        json!({"pooling_mode": ["mean", "max"]}),
        json!({"pooling_mode": 1}),
        json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}),
        json!({"pooling_mode_lasttoken": true}),
    ] {
        refused("1_Pooling/config.json", pooling, "`pooling_mode` must be");
    }
    refused(
        "sentence_bert_config.json",
        json!({"max_seq_length": "long"}),
        "`max_seq_length` must be a number of tokens",
    );
    let cased = r#"{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}"#;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    let model = BertEmbedder::builder(tiny()).build().expect("an embedder");
    model.save(&saved).expect("a saved model");
    std::fs::write(saved.join("tokenizer_config.json"), cased).expect("a file");
    BertEmbedder::load(&saved).expect("an embedder");
    let lower = r#"{"max_seq_length": 9, "do_lower_case": true}"#;
    std::fs::write(saved.join("sentence_bert_config.json"), lower).expect("a file");
    let error = BertEmbedder::load(&saved).expect_err("two letter cases");
    assert!(
        error
            .to_string()
            .contains("`do_lower_case` must be as in tokenizer_config.json")
    );
    refused(
        "config_sentence_transformers.json",
        json!({"default_prompt_name": "query", "prompts": {"query": "query: "}}),
        "put them into the texts",
    );
}
