//! Which library computes float32 matrix products on the CPU. libtorch asks MKL unless
//! its `float32_matmul_precision` is `medium`; then oneDNN, which is faster on many
//! CPUs. The switch is one for the process, and for GPUs too: there `medium` allows TF32.

use std::ffi::c_int;
use std::sync::{Mutex, OnceLock, PoisonError};

use tch::{Cuda, Device, Kind, TchError, Tensor};

use super::{bertfit_matmul_precision, check};

/// libtorch's numbers for its precisions.
const HIGHEST: c_int = 0;
const MEDIUM: c_int = 2;

/// What the regions of all threads have in common.
struct Shared {
    /// How many want oneDNN now.
    regions: usize,
    /// The precision before the first.
    before: c_int,
    /// Whether oneDNN's products are float32 ones here; not known before the first is tried.
    exact: Option<bool>,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared {
    regions: 0,
    before: HIGHEST,
    exact: None,
});

/// While one lives, float32 products go to oneDNN, if that is faster and computes them in
/// float32 on this CPU. Results differ by rounding only.
pub(crate) struct OneDnn(());

impl OneDnn {
    /// `None` where it would be no gain, or not for this model alone.
    pub(crate) fn begin(device: Device) -> Result<Option<Self>, TchError> {
        let gpus = || Cuda::device_count() > 0;
        if !is_a_gain(device, cpu_has_avx512(), gpus) {
            return Ok(None);
        }
        Self::take()
    }

    /// `None` where oneDNN uses shorter numbers.
    fn take() -> Result<Option<Self>, TchError> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: no region may begin or end while the precision is tried.
        let exact = match shared.exact {
            Some(exact) => exact,
            None => {
                let exact = is_exact()?;
                shared.exact = exact;
                exact.unwrap_or(false)
            }
        };
        if !exact {
            return Ok(None);
        }
        if shared.regions == 0 {
            shared.before = switch(MEDIUM)?;
        }
        shared.regions += 1;
        Ok(Some(Self(())))
    }
}

impl Drop for OneDnn {
    fn drop(&mut self) {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.regions -= 1;
        if shared.regions == 0
            && let Err(error) = switch(shared.before)
        {
            log::error!("libtorch failed to leave oneDNN: {error}");
        }
    }
}

/// The product of a `[M, K]` and b `[K, N]`, `[M, N]`: a float32 one of float32 matrices, as its
/// gradients are, where libtorch's own is not.
pub(crate) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    if are_exact(a)? {
        return a.f_matmul(b);
    }
    // That of a dense layer with a bias is.
    let weight = b.f_transpose(0, 1)?.f_contiguous()?;
    let zero = Tensor::f_zeros(&weight.size()[..1], (Kind::Float, Device::Cpu))?;
    a.f_linear(&weight, Some(&zero))
}

/// The same of `[B, M, K]` and `[B, K, N]`.
pub(crate) fn bmm(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    if are_exact(a)? {
        return a.f_bmm(b);
    }
    let (a, b) = (a.f_unbind(0)?, b.f_unbind(0)?);
    let products = a.iter().zip(&b).map(|(a, b)| matmul(a, b));
    Tensor::f_stack(&products.collect::<Result<Vec<_>, _>>()?, 0)
}

/// Whether libtorch's products of matrices like x are computed in the numbers that they have. Those
/// of float32 by version 2.4 are not on ARM where it has bfloat16 units (pytorch/pytorch#130919).
pub(crate) fn are_exact(x: &Tensor) -> Result<bool, TchError> {
    static EXACT: OnceLock<bool> = OnceLock::new();
    let is_asked = cfg!(target_arch = "aarch64") && x.device() == Device::Cpu;
    if !is_asked || x.kind() != Kind::Float {
        return Ok(true);
    }
    match EXACT.get() {
        Some(exact) => Ok(*exact),
        None => {
            let exact = error_of_product(product)? < 1e-4;
            Ok(*EXACT.get_or_init(|| exact))
        }
    }
}

