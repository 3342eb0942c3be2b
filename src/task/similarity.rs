//! Vectors compared by their cosines: with each other, and with those of a corpus that is
//! searched.

use std::cmp::Ordering;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};

/// So many vectors of a corpus, and queries, have their cosines in memory at a time.
const VECTORS: usize = 4096;
const QUERIES: usize = 256;

/// The cosine of each row of `a` with each row of `b`: `[N, H]` and `[M, H]` to `[N, M]`.
/// That of a vector of zeros is 0.
///
/// # Panics
/// When the vectors are not equally long.
pub fn cosine_similarity(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f32> {
    unit(a).dot(&unit(b).t())
}

/// The cosine of each row of `a` with the same row of `b`: `[N, H]` both, to `[N]`.
///
/// # Panics
/// When the shapes differ.
pub fn paired_cosine_similarity(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array1<f32> {
    assert_eq!(a.dim(), b.dim(), "two matrices of one shape");
    (unit(a) * unit(b)).sum_axis(Axis(1))
}

/// Each row divided by its length.
fn unit(x: ArrayView2<f32>) -> Array2<f32> {
    let length = |row: ArrayView1<f32>| row.dot(&row).sqrt().max(1e-12);
    let lengths = x.map_axis(Axis(1), length);
    &x / &lengths.insert_axis(Axis(1))
}

/// Embeddings in memory, to be searched.
#[derive(Debug, Clone)]
pub struct Corpus {
    unit: Array2<f32>, // [M, H]
}

/// What a search has found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SearchHit {
    /// Row of the corpus, from 0.
    pub row: usize,
    /// Its cosine with what was searched for.
    pub score: f32,
}

impl SearchHit {
    /// The better one first; of equals, the one with the lower row.
    fn order(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(self.row.cmp(&other.row))
    }
}

impl Corpus {
    /// The corpus of these embeddings, `[M, H]`.
    pub fn new(embeddings: ArrayView2<f32>) -> Self {
        Self {
            unit: unit(embeddings),
        }
    }

    /// Number of embeddings.
    pub fn len(&self) -> usize {
        self.unit.nrows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `top_k` nearest embeddings of each query, or all where there are fewer, the
    /// nearest first: `queries` is `[N, H]`. All cosines are computed, so that none is
    /// missed.
    ///
    /// # Errors
    /// When `top_k` is 0, or queries are of another length than the corpus.
    pub fn search(&self, queries: ArrayView2<f32>, top_k: usize) -> Result<Vec<Vec<SearchHit>>> {
        if top_k == 0 {
            return Err(Error::config("top_k", "at least 1", top_k));
        }
        if queries.ncols() != self.unit.ncols() {
            let rule = format!("of {} numbers, as the corpus is", self.unit.ncols());
            return Err(Error::config("queries", rule, queries.ncols()));
        }
        let queries = unit(queries);
        let mut found: Vec<Vec<SearchHit>> = vec![Vec::new(); queries.nrows()];
        for (found, queries) in found
            .chunks_mut(QUERIES)
            .zip(queries.axis_chunks_iter(Axis(0), QUERIES))
        {
            for (number, vectors) in self.unit.axis_chunks_iter(Axis(0), VECTORS).enumerate() {
                let scores = queries.dot(&vectors.t());
                for (found, scores) in found.iter_mut().zip(scores.rows()) {
                    keep_best(found, number * VECTORS, scores, top_k);
                }
            }
        }
        Ok(found)
    }
}

/// Adds the scores of the rows from `first` on, and keeps the best, in order.
fn keep_best(hits: &mut Vec<SearchHit>, first: usize, scores: ArrayView1<f32>, top_k: usize) {
    let hit = |(row, &score): (usize, &f32)| match score.is_nan() {
        // A vector that is none is like nothing.
        true => SearchHit { row, score: -1.0 },
        false => SearchHit { row, score },
    };
    hits.extend((first..).zip(scores).map(hit));
    if hits.len() > top_k {
        hits.select_nth_unstable_by(top_k - 1, SearchHit::order);
        hits.truncate(top_k);
    }
    hits.sort_by(SearchHit::order);
}
