//! AdamW for a table of which a batch uses few rows, such as word embeddings: the same
//! numbers as libtorch's kernel gives for a gradient that is zero everywhere else, in a
//! fraction of the time. A row that never had a gradient has no moments; all that happens
//! to it is decay.

use tch::{TchError, Tensor};

use crate::native::{self, floats};

/// The rows of one table that have had a gradient.
#[derive(Debug)]
pub(super) struct Rows(Vec<bool>);

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) learning_rate: f64,
    pub(super) gradient_factor: f64,
    pub(super) betas: (f64, f64),
    pub(super) eps: f64,
    pub(super) weight_decay: f64,
    /// Steps that the table has made, this one included.
    pub(super) count: f64,
}

/// The same, as each element needs them.
#[derive(Clone, Copy)]
struct Factors {
    gradient: f32,
    first: f32,
    second: f32,
    kept: f32,
    size: f32,
    root: f32,
    eps: f32,
}

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
                        factors.with_gradient(w, m, v, g);
                    } else if *used {
                        factors.without_gradient(w, m, v);
                    } else if factors.kept != 1.0 {
                        w.iter_mut().for_each(|w| *w *= factors.kept);
                    }
                }
            })
        })?
    }
}

impl Step {
    fn factors(self) -> Factors {
        let correction = |beta: f64| 1.0 - beta.powf(self.count);
        Factors {
            gradient: self.gradient_factor as f32,
            first: self.betas.0 as f32,
            second: self.betas.1 as f32,
            kept: (1.0 - self.learning_rate * self.weight_decay) as f32,
            size: (self.learning_rate / correction(self.betas.0)) as f32,
            root: correction(self.betas.1).sqrt().recip() as f32,
            eps: self.eps as f32,
        }
    }
}

impl Factors {
    fn with_gradient(self, w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) {
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * self.gradient;
            *m += (1.0 - self.first) * (g - *m);
            *v = self.second * *v + (1.0 - self.second) * g * g;
            *w = self.kept * *w - self.size * *m / (v.sqrt() * self.root + self.eps);
        }
    }

    fn without_gradient(self, w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        for ((w, m), v) in w.iter_mut().zip(m).zip(v) {
            *m *= self.first;
            *v *= self.second;
            *w = self.kept * *w - self.size * *m / (v.sqrt() * self.root + self.eps);
        }
    }
}
