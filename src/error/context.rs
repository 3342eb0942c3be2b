//! What was being done, and to which file, for errors of others.

use std::io;
use std::path::Path;

use tch::TchError;

use super::{Error, Result};

/// Attaches what was being done to a libtorch error, so that operators which may fail can be
/// used with `?` in a task of one's own. Where they are not used, memory that runs out is a panic
/// that training cannot react to.
///
/// ```
/// use bertfit::tch::{Kind, Tensor};
/// use bertfit::{Result, TorchContext};
///
/// fn mean(x: &Tensor) -> Result<Tensor> {
///     x.f_mean(Kind::Float).doing("taking the mean")
/// }
/// # mean(&Tensor::from_slice(&[1.0_f32])).unwrap();
/// ```
pub trait TorchContext<T> {
    /// The result, whose error is [`Error::Torch`] and says what was being done.
    ///
    /// # Errors
    /// libtorch's.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T> TorchContext<T> for Result<T, TchError> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|source| Error::Torch {
            doing: what.to_owned(),
            source,
        })
    }
}

/// Attaches the path to an error of reading or writing.
pub(crate) trait PathContext<T> {
    fn reading(self, path: &Path) -> Result<T>;
    fn writing(self, path: &Path) -> Result<T>;
}

impl<T> PathContext<T> for io::Result<T> {
    fn reading(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })
    }

    fn writing(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
    }
}
