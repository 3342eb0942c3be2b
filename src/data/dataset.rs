//! What training reads: rows that can be asked for by index, in any order and
//! from several threads. In-memory examples are data sets as they stand; `Subset`
//! shows some rows of another data set. No order and no batches are made here.

use std::sync::Arc;

use crate::error::{Error, Result};

/// Rows by index.
///
/// Implemented for slices, arrays and `Vec`s of examples, for [`Subset`], and through
/// references, `Box` and `Arc`. A part of a `Vec` is given as `&&rows[..800]`, since a slice
/// has no size that is known, or as [`Subset::first`]`(&rows, 800)`. Where this trait is in
/// scope, write `vec.as_slice().get(i)` for the `get` of a slice.
pub trait Dataset: Sync {
    /// One row.
    type Item;

    /// Number of rows.
    fn len(&self) -> usize;

    /// The row at `index`, which counts from 0.
    ///
    /// # Errors
    /// When the row cannot be read; one in memory always can.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    fn get(&self, index: usize) -> Result<Self::Item>;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone + Sync> Dataset for [T] {
    type Item = T;

    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    fn get(&self, index: usize) -> Result<T> {
        Ok(self[index].clone())
    }
}

impl<T: Clone + Sync, const N: usize> Dataset for [T; N] {
    type Item = T;

    fn len(&self) -> usize {
        N
    }

    fn get(&self, index: usize) -> Result<T> {
        Ok(self[index].clone())
    }
}

impl<T: Clone + Sync> Dataset for Vec<T> {
    type Item = T;

    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn get(&self, index: usize) -> Result<T> {
        Ok(self[index].clone())
    }
}

/// Passes both methods on to what the pointer points to.
macro_rules! through_a_pointer {
    ($($pointer:ty where $($bound:path),+;)+) => {$(
        impl<D: Dataset + ?Sized $(+ $bound)+> Dataset for $pointer {
            type Item = D::Item;

            fn len(&self) -> usize {
                (**self).len()
            }

            fn get(&self, index: usize) -> Result<D::Item> {
                (**self).get(index)
            }
        }
    )+};
}

through_a_pointer! {
    &D where Sync;
    Box<D> where Sync;
    // An `Arc` may be dropped on another thread than the one that made it.
    Arc<D> where Sync, Send;
}

/// Some rows of another data set, in an order of its own; rows may repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The rows of `dataset` at `indices`. Give a reference (`&dataset`) to keep
    /// the data set itself.
    ///
    /// # Errors
    /// [`Error::Config`] when an index is not below the number of rows.
    pub fn new(dataset: D, indices: Vec<usize>) -> Result<Self> {
        let rows = dataset.len();
        if let Some(index) = indices.iter().find(|&&index| index >= rows) {
            let rule = format!("below {rows}, the number of rows");
            return Err(Error::config("indices", rule, index));
        }
        Ok(Self { dataset, indices })
    }

    /// The first `rows` rows of `dataset`, or all where it has fewer.
    pub fn first(dataset: D, rows: usize) -> Self {
        let indices = (0..rows.min(dataset.len())).collect();
        Self { dataset, indices }
    }

    /// Where the rows stand in the whole data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<D::Item> {
        self.dataset.get(self.indices[index])
    }
}
