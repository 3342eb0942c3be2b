//! Which weights move, and the check that gradients flow accordingly.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bertfit::tch::{Kind, Tensor};
use bertfit::{
    Backbone, BertClassifier, ClassCollator, ClassLoss, Example, FineTuner, Freeze, Inputs, Linear,
    Loss, Result, TorchContext, TrainConfig, Warmup,
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
fn a_run_leaves_no_gradients_and_all_weights_as_they_were_to_train() {
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
        assert!(has_one, "{name}");
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

/// What its owner has frozen is not trained, and is as before when a run is over.
#[test]
fn what_does_not_require_gradients_stays_as_it_is() {
    let biases = |name: &str| name.ends_with("bias");
    let mut model = classifier();
    for (name, variable) in model.backbone().named_variables() {
        let _ = variable.set_requires_grad(biases(&name));
    }
    let before = weights(&model);
    let config = TrainConfig {
        freeze: Freeze::Layers(1),
        warmup: Warmup::Steps(0),
        ..fast()
    };
    let report = run(&mut model, config).expect("a run");
    let mut trained = 0;
    for (name, after) in weights(&model) {
        let is_trained = biases(&name) && !Freeze::Layers(1).covers(&name);
        if !name.ends_with("key.bias") {
            assert_eq!(after != before[&name], is_trained, "{name}");
        }
        trained += usize::from(is_trained) * after.numel();
    }
    assert_eq!(report.plan.trainable_parameters, trained);
    for (name, variable) in model.backbone().named_variables() {
        assert_eq!(variable.requires_grad(), biases(&name), "{name}");
    }
}

/// Factors so small that nothing moves by them.
#[test]
fn lower_layers_and_the_head_have_rates_of_their_own() {
    let moved = |config: TrainConfig| {
        let mut model = classifier();
        let before = weights(&model);
        let config = TrainConfig {
            warmup: Warmup::Steps(0),
            ..config
        };
        run(&mut model, config).expect("a run");
        // Some weights are 0, and however little is added to them is seen.
        let far = |(name, after): &(String, Tensor)| {
            let way = (after - &before[name]).abs().max();
            way.double_value(&[]) > 1e-9
        };
        let after = weights(&model).into_iter().filter(far);
        after.map(|(name, _)| name).collect::<BTreeSet<_>>()
    };
    let top = moved(TrainConfig {
        layer_decay: 1e-30,
        ..fast()
    });
    let last_layer = moved(TrainConfig {
        freeze: Freeze::Layers(1),
        ..fast()
    });
    assert_eq!(top, last_layer);
    assert!(top.contains("bert.encoder.layer.1.output.dense.weight"));
    let encoder = moved(TrainConfig {
        head_learning_rate: Some(1e-30),
        ..fast()
    });
    assert!(encoder.iter().all(|name| name.starts_with("bert.")));
    assert!(encoder.contains("bert.embeddings.word_embeddings.weight"));
}

/// A head with a running mean that no gradient moves.
struct Centred(Backbone, Linear, ClassCollator, RefCell<Tensor>);

impl FineTuner for Centred {
    type Collator = ClassCollator;

    fn backbone(&self) -> &Backbone {
        &self.0
    }
    fn collator(&self) -> Result<ClassCollator> {
        Ok(self.2.clone())
    }
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let pooled = self.0.encoder().pooled(inputs, train)?; // [B, H]
        let mut mean = self.3.borrow_mut();
        if train {
            let batch = pooled.detach().mean_dim(0, false, Kind::Float);
            let moved = bertfit::tch::no_grad(|| mean.f_lerp_(&batch, 0.1));
            let _ = moved.doing("moving the mean")?;
        }
        self.1.forward(&(pooled - &*mean))
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        ClassLoss::default().of(logits, target)
    }
}

#[test]
fn what_a_head_moves_by_itself_belongs_to_the_best_evaluation_too() {
    let (backbone, (head, mean)) = Backbone::builder(tiny())
        .build(|root, config| {
            let head = Linear::new(&(root / "head"), config.hidden_size, 2, 0.02)?;
            let mean = root.f_zeros_no_train("mean", &[config.hidden_size]);
            Ok((head, mean.doing("making a mean")?))
        })
        .expect("a model");
    let collator = classifier().collator().expect("a collator");
    let mut model = Centred(backbone, head, collator, RefCell::new(mean));
    // What is learnt is wrong of these rows, whose labels are the other ones.
    let contrary = |row: Example| Example {
        label: if row.label == "good" { "bad" } else { "good" }.to_owned(),
        ..row
    };
    let dev: Vec<Example> = eight().into_iter().map(contrary).collect();
    let config = TrainConfig {
        epochs: 6.0,
        ..fast()
    };
    let report = model.fit(&eight(), &dev, &config).expect("a run");
    assert!(
        report.best_step < Some(report.global_step),
        "the last is the best"
    );
    assert!(model.3.borrow().abs().sum(Kind::Float).double_value(&[]) > 0.0);
    let loss = model.evaluate(&dev).expect("an evaluation").loss;
    let best = report.best_metric.expect("a loss");
    assert!((loss - best).abs() < 1e-5, "{loss} {best}");
}
