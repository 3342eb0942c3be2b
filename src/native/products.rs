//! Which library computes float32 matrix products on the CPU. libtorch asks MKL unless
//! its `float32_matmul_precision` is `medium`; then oneDNN, which is faster on many
//! CPUs. The switch is one for the process.

use std::ffi::c_int;
use std::sync::{Mutex, OnceLock, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::{bertfit_matmul_precision, check};

/// libtorch's numbers for its precisions.
const HIGHEST: c_int = 0;
const MEDIUM: c_int = 2;

/// How many regions want oneDNN now, and what the precision was before the first.
static WANTED: Mutex<(usize, c_int)> = Mutex::new((0, HIGHEST));

/// While one lives, float32 products go to oneDNN, if that computes them in float32 on
/// this CPU. Results differ by rounding only.
pub(crate) struct OneDnn(());

impl OneDnn {
    /// `None` where it would be no gain: on a GPU, or if oneDNN uses shorter numbers.
    pub(crate) fn begin(device: Device) -> Result<Option<Self>, TchError> {
        if device != Device::Cpu || !is_exact()? {
            return Ok(None);
        }
        let mut wanted = WANTED.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.0 == 0 {
            wanted.1 = switch(MEDIUM)?;
        }
        wanted.0 += 1;
        Ok(Some(Self(())))
    }
}

impl Drop for OneDnn {
    fn drop(&mut self) {
        let mut wanted = WANTED.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.0 -= 1;
        if wanted.0 == 0
            && let Err(error) = switch(wanted.1)
        {
            log::error!("libtorch failed to leave oneDNN: {error}");
        }
    }
}

/// Sets the precision; returns what it was.
fn switch(precision: c_int) -> Result<c_int, TchError> {
    let mut was = HIGHEST;
    // SAFETY: `was` may be written.
    check(unsafe { bertfit_matmul_precision(precision, &mut was) })?;
    Ok(was)
}

/// Whether products by oneDNN are float32 ones here. With AMX they need not be: then
/// `medium` allows bfloat16 inside, with an error of one in 256.
fn is_exact() -> Result<bool, TchError> {
    static EXACT: OnceLock<bool> = OnceLock::new();
    if let Some(&exact) = EXACT.get() {
        return Ok(exact);
    }
    let probe = || -> Result<bool, TchError> {
        // Numbers that bfloat16 cannot hold, without a draw from the user's generator.
        let numbers = Tensor::f_arange(256 * 256, (Kind::Double, Device::Cpu))?;
        let numbers = numbers
            .f_mul_scalar(0.734_551)?
            .f_sin()?
            .f_view([256, 256])?;
        let exact = numbers.f_matmul(&numbers)?;
        let single = numbers.f_to_kind(Kind::Float)?;
        let was = switch(MEDIUM)?;
        let product = single.f_matmul(&single);
        switch(was)?;
        let error = (product?.f_to_kind(Kind::Double)? - exact)
            .f_abs()?
            .f_max()?;
        Ok(error.f_double_value(&[])? < 1e-4)
    };
    let exact = tch::no_grad(probe)?;
    Ok(*EXACT.get_or_init(|| exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_on_while_anyone_wants_it() {
        let is_on = || {
            let was = switch(HIGHEST).expect("a switch");
            switch(was).expect("a switch");
            was == MEDIUM
        };
        let before = is_on();
        let first = OneDnn::begin(Device::Cpu).expect("a region");
        assert_eq!(is_on(), first.is_some() || before);
        let second = OneDnn::begin(Device::Cpu).expect("a region");
        drop(first);
        assert_eq!(is_on(), second.is_some() || before);
        drop(second);
        assert_eq!(is_on(), before);
        assert!(OneDnn::begin(Device::Cuda(0)).expect("none").is_none());
    }
}
