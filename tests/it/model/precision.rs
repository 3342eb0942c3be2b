//! bfloat16 products: near float32, with everything else as it was.

use bertfit::tch::{Device, Kind};
use bertfit::{
    BertClassifier, Error, FineTuner, Precision, Table, TrainConfig, Trainer, cpu_has_bf16,
};

use crate::fixture::{difference, eight, minilm, tiny};

#[test]
fn a_cpu_without_units_for_it_refuses_bfloat16() {
    let checked = Precision::Bf16.check(Device::Cpu);
    assert_eq!(checked.is_ok(), cpu_has_bf16());
    if let Err(error) = checked {
        assert_eq!(
            error.to_string(),
            "`precision` must be f32 on this CPU, which has neither AVX512_BF16 nor AMX, got bf16"
        );
    }
    assert!(Precision::F32.check(Device::Cpu).is_ok());
    let wrong = "f16".parse::<Precision>();
    assert!(matches!(
        wrong,
        Err(Error::Config {
            field: "precision",
            ..
        })
    ));
}

#[test]
fn logits_in_bfloat16_are_near_those_in_float32() {
    if !cpu_has_bf16() {
        return;
    }
    for dir in [tiny(), minilm()] {
        let logits = |precision| {
            let model = BertClassifier::builder(&dir)
                .labels(["good", "bad"])
                .precision(precision)
                .build()
                .expect("a classifier");
            let encoder = model.encoder().expect("an encoder");
            let logits = model.predict_logits(&eight(), &encoder, 1000);
            bertfit::tch::Tensor::stack(&logits.expect("logits"), 0)
        };
        let (full, half) = (logits(Precision::F32), logits(Precision::Bf16));
        assert_eq!(half.kind(), Kind::Float);
        let largest = difference(&full, &half);
        // bfloat16 has 8 bits: a relative step of 0.4 % in each product.
        let size = full.abs().max().double_value(&[]);
        assert!(
            largest > 0.0 && largest < 0.05 * size,
            "{largest} of {size}"
        );
    }
}

#[test]
fn training_in_bfloat16_learns_and_keeps_float32_weights() {
    if !cpu_has_bf16() {
        return;
    }
    let mut model = BertClassifier::builder(tiny())
        .labels(["good", "bad"])
        .precision(Precision::Bf16)
        .build()
        .expect("a classifier");
    let config = TrainConfig {
        learning_rate: 3e-3,
        batch_size: 4,
        epochs: 30.0,
        ..TrainConfig::default()
    };
    model.fit(&eight(), &eight(), &config).expect("a run");
    let evaluation = model.evaluate(&eight()).expect("an evaluation");
    assert_eq!(evaluation.metrics["accuracy"], 1.0);
    for (name, weight) in model.backbone().named_variables() {
        assert_eq!(weight.kind(), Kind::Float, "{name}");
    }
}

/// With the same seed, so with the same dropout: what differs is rounding.
#[test]
fn training_on_reviews_in_bfloat16_is_within_a_point_of_float32() {
    if !cpu_has_bf16() {
        return;
    }
    let read = |part: &str| {
        let path = format!("{}/examples/data/{part}.tsv", env!("CARGO_MANIFEST_DIR"));
        let table = Table::open(path).text("sentence").label("label");
        table.read().expect("reviews")
    };
    let train = read("train");
    let held_out = [read("dev"), read("test")].concat();
    let accuracy = |precision| {
        let mut model = BertClassifier::builder(minilm())
            .labels(["0", "1"])
            .precision(precision)
            .build()
            .expect("a classifier");
        let config = TrainConfig {
            learning_rate: 5e-5,
            epochs: 1.0,
            ..TrainConfig::default()
        };
        let mut trainer = Trainer::new(config).expect("a trainer");
        trainer.run(&mut model, &train, None).expect("a run");
        let evaluation = model.evaluate(&held_out).expect("an evaluation");
        evaluation.metrics["accuracy"]
    };
    let (full, half) = (accuracy(Precision::F32), accuracy(Precision::Bf16));
    assert!(full > 0.8, "{full}");
    assert!((full - half).abs() < 0.01, "{full} {half}");
}
