//! AdamW (Loshchilov and Hutter 2019) for a few numbers of a weight, rounded as libtorch's fused
//! kernel rounds: it takes fused multiply-adds where the processor has them.

/// The numbers of one step of a weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) learning_rate: f64,
    pub(crate) gradient_factor: f64,
    pub(crate) betas: (f64, f64),
    pub(crate) eps: f64,
    pub(crate) weight_decay: f64,
    /// Steps that the weight has made, this one included.
    pub(crate) count: f64,
}

/// The same, as each element needs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors {
    /// What gradients are divided by.
    divisor: f32,
    /// What of a gradient goes into the moments.
    first_share: f32,
    second_share: f32,
    /// What the second moment keeps.
    second_rate: f32,
    /// What decay leaves of a weight.
    kept: f32,
    size: f32,
    /// Root of the second moment's correction.
    root: f32,
    eps: f32,
}

impl Step {
    /// Shares are those of the exact rates: 1 − 0.999 of float32 numbers is wrong in the fifth
    /// digit.
    pub(crate) fn factors(self) -> Factors {
        let (first, second) = self.betas;
        let correction = |rate: f64| 1.0 - rate.powf(self.count);
        Factors {
            divisor: (1.0 / self.gradient_factor) as f32,
            first_share: (1.0 - first) as f32,
            second_share: (1.0 - second) as f32,
            second_rate: second as f32,
            kept: (1.0 - self.learning_rate * self.weight_decay) as f32,
            size: (-self.learning_rate / correction(first)) as f32,
            root: correction(second).sqrt() as f32,
            eps: self.eps as f32,
        }
    }
}

impl Factors {
    /// Moves weights and moments by gradients, all of one length.
    pub(crate) fn with_gradient(self, moved: [&mut [f32]; 3], gradient: &[f32]) {
        let divisor = self.divisor;
        self.move_by(moved, gradient.iter().map(|g| g / divisor));
    }

    /// The same where the gradient is zero.
    pub(crate) fn without_gradient(self, moved: [&mut [f32]; 3]) {
        self.move_by(moved, std::iter::repeat(0.0));
    }

    /// The same where the moments are zero too.
    pub(crate) fn without_moments(self, weights: &mut [f32]) {
        if self.kept != 1.0 {
            weights.iter_mut().for_each(|weight| *weight *= self.kept);
        }
    }

    fn move_by(self, moved: [&mut [f32]; 3], gradient: impl Iterator<Item = f32>) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            fn fused(
                factors: Factors,
                moved: [&mut [f32]; 3],
                gradient: impl Iterator<Item = f32>,
            ) {
                factors.each(moved, gradient, f32::mul_add);
            }
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                // SAFETY: the processor has both.
                unsafe { fused(self, moved, gradient) };
            } else {
                self.each(moved, gradient, |a, b, c| a * b + c);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.each(moved, gradient, f32::mul_add);
    }

    #[inline(always)]
    fn each(
        self,
        [weights, first, second]: [&mut [f32]; 3],
        gradient: impl Iterator<Item = f32>,
        multiply_add: impl Fn(f32, f32, f32) -> f32,
    ) {
        let moved = weights.iter_mut().zip(first).zip(second).zip(gradient);
        for (((w, m), v), g) in moved {
            let change = g - *m;
            // As torch.lerp, which begins at the nearer end.
            *m = match self.first_share < 0.5 {
                true => multiply_add(self.first_share, change, *m),
                false => multiply_add(self.first_share - 1.0, change, g),
            };
            *v = multiply_add(self.second_share * g, g, *v * self.second_rate);
            *w = *w * self.kept + self.size * *m / (v.sqrt() / self.root + self.eps);
        }
    }
}
