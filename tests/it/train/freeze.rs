//! Which weights move, and the check that gradients flow accordingly.

use std::collections::BTreeMap;

use bertfit::tch::Tensor;
use bertfit::{
    Backbone, BertClassifier, ClassCollator, FineTuner, Freeze, Inputs, Linear, Loss, Result,
    TrainConfig, Warmup,
};

use super::trainer::{classifier, fast, run, weights};
use crate::fixture::{batch_of, eight, tiny};

#[test]
fn frozen_weights_do_not_move_and_all_others_do() {
    for freeze in [
        Freeze::None,
        Freeze::Embeddings,
        Freeze::Layers(1),
        Freeze::Encoder,
    ] {
        let mut model = classifier();
        let before = weights(&model);
        // The first step of a warm-up has a learning rate of 0.
        let config = TrainConfig {
            freeze,
            warmup: Warmup::Steps(0),
            ..fast()
        };
        let report = run(&mut model, config).expect("a run");
        let mut frozen = 0;
        for (name, after) in weights(&model) {
            let moved = after != before[&name];
            // The gradient of this one is rounding error, and may be 0.
            if !name.ends_with("key.bias") {
                assert_eq!(moved, !freeze.covers(&name), "{freeze:?}: {name}");
            }
            if freeze.covers(&name) {
                assert!(!moved, "{freeze:?}: {name}");
                frozen += after.numel();
            }
        }
        assert_eq!(report.plan.frozen_parameters, frozen);
    }
}

#[test]
fn frozen_weights_take_no_gradient_memory() {
    let mut model = classifier();
    run(
        &mut model,
        TrainConfig {
            freeze: Freeze::Layers(1),
            ..fast()
        },
    )
    .expect("a run");
    let gradients = |model: &BertClassifier| -> BTreeMap<String, bool> {
        let variables = model.backbone().named_variables().into_iter();
        let has_one = |(name, tensor): (String, Tensor)| (name, tensor.grad().defined());
        variables.map(has_one).collect()
    };
    let left = gradients(&model);
    assert!(left.values().all(|has_one| !has_one), "{left:?}");
    let batch = batch_of(&model, &eight());
    let logits = model.logits(&batch.inputs, true).expect("logits");
    let loss = model.loss(&logits, &batch.target).expect("a loss");
    loss.sum.backward();
    for (name, has_one) in gradients(&model) {
        assert_eq!(has_one, !Freeze::Layers(1).covers(&name), "{name}");
    }
}

#[test]
fn freezing_can_be_undone_and_done_again_by_later_runs() {
    let mut model = classifier();
    let mut words_after = |freeze| {
        run(&mut model, TrainConfig { freeze, ..fast() }).expect("a run");
        weights(&model)["bert.embeddings.word_embeddings.weight"].shallow_clone()
    };
    let frozen = words_after(Freeze::Encoder);
    let trained = words_after(Freeze::None);
    assert_ne!(trained, frozen);
    // The gradients of the run before are no longer the embeddings'.
    assert_eq!(words_after(Freeze::Encoder), trained);
}

#[test]
fn freezing_more_layers_than_there_are_is_an_error() {
    let config = TrainConfig {
        freeze: Freeze::Layers(3),
        ..fast()
    };
    let error = run(&mut classifier(), config)
        .expect_err("too many")
        .to_string();
    assert_eq!(
        error,
        "`freeze` must be at most 2, the encoder's layers, got 3"
    );
}

/// A head that leaves the pooler of its backbone unused.
struct Unpooled(Backbone, Linear, ClassCollator);

impl FineTuner for Unpooled {
    type Collator = ClassCollator;

    fn backbone(&self) -> &Backbone {
        &self.0
    }
    fn collator(&self) -> Result<ClassCollator> {
        Ok(self.2.clone())
    }
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.1
            .forward(&self.0.encoder().hidden(inputs, train)?.select(1, 0))
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let sum = logits.cross_entropy_for_logits(target) * target.size()[0];
        Ok(Loss {
            sum,
            count: target.size()[0] as f64,
        })
    }
}

#[test]
fn a_trainable_weight_without_a_gradient_is_an_error_at_step_one() {
    let build = |builder: bertfit::BackboneBuilder| {
        let (backbone, head) = builder
            .build(|root, config| Linear::new(&(root / "head"), config.hidden_size, 2, 0.02))
            .expect("a model");
        Unpooled(backbone, head, classifier().collator().expect("a collator"))
    };
    let mut model = build(Backbone::builder(tiny()));
    let error = model
        .fit(&eight(), &eight(), &fast())
        .expect_err("an unused pooler")
        .to_string();
    assert_eq!(
        error,
        "`bert.pooler.dense.bias` is to be trained but received no gradient"
    );
    let mut model = build(Backbone::builder(tiny()).without_pooler());
    model.fit(&eight(), &eight(), &fast()).expect("a run");
}
