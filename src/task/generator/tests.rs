//! Gradient checkpointing of both BERTs: nothing is kept between layers, and the gradients are
//! the same.

use std::collections::BTreeMap;

use super::*;
use crate::encode::Collator;
use crate::fine_tuner::{backward, forward};
use crate::model::{Precision, cpu_has_bf16};

fn generator(tied: bool, precision: Precision) -> BertGenerator {
    let dir = std::env::temp_dir().join(format!("bertfit-tape-{}", std::process::id()));
    crate::write_tiny_model(&dir).expect("a model");
    let builder = BertGenerator::builder(&dir)
        .tie_encoder_decoder(tied)
        .precision(precision);
    builder.build().expect("a generator")
}

/// The loss of a batch, and the gradient of each weight, with dropout.
fn gradients(model: &BertGenerator) -> (f64, BTreeMap<String, Tensor>) {
    let rows = [
        Example::new("this film is great", "great film"),
        Example::new("a dull film", "dull"),
        Example::new("very good food , very good", "good food good"),
    ];
    let batch = model.collator().expect("a collator").collate(&rows);
    let batch = batch.expect("a batch");
    tch::manual_seed(7);
    let logits = forward(model, &batch.inputs, true).expect("logits");
    let loss = model.loss(&logits, &batch.target).expect("a loss").sum;
    backward(model, &loss).expect("gradients");
    let weights = model.backbone.named_variables().into_iter();
    let gradients = weights.map(|(name, weight)| (name, weight.grad()));
    (loss.double_value(&[]), gradients.collect())
}

/// The length of the difference of two lists of gradients, as a share of the first's.
fn difference<'a>(pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>) -> f64 {
    let square = |x: &Tensor| x.square().sum(Kind::Double).double_value(&[]);
    let (mut apart, mut whole) = (0.0, 0.0);
    for (a, b) in pairs {
        apart += square(&(a - b));
        whole += square(a);
    }
    (apart / whole).sqrt()
}

#[test]
fn gradients_are_the_same_where_layers_are_computed_again() {
    let both = |tied, precision| {
        let plain = gradients(&generator(tied, precision));
        let model = generator(tied, precision);
        model.backbone.encoder().checkpoint_gradients(true);
        let again = gradients(&model);
        assert_eq!(plain.0, again.0);
        (plain.1, again.1)
    };
    for tied in [false, true] {
        let (plain, again) = both(tied, Precision::F32);
        for (name, gradient) in &plain {
            assert!(gradient.defined(), "{name}");
            // That of a key's bias is rounding error.
            if !name.ends_with(".key.bias") {
                let apart = difference([(gradient, &again[name])].into_iter());
                assert!(apart < 1e-5, "{name}: {apart}, tied {tied}");
            }
        }
        // What several layers add to is rounded in another order, to 8 bits.
        if cpu_has_bf16() {
            let (plain, again) = both(tied, Precision::Bf16);
            let apart = difference(plain.values().zip(again.values()));
            assert!(apart < 0.01, "{apart}, tied {tied}");
        }
    }
}

#[test]
fn nothing_is_kept_between_layers() {
    let model = generator(false, Precision::F32);
    let state = || {
        let batch = model.collator().expect("a collator");
        let batch = batch.collate(&[Example::new("a film", "good film")]);
        let inputs = batch.expect("a batch").inputs;
        let memory = model.read(&inputs, true).expect("a memory");
        let ids = inputs.decoder_input_ids().expect("ids");
        let tape = model.backbone.encoder().tape();
        model
            .decoder
            .forward(ids, &memory, true, tape)
            .expect("a state")
    };
    assert!(!state().is_leaf());
    model.backbone.encoder().checkpoint_gradients(true);
    assert!(state().is_leaf());
    model.backbone.encoder().checkpoint_gradients(false);
    assert!(!state().is_leaf());
}
