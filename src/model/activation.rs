//! The function in the middle of a feed-forward layer, by its name in `config.json`.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::error::{Result, TorchContext};

/// The activation functions that BERT checkpoints name in `hidden_act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// Exact GELU, by the error function.
    #[default]
    Gelu,
    /// GELU by tanh, as in Google's original code.
    GeluNew,
    /// The same formula under its PyTorch name.
    GeluPytorchTanh,
    /// The same formula under a third name.
    GeluFast,
    /// max(0, x).
    Relu,
    /// x · sigmoid(x).
    Silu,
    /// The same under its older name.
    Swish,
    /// x · tanh(softplus(x)).
    Mish,
    /// Hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The function of each number of `x`, whatever its shape.
    ///
    /// # Errors
    /// When libtorch refuses the operation.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => x.f_gelu("none"),
            Self::GeluNew | Self::GeluPytorchTanh | Self::GeluFast => x.f_gelu("tanh"),
            Self::Relu => x.f_relu(),
            Self::Silu | Self::Swish => x.f_silu(),
            Self::Mish => x.f_mish(),
            Self::Tanh => x.f_tanh(),
        }
        .doing("applying the activation")
    }
}