/// libtorch takes oneDNN for float32 products only on CPUs with AVX512, whatever the switch says.
/// Where there is a GPU, the switch would change another model's products there.
fn is_a_gain(device: Device, cpu_has_avx512: bool, gpus: impl FnOnce() -> bool) -> bool {
    device == Device::Cpu && cpu_has_avx512 && !gpus()
}

/// Whether the CPU has what libtorch asks for (`avx512_core` of oneDNN).
fn cpu_has_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Sets the precision; returns what it was.
fn switch(precision: c_int) -> Result<c_int, TchError> {
    let mut was = HIGHEST;
    // SAFETY: `was` may be written.
    check(unsafe { bertfit_matmul_precision(precision, &mut was) })?;
    Ok(was)
}

/// Whether products by oneDNN are float32 ones here. With AMX they need not be: then
/// `medium` allows bfloat16 inside, with an error of one in 256. `None` if somebody else has
/// changed the precision meanwhile.
fn is_exact() -> Result<Option<bool>, TchError> {
    let mut still = HIGHEST;
    let error = error_of_product(|numbers| {
        let was = switch(MEDIUM)?;
        let product = product(numbers);
        still = switch(was)?;
        product
    })?;
    Ok((still == MEDIUM).then_some(error < 1e-4))
}

/// As libtorch multiplies states and weights; it may have other ways for what is not transposed.
fn product(numbers: &Tensor) -> Result<Tensor, TchError> {
    numbers.f_matmul(&numbers.f_transpose(0, 1)?)
}

/// The largest error of a product that is computed in float32.
fn error_of_product(
    product_in_float: impl FnOnce(&Tensor) -> Result<Tensor, TchError>,
) -> Result<f64, TchError> {
    let _no_grad = tch::no_grad_guard();
    // Numbers that bfloat16 cannot hold, without a draw from the user's generator.
    let numbers = Tensor::f_arange(256 * 256, (Kind::Double, Device::Cpu))?;
    let numbers = numbers
        .f_mul_scalar(0.734_551)?
        .f_sin()?
        .f_view([256, 256])?;
    let in_float = product_in_float(&numbers.f_to_kind(Kind::Float)?)?;
    (in_float.f_to_kind(Kind::Double)? - product(&numbers)?)
        .f_abs()?
        .f_max()?
        .f_double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn precision() -> c_int {
        let was = switch(HIGHEST).expect("a switch");
        switch(was).expect("a switch");
        was
    }

    #[test]
    fn the_switch_is_on_while_anyone_wants_it() {
        let before = precision();
        let begin = || OneDnn::take().expect("a region");
        let during = |region: &Option<OneDnn>| match region {
            Some(_) => MEDIUM,
            None => before,
        };
        let first = begin();
        assert_eq!(precision(), during(&first));
        let second = begin();
        drop(first);
        assert_eq!(precision(), during(&second));
        drop(second);
        assert_eq!(precision(), before);
        assert!(OneDnn::begin(Device::Cuda(0)).expect("none").is_none());
    }

    #[test]
    fn the_switch_is_left_alone_where_it_would_bring_nothing_or_change_a_gpu() {
        let gpu = || true;
        let none = || false;
        assert!(is_a_gain(Device::Cpu, true, none));
        assert!(!is_a_gain(Device::Cpu, false, none));
        assert!(!is_a_gain(Device::Cpu, true, gpu));
        assert!(!is_a_gain(Device::Cuda(0), true, gpu));
        // And so on this machine.
        let region = OneDnn::begin(Device::Cpu).expect("a region");
        let may_be = cpu_has_avx512() && Cuda::device_count() == 0;
        assert!(may_be || region.is_none());
    }

    /// Threads that begin at once for the first time must not take each other's switch for what
    /// was there before.
    #[test]
    fn what_onednn_computes_is_tried_by_one_thread_and_leaves_the_switch_as_it_was() {
        let before = precision();
        for _ in 0..20 {
            SHARED.lock().expect("a lock").exact = None;
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| drop(OneDnn::take().expect("a region")));
                }
            });
            assert_eq!(precision(), before);
        }
        assert!(is_exact().expect("a product").is_some());
        assert_eq!(precision(), before);
    }
}
