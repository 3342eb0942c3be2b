//! The three kinds of layer with weights of their own: dense, layer norm and
//! embedding. Each makes its variables under the names of the published
//! checkpoints, and reports libtorch's refusals as errors instead of panicking.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::error::{Result, TorchContext};

/// A dense layer, `y = x · weightᵀ + bias`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor, // [out, in]
    bias: Tensor,   // [out]
}

impl Linear {
    /// Makes `weight` (normal, standard deviation `std`) and `bias` (zero) under
    /// `path`. BERT initialises its layers and heads so, with the
    /// configuration's `initializer_range` as `std`.
    ///
    /// # Errors
    /// When libtorch cannot make the tensors.
    pub fn new(path: &Path, inputs: i64, outputs: i64, std: f64) -> Result<Self> {
        let init = Init::Randn {
            mean: 0.0,
            stdev: std,
        };
        Ok(Self {
            weight: path
                .f_var("weight", &[outputs, inputs], init)
                .doing("making a weight")?,
            bias: path
                .f_var("bias", &[outputs], Init::Const(0.0))
                .doing("making a bias")?,
        })
    }

    /// `[…, in]` to `[…, out]`.
    ///
    /// # Errors
    /// When the last dimension of `x` is not the layer's.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.f_linear(&self.weight, Some(&self.bias))
            .doing("applying a dense layer")
    }

    /// The same layer with the same weights.
    pub(super) fn shared(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
        }
    }

    /// The weight `[out, in]` and the bias `[out]`.
    pub(crate) fn parts(&self) -> (&Tensor, &Tensor) {
        (&self.weight, &self.bias)
    }

    pub(crate) fn is_trained(&self) -> bool {
        self.weight.requires_grad() || self.bias.requires_grad()
    }
}

/// Layer normalisation over the last dimension.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor, // [H]
    bias: Tensor,   // [H]
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(path: &Path, size: i64, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: path
                .f_var("weight", &[size], Init::Const(1.0))
                .doing("making a norm")?,
            bias: path
                .f_var("bias", &[size], Init::Const(0.0))
                .doing("making a norm")?,
            eps,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.f_layer_norm(
            self.weight.size(),
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
            true,
        )
        .doing("normalising a layer")
    }

    /// The same norm with the same weights.
    pub(super) fn shared(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            eps: self.eps,
        }
    }

    /// The weight and the bias, `[H]`, and what is added to the variance.
    pub(crate) fn parts(&self) -> ((&Tensor, &Tensor), f64) {
        ((&self.weight, &self.bias), self.eps)
    }

    pub(crate) fn is_trained(&self) -> bool {
        self.weight.requires_grad() || self.bias.requires_grad()
    }
}

/// A table of vectors, one for each id.
#[derive(Debug)]
pub(crate) struct Embedding {
    weight: Tensor, // [rows, H]
    padding_id: i64,
}

impl Embedding {
    /// `padding_id` is the id whose vector takes no gradient, as in PyTorch's
    /// `Embedding(padding_idx)`; -1 for none. Fresh, that vector is zero.
    pub(crate) fn new(
        path: &Path,
        rows: i64,
        size: i64,
        std: f64,
        padding_id: i64,
    ) -> Result<Self> {
        let init = Init::Randn {
            mean: 0.0,
            stdev: std,
        };
        let weight = path
            .f_var("weight", &[rows, size], init)
            .doing("making an embedding")?;
        if padding_id >= 0 {
            let zeroed = tch::no_grad(|| weight.f_get(padding_id)?.f_zero_());
            let _ = zeroed.doing("zeroing the padding vector")?;
        }
        Ok(Self { weight, padding_id })
    }

    /// The same table with the same weights.
    pub(super) fn shared(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            padding_id: self.padding_id,
        }
    }

    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// With `sparse`, the gradient holds only the rows that were looked up.
    pub(crate) fn forward(&self, ids: &Tensor, sparse: bool) -> Result<Tensor> {
        Tensor::f_embedding(&self.weight, ids, self.padding_id, false, sparse)
            .doing("looking up embeddings")
    }
}
