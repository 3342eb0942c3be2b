//! AdamW for a table of which a batch uses few rows, such as word embeddings: the same
//! numbers, bit for bit, as libtorch's kernel gives for a gradient that is zero everywhere else,
//! in a fraction of the time. A row that never had a gradient has no moments; all that happens
//! to it is decay.

use tch::{TchError, Tensor};

use crate::native::adamw::Step;
use crate::native::{self, floats};

/// The rows of one table that have had a gradient.
#[derive(Debug)]
pub(super) struct Rows(Vec<bool>);

impl Rows {
    /// Of a table with these second moments, `[rows, H]`: rows without any have had no
    /// gradient, or might as well.
    pub(super) fn of(exp_avg_sq: &Tensor) -> Result<Self, TchError> {
        let used = exp_avg_sq.f_ne(0.0)?.f_any_dim(1, false)?;
        Vec::try_from(used).map(Self)
    }

    /// Moves `weight`, `[rows, H]`, and its moments. `gradient` is sparse and coalesced.
    pub(super) fn step(
        &mut self,
        [weight, exp_avg, exp_avg_sq]: [&Tensor; 3],
        gradient: &Tensor,
        step: Step,
    ) -> Result<(), TchError> {
        let places = Vec::<i64>::try_from(gradient.f_indices()?.f_get(0)?)?;
        let values = gradient.f_values()?.f_contiguous()?;
        let width = weight.size()[1] as usize;
        let factors = step.factors();
        // A row for each thread's turn; the places are in order.
        let threads = tch::get_num_threads().max(1) as usize;
        let at_once = self.0.len().div_ceil(threads);
        floats([weight, exp_avg, exp_avg_sq, &values], |[w, m, v, g]| {
            let g: &[f32] = g;
            let parts = w
                .chunks_mut(at_once * width)
                .zip(m.chunks_mut(at_once * width))
                .zip(v.chunks_mut(at_once * width))
                .zip(self.0.chunks_mut(at_once));
            native::in_parallel(parts.enumerate(), |(part, (((w, m), v), used))| {
                let first = part * at_once;
                let mut next = places.partition_point(|&place| (place as usize) < first);
                let rows = w
                    .chunks_exact_mut(width)
                    .zip(m.chunks_exact_mut(width))
                    .zip(v.chunks_exact_mut(width))
                    .zip(used);
                for (row, (((w, m), v), used)) in rows.enumerate() {
                    if places.get(next) == Some(&((first + row) as i64)) {
                        let g = &g[next * width..][..width];
                        *used = true;
                        next += 1;
                        factors.with_gradient([w, m, v], g);
                    } else if *used {
                        factors.without_gradient([w, m, v]);
                    } else {
                        factors.without_moments(w);
                    }
                }
            })
        })?
    }
}
