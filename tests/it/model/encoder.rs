//! Outputs equal to those of transformers, which `make_reference.py` has written.

use std::path::Path;

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{Backbone, Inputs, Linear};

use crate::fixture::{assert_close, data, minilm, tensors, tiny};

/// All outputs within 1e-5 of the reference, on a padded batch of mixed lengths.
fn outputs_equal(model: &Path, reference: &str) {
    let expected = tensors(data(reference));
    let (backbone, classifier) = Backbone::builder(model)
        .build(|root, config| Linear::new(&(root / "classifier"), config.hidden_size, 2, 0.02))
        .expect("a model");
    let variables = backbone.named_variables();
    for name in ["classifier.weight", "classifier.bias"] {
        bertfit::tch::no_grad(|| variables[name].shallow_clone().copy_(&expected[name]));
    }
    let input = |name: &str| expected[name].shallow_clone();
    let inputs = Inputs::new(
        input("input_ids"),
        input("attention_mask"),
        input("token_type_ids"),
    );
    let inputs = inputs
        .to_device(backbone.device())
        .expect("the same inputs");
    let padded = inputs.attention_mask().eq(0).any().int64_value(&[]);
    assert_eq!(padded, 1, "the reference batch has no padding");

    // Padded places are compared too: they see the same tokens in both.
    let states = backbone
        .encoder()
        .hidden_states(&inputs, false)
        .expect("hidden states");
    let mut compared = 0;
    for (layer, state) in states.iter().enumerate() {
        if let Some(expected) = expected.get(&format!("hidden.{layer}")) {
            assert_close(&format!("hidden.{layer}"), state, expected, 1e-5);
            compared += 1;
        }
    }
    assert!(compared > 0);
    let last = states.last().expect("a state");
    let hidden = backbone
        .encoder()
        .hidden(&inputs, false)
        .expect("a hidden state");
    assert_eq!(&hidden, last);
    let pooled = backbone
        .encoder()
        .pooled(&inputs, false)
        .expect("a pooled output");
    assert_close("pooled", &pooled, &expected["pooled"], 1e-5);
    let logits = classifier.forward(&pooled).expect("logits");
    assert_close("logits", &logits, &expected["logits"], 1e-5);
}

#[test]
fn outputs_of_a_random_model_equal_transformers() {
    outputs_equal(&tiny(), "model/tiny.safetensors");
}

#[test]
fn outputs_of_a_real_model_equal_transformers() {
    outputs_equal(&minilm(), "model/minilm.safetensors");
}

#[test]
fn dropout_is_on_in_training_and_off_in_evaluation() {
    let (backbone, ()) = Backbone::builder(tiny())
        .device(Device::Cpu)
        .build(|_, _| Ok(()))
        .expect("a model");
    let encoder = backbone
        .text_encoder(16, Default::default())
        .expect("an encoder");
    let inputs = encoder.batch(&["a good film"], ()).expect("a batch").inputs;
    let run = |train| -> Tensor { backbone.encoder().hidden(&inputs, train).expect("a state") };
    assert_eq!(run(false), run(false));
    assert_ne!(run(true), run(true));
    assert_ne!(run(true), run(false));
}

#[test]
fn rows_attended_in_parts_equal_rows_attended_alone() {
    let (backbone, ()) = Backbone::builder(tiny())
        .device(Device::Cpu)
        .build(|_, _| Ok(()))
        .expect("a model");
    let encoder = backbone
        .text_encoder(64, Default::default())
        .expect("an encoder");
    // So many heads and places that a CPU computes their scores in several parts.
    let texts: Vec<String> = (0..300)
        .map(|row| "good film ".repeat(if row == 299 { 40 } else { 10 + row % 20 }))
        .collect();
    let all = encoder.batch(&texts, ()).expect("a batch").inputs;
    assert_eq!(all.size(), (300, 64));
    // In one group with its padding, and in many without.
    for all in [with_padding(&all), all] {
        let all = backbone.encoder().pooled(&all, false).expect("a state");
        for row in [0, 150, 299] {
            let alone = encoder.batch(&texts[row..=row], ()).expect("a batch");
            let alone = backbone.encoder().pooled(&alone.inputs, false);
            let one = alone.expect("a state").get(0);
            assert_close("a row", &all.get(row as i64), &one, 1e-5);
        }
    }
}

/// The inputs of a batch without what `pad` knows of it, so that all padding is computed.
fn with_padding(inputs: &Inputs) -> Inputs {
    let [ids, mask, types] = [
        inputs.input_ids(),
        inputs.attention_mask(),
        inputs.token_type_ids(),
    ]
    .map(Tensor::shallow_clone);
    Inputs::new(ids, mask, types)
}

#[test]
fn a_batch_without_its_padding_gives_the_same_states_and_gradients() {
    let (backbone, ()) = Backbone::builder(minilm())
        .device(Device::Cpu)
        .build(|_, _| Ok(()))
        .expect("a model");
    let encoder = backbone
        .text_encoder(64, Default::default())
        .expect("an encoder");
    let lengths = [3, 11, 3, 40, 11, 1, 25];
    let texts = lengths.map(|words| "a film of rare beauty ".repeat(words));
    let packed = encoder.batch(&texts, ()).expect("a batch").inputs;
    let padded = with_padding(&packed);
    let mask = packed.attention_mask().unsqueeze(-1).to_kind(Kind::Float);
    let encoder = backbone.encoder();

    let states = |inputs: &Inputs| encoder.hidden_states(inputs, false).expect("states");
    for (packed, padded) in states(&packed).iter().zip(states(&padded)) {
        assert_eq!(packed.size(), padded.size());
        assert_close("a state", &(packed * &mask), &(padded * &mask), 1e-5);
    }
    let gradients = |inputs: &Inputs| {
        let pooled = encoder.pooled(inputs, false).expect("a pooled output");
        let hidden = encoder.hidden(inputs, false).expect("a state") * &mask;
        // Something in which no place is like another.
        let loss = pooled.sin().sum(Kind::Float) + hidden.sin().mean(Kind::Float);
        let variables = backbone.named_variables();
        let names: Vec<_> = variables.keys().cloned().collect();
        let weights: Vec<_> = variables.values().map(Tensor::shallow_clone).collect();
        let gradients = Tensor::run_backward(&[loss], &weights, false, false);
        names.into_iter().zip(gradients).collect::<Vec<_>>()
    };
    let padded = gradients(&padded);
    for ((name, packed), (_, padded)) in gradients(&packed).iter().zip(&padded) {
        let scale = padded.abs().max().double_value(&[]).max(1.0);
        assert_close(name, packed, padded, 1e-5 * scale);
    }
}

#[test]
fn every_activation_name_is_the_formula_that_transformers_uses() {
    // gelu(1), tanh-gelu(1), relu(1), silu(1), mish(1), tanh(1): torch.nn.functional.
    let expected = [
        ("gelu", 0.841_344_7),
        ("gelu_new", 0.841_191_9),
        ("gelu_pytorch_tanh", 0.841_191_9),
        ("gelu_fast", 0.841_191_9),
        ("relu", 1.0),
        ("silu", 0.731_058_6),
        ("swish", 0.731_058_6),
        ("mish", 0.865_098_4),
        ("tanh", 0.761_594_2),
    ];
    for (name, expected) in expected {
        let activation: bertfit::Activation =
            serde_json::from_str(&format!("{name:?}")).expect("a known name");
        let value = activation
            .apply(&Tensor::from(1.0_f32))
            .expect("a value")
            .double_value(&[]);
        assert!((value - expected).abs() < 1e-6, "{name}: {value}");
    }
}
