//! A panic in a model's own code leaves libtorch, and the model, as they were.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bertfit::tch::{Kind, Tensor};
use bertfit::{
    BertClassifier, FineTuner, Freeze, Inputs, Loss, Metric, Result, TrainConfig, Truncation,
};

use super::trainer::{classifier, fast};
use crate::fixture::{batch_of, eight};

/// Where a classifier panics, once.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    Nowhere,
    Logits,
    TrainingLogits,
    Loss,
    Metric,
}

struct Panicking(BertClassifier, Cell<Place>);

impl Panicking {
    fn at(&self, place: Place) {
        if self.1.get() == place {
            self.1.set(Place::Nowhere);
            panic!("a bug in a head");
        }
    }
}

struct Bad(bool, Box<dyn Metric<Tensor>>);

impl Metric<Tensor> for Bad {
    fn update(&mut self, logits: &Tensor, target: &Tensor) -> Result<()> {
        assert!(!self.0, "a bug in a metric");
        self.1.update(logits, target)
    }
    fn compute(&self) -> std::collections::BTreeMap<String, f64> {
        self.1.compute()
    }
}

impl FineTuner for Panicking {
    reads_as_classifier!(0);

    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.at(if train {
            Place::TrainingLogits
        } else {
            Place::Logits
        });
        self.0.logits(inputs, train)
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        self.at(Place::Loss);
        self.0.loss(logits, target)
    }
    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        let is_bad = self.1.get() == Place::Metric;
        Box::new(Bad(is_bad, self.0.metric()))
    }
}

fn panicking(place: Place) -> Panicking {
    Panicking(classifier(), Cell::new(place))
}

fn gradients_are_on() -> bool {
    let x = Tensor::from(1.0).set_requires_grad(true);
    (x * 2.0).requires_grad()
}

#[test]
fn a_prediction_or_an_evaluation_that_panics_leaves_gradients_on() {
    for place in [Place::Logits, Place::Loss, Place::Metric] {
        let mut model = panicking(place);
        let texts: Vec<String> = eight().into_iter().map(|row| row.text).collect();
        let panicked = catch_unwind(AssertUnwindSafe(|| match place {
            Place::Logits => {
                let backbone = model.backbone();
                let encoder = backbone.text_encoder(16, Truncation::default());
                let logits = model.predict_logits(&texts, &encoder.expect("an encoder"), 4096);
                drop(logits);
            }
            _ => drop(model.evaluate(&eight())),
        }));
        assert!(panicked.is_err(), "{place:?}");
        assert!(gradients_are_on(), "{place:?}");
        model.1.set(Place::Nowhere);
        model.fit(&eight(), &eight(), &fast()).expect("a run");
    }
}

#[test]
fn training_that_panics_leaves_the_model_for_other_loops() {
    let mut model = panicking(Place::TrainingLogits);
    let config = TrainConfig {
        freeze: Freeze::Layers(1),
        gradient_checkpointing: true,
        ..fast()
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| model.fit(&eight(), &eight(), &config)));
    assert!(panicked.is_err());
    assert!(gradients_are_on());
    // A loop of one's own: all weights are trained, through a whole graph, with dense gradients.
    let batch = batch_of(&model, &eight());
    let logits = model.logits(&batch.inputs, true).expect("logits");
    let loss = model.loss(&logits, &batch.target).expect("a loss");
    loss.sum.backward();
    for (name, weight) in model.backbone().named_variables() {
        let gradient = weight.grad();
        assert!(gradient.defined() && !gradient.is_sparse(), "{name}");
    }
    let words = &model.backbone().named_variables()["bert.embeddings.word_embeddings.weight"];
    assert!(words.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0);
}
