//! Which weights training leaves alone. Frozen weights take part in the forward
//! pass, but libtorch keeps neither gradients nor activations for them.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::error::{Error, Result, TorchContext};
use crate::model::Backbone;
use crate::native;
use crate::train::place::Place;

/// The part of the model that stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Freeze {
    /// Nothing; all weights are trained.
    #[default]
    None,
    /// The embeddings.
    Embeddings,
    /// The embeddings and the first so many layers.
    Layers(usize),
    /// The whole encoder with its pooler; only the head is trained.
    Encoder,
}

impl FromStr for Freeze {
    type Err = Error;

    /// Reads `none`, `embeddings`, `encoder`, or a number of layers.
    fn from_str(text: &str) -> Result<Self> {
        match (text, text.parse()) {
            ("none", _) => Ok(Self::None),
            ("embeddings", _) => Ok(Self::Embeddings),
            ("encoder", _) => Ok(Self::Encoder),
            (_, Ok(layers)) => Ok(Self::Layers(layers)),
            _ => {
                let rule = "none, embeddings, encoder, or a number of layers";
                Err(Error::config("freeze", rule, text))
            }
        }
    }
}

impl Freeze {
    /// Whether the weight of this name stays as it is.
    pub fn covers(self, name: &str) -> bool {
        match (self, Place::of(name)) {
            (Self::None, _) | (_, Place::Head) => false,
            (Self::Encoder, _) | (_, Place::Embeddings) => true,
            (Self::Layers(first), Place::Layer(layer)) => layer < first,
            _ => false,
        }
    }

    /// The layers that stay as they are, of so many.
    pub(super) fn frozen_layers(self, layers: usize) -> usize {
        match self {
            Self::None | Self::Embeddings => 0,
            Self::Layers(first) => first,
            Self::Encoder => layers,
        }
    }

    /// Freezes weights accordingly, and returns the trainable ones. What does not require a
    /// gradient already, since its owner has frozen it or never trains it, stays so. A
    /// [`Trainer`](crate::Trainer) does so by itself, and undoes it in the end.
    ///
    /// # Errors
    /// When there are fewer layers, or nothing is left to train.
    pub fn apply(self, backbone: &Backbone) -> Result<BTreeMap<String, Tensor>> {
        let layers = backbone.config().num_hidden_layers;
        let variables = &backbone.named_variables();
        if let Self::Layers(first) = self
            && first > layers as usize
        {
            let rule = format!("at most {layers}, the encoder's layers");
            return Err(Error::config("freeze", rule, first));
        }
        // An earlier run may have left gradients, which are not this one's.
        native::drop_gradients(variables.values()).doing("taking gradients away")?;
        let mut trainable = BTreeMap::new();
        for (name, variable) in variables {
            let trained = variable.requires_grad() && !self.covers(name);
            let _ = variable
                .f_set_requires_grad(trained)
                .doing("freezing weights")?;
            if trained {
                trainable.insert(name.clone(), variable.shallow_clone());
            }
        }
        if trainable.is_empty() {
            let (rule, got) = (
                "a setting that leaves a weight to train",
                format!("{self:?}"),
            );
            return Err(Error::config("freeze", rule, got));
        }
        Ok(trainable)
    }
}

/// Which weights required gradients before a run; they do again when this is dropped.
pub(super) struct Unfreeze(Vec<(Tensor, bool)>);

impl Unfreeze {
    pub(super) fn as_now(variables: &BTreeMap<String, Tensor>) -> Self {
        let flag = |variable: &Tensor| (variable.shallow_clone(), variable.requires_grad());
        Self(variables.values().map(flag).collect())
    }
}

impl Drop for Unfreeze {
    fn drop(&mut self) {
        for (variable, required) in &self.0 {
            // Only what is no leaf is refused, which no variable is.
            let _ = variable.f_set_requires_grad(*required);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_their_names() {
        for (text, freeze) in [
            ("none", Freeze::None),
            ("embeddings", Freeze::Embeddings),
            ("encoder", Freeze::Encoder),
            ("4", Freeze::Layers(4)),
        ] {
            assert_eq!(text.parse::<Freeze>().expect("a setting"), freeze);
        }
        for text in ["", "head", "-1", "1.5"] {
            let error = text.parse::<Freeze>().expect_err("no setting");
            assert!(error.to_string().contains("number of layers"), "{error}");
        }
    }

    #[test]
    fn each_setting_covers_its_part() {
        let names = [
            "bert.embeddings.word_embeddings.weight",
            "bert.encoder.layer.0.output.dense.weight",
            "bert.pooler.dense.weight",
            "classifier.weight",
        ];
        let covered = |freeze: Freeze| names.map(|name| freeze.covers(name));
        assert_eq!(covered(Freeze::None), [false; 4]);
        assert_eq!(covered(Freeze::Embeddings), [true, false, false, false]);
        assert_eq!(covered(Freeze::Layers(0)), [true, false, false, false]);
        assert_eq!(covered(Freeze::Layers(1)), [true, true, false, false]);
        assert_eq!(covered(Freeze::Encoder), [true, true, true, false]);
    }
}
