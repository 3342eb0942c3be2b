//! Settings: their names, their ranges, and what follows from them.

use super::*;

#[test]
fn a_configuration_survives_json_and_unknown_keys_are_refused() {
    let config = TrainConfig {
        max_steps: Some(7),
        ..TrainConfig::default()
    };
    let json = serde_json::to_string(&config).expect("plain data");
    assert_eq!(
        serde_json::from_str::<TrainConfig>(&json).expect("the same"),
        config
    );
    let error = serde_json::from_str::<TrainConfig>(r#"{"learning_rat": 1e-4}"#);
    assert!(
        error
            .expect_err("a typing error")
            .to_string()
            .contains("learning_rat")
    );
}

#[test]
fn lower_layers_learn_more_slowly_and_the_head_as_it_is_told() {
    let config = TrainConfig {
        learning_rate: 2e-5,
        layer_decay: 0.5,
        head_learning_rate: Some(1e-4),
        ..TrainConfig::default()
    };
    for (name, factor) in [
        ("classifier.weight", 5.0),
        ("bert.pooler.dense.bias", 1.0),
        ("bert.encoder.layer.2.output.dense.bias", 1.0),
        ("bert.encoder.layer.0.output.dense.bias", 0.25),
        ("bert.embeddings.LayerNorm.weight", 0.125),
    ] {
        let found = config.rate_factor(3, name);
        assert!((found / factor - 1.0).abs() < 1e-12, "{name}: {found}");
        assert_eq!(TrainConfig::default().rate_factor(3, name), 1.0);
    }
}

#[test]
fn each_number_out_of_range_is_named() {
    let ok = TrainConfig::default;
    assert!(ok().validate().is_ok());
    let bad = [
        (
            "batch_size",
            TrainConfig {
                batch_size: 0,
                ..ok()
            },
        ),
        (
            "eval_batch_size",
            TrainConfig {
                eval_batch_size: 0,
                ..ok()
            },
        ),
        (
            "accumulate",
            TrainConfig {
                accumulate: 0,
                ..ok()
            },
        ),
        (
            "log_every",
            TrainConfig {
                log_every: 0,
                ..ok()
            },
        ),
        (
            "max_steps",
            TrainConfig {
                max_steps: Some(0),
                ..ok()
            },
        ),
        (
            "eval_every",
            TrainConfig {
                eval_every: EvalEvery::Steps(0),
                ..ok()
            },
        ),
        (
            "epochs",
            TrainConfig {
                epochs: f64::NAN,
                ..ok()
            },
        ),
        (
            "epochs",
            TrainConfig {
                epochs: 1e18,
                ..ok()
            },
        ),
        (
            "learning_rate",
            TrainConfig {
                learning_rate: -1.0,
                ..ok()
            },
        ),
        (
            "layer_decay",
            TrainConfig {
                layer_decay: 1.1,
                ..ok()
            },
        ),
        (
            "head_learning_rate",
            TrainConfig {
                head_learning_rate: Some(0.0),
                ..ok()
            },
        ),
        (
            "max_grad_norm",
            TrainConfig {
                max_grad_norm: Some(0.0),
                ..ok()
            },
        ),
        (
            "cache_frozen",
            TrainConfig {
                cache_frozen: true,
                ..ok()
            },
        ),
        (
            "warmup",
            TrainConfig {
                warmup: Warmup::Ratio(1.5),
                ..ok()
            },
        ),
    ];
    for (name, config) in bad {
        match config.validate() {
            Err(Error::Config { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}
