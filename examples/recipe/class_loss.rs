//! What a classifier of one class a row is trained to make small.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bertfit::{ClassLoss, Error, Labels, Result};
use clap::Args;

/// The flags of such a classifier.
#[derive(Args)]
pub struct LossArgs {
    /// What rows of each class weigh: balanced (all classes together the same), or a JSON file with
    /// a number for each name
    #[arg(long, value_name = "balanced|FILE", requires = "train")]
    class_weights: Option<String>,
    /// Share of the target that is spread over all classes
    #[arg(
        long,
        default_value_t = 0.0,
        requires = "train",
        conflicts_with = "focal_gamma"
    )]
    label_smoothing: f64,
    /// Exponent of the focal loss: the higher, the less rows count that are right already
    #[arg(long, default_value_t = 0.0, requires = "train")]
    focal_gamma: f64,
}

impl LossArgs {
    /// The first of the flags that is given.
    pub fn given(&self) -> Option<&'static str> {
        match self {
            Self {
                class_weights: Some(_),
                ..
            } => Some("--class-weights"),
            Self {
                label_smoothing, ..
            } if *label_smoothing != 0.0 => Some("--label-smoothing"),
            Self { focal_gamma, .. } if *focal_gamma != 0.0 => Some("--focal-gamma"),
            _ => None,
        }
    }

    /// What is wrong with the numbers.
    pub fn check(&self) -> std::result::Result<(), String> {
        self.unweighted().validate(2).map_err(|error| error.chain())
    }

    fn unweighted(&self) -> ClassLoss {
        ClassLoss {
            label_smoothing: self.label_smoothing,
            focal_gamma: self.focal_gamma,
            class_weights: None,
        }
    }

    /// The loss of these classes; `counts` has the rows of each in the training set.
    pub fn loss(
        &self,
        labels: &Labels,
        counts: impl FnOnce() -> Result<Vec<usize>>,
    ) -> Result<ClassLoss> {
        let class_weights = match self.class_weights.as_deref() {
            None => None,
            Some("balanced") => ClassLoss::balanced(&counts()?)?.class_weights,
            Some(path) => Some(weights(Path::new(path), labels)?),
        };
        Ok(ClassLoss {
            class_weights,
            ..self.unweighted()
        })
    }
}

/// The weights in a file, in the order of the labels' ids.
fn weights(path: &Path, labels: &Labels) -> Result<Vec<f32>> {
    let file = || PathBuf::from(path);
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: file(),
        source,
    })?;
    let mut by_name: BTreeMap<String, f32> =
        serde_json::from_str(&text).map_err(|source| Error::Json {
            path: file(),
            source,
        })?;
    let refuse = |problem| Error::File {
        path: file(),
        problem,
    };
    let names = labels.names().iter();
    let weights = names.map(|name| {
        let weight = by_name.remove(name);
        weight.ok_or_else(|| refuse(format!("there is no weight of the class {name:?}")))
    });
    let weights = weights.collect::<Result<Vec<f32>>>()?;
    match by_name.keys().next() {
        None => Ok(weights),
        Some(name) => Err(refuse(format!("there is no class {name:?}"))),
    }
}
