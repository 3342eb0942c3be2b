//! The kind of number that this thread computes matrix products in, which libtorch keeps for
//! each type of device, and converted weights, which it keeps for the process.

use std::ffi::{c_char, c_int};
use std::marker::PhantomData;

use tch::{Device, TchError};

use super::check;

unsafe extern "C" {
    fn bertfit_autocast_is_on(gpu: bool) -> bool;
    fn bertfit_autocast(
        gpu: bool,
        on: bool,
        kind: c_int,
        was_on: *mut bool,
        was_kind: *mut c_int,
    ) -> *mut c_char;
    fn bertfit_keep_converted(begin: bool) -> *mut c_char;
}

/// bfloat16 for `bertfit_autocast`.
const BFLOAT16: c_int = -1;

/// While it lives, products of this thread on a type of device are computed in bfloat16, or in
/// the kind of their inputs, whatever a region around it says; then as before. Regions end in the
/// opposite order of their beginnings.
#[must_use]
pub(crate) struct Autocast {
    gpu: bool,
    was: (bool, c_int),
    /// Each weight is converted once in a region.
    _kept: Option<KeepConverted>,
}

impl Autocast {
    /// Whether this thread computes products on the device in bfloat16.
    pub(crate) fn is_on(device: Device) -> bool {
        // SAFETY: takes and leaves no memory, and throws nothing.
        unsafe { bertfit_autocast_is_on(is_gpu(device)) }
    }

    /// In bfloat16 if `short`.
    pub(crate) fn begin(device: Device, short: bool) -> Result<Self, TchError> {
        let kept = short.then(KeepConverted::begin).transpose()?;
        let gpu = is_gpu(device);
        Ok(Self {
            gpu,
            was: switch(gpu, short, BFLOAT16)?,
            _kept: kept,
        })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        let (was_on, was_kind) = self.was;
        if let Err(error) = switch(self.gpu, was_on, was_kind) {
            log::error!("libtorch failed to end autocasting: {error}");
        }
    }
}

/// While it lives, weights that this thread's regions convert are kept from one to the next: only
/// for a time in which they do not change.
#[must_use]
pub(crate) struct KeepConverted {
    /// libtorch counts such times for each thread.
    _of_this_thread: PhantomData<*const ()>,
}

impl KeepConverted {
    pub(crate) fn begin() -> Result<Self, TchError> {
        // SAFETY: takes and leaves no memory.
        check(unsafe { bertfit_keep_converted(true) })?;
        Ok(Self {
            _of_this_thread: PhantomData,
        })
    }
}

impl Drop for KeepConverted {
    fn drop(&mut self) {
        // SAFETY: as above.
        if let Err(error) = check(unsafe { bertfit_keep_converted(false) }) {
            log::error!("libtorch failed to drop converted weights: {error}");
        }
    }
}

/// Sets whether there is autocasting, and to which kind; returns what it was.
fn switch(gpu: bool, on: bool, kind: c_int) -> Result<(bool, c_int), TchError> {
    let (mut was_on, mut was_kind) = (false, BFLOAT16);
    // SAFETY: both places may be written.
    check(unsafe { bertfit_autocast(gpu, on, kind, &mut was_on, &mut was_kind) })?;
    Ok((was_on, was_kind))
}

fn is_gpu(device: Device) -> bool {
    matches!(device, Device::Cuda(_))
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    const CPU: Device = Device::Cpu;
    /// libtorch keeps its state without a GPU too.
    const GPU: Device = Device::Cuda(0);
    /// float16 among libtorch's kinds.
    const HALF: c_int = 5;

    fn region(device: Device, short: bool) -> Autocast {
        Autocast::begin(device, short).expect("a region")
    }

    /// The kind of a product of float32 numbers on the CPU.
    fn product() -> Kind {
        let x = Tensor::rand([2, 3], (Kind::Float, CPU));
        x.matmul(&x.tr()).kind()
    }

    #[test]
    fn products_are_in_bfloat16_while_autocasting_and_gradients_in_float32() {
        let x = Tensor::rand([2, 3], (Kind::Float, CPU)).set_requires_grad(true);
        let guard = region(CPU, true);
        let product = x.matmul(&x.tr());
        drop(guard);
        assert_eq!(product.kind(), Kind::BFloat16);
        product.sum(Kind::Float).backward();
        assert_eq!(x.grad().kind(), Kind::Float);
        assert_eq!(x.matmul(&x.tr()).kind(), Kind::Float);
    }

    #[test]
    fn the_innermost_region_says_in_which_numbers() {
        let outer = region(CPU, true);
        for _ in 0..2 {
            let inner = region(CPU, false);
            assert_eq!((product(), Autocast::is_on(CPU)), (Kind::Float, false));
            let innermost = region(CPU, true);
            assert_eq!((product(), Autocast::is_on(CPU)), (Kind::BFloat16, true));
            drop(innermost);
            assert_eq!(product(), Kind::Float);
            drop(inner);
            assert_eq!((product(), Autocast::is_on(CPU)), (Kind::BFloat16, true));
        }
        drop(outer);
        assert_eq!((product(), Autocast::is_on(CPU)), (Kind::Float, false));
    }

    #[test]
    fn a_region_is_one_of_its_own_type_of_device() {
        for (device, other) in [(CPU, GPU), (GPU, CPU)] {
            let outer = region(device, true);
            assert!(Autocast::is_on(device) && !Autocast::is_on(other));
            let inner = region(other, true);
            assert!(Autocast::is_on(device) && Autocast::is_on(other));
            drop(inner);
            assert!(Autocast::is_on(device) && !Autocast::is_on(other));
            drop(outer);
            assert!(!Autocast::is_on(device));
        }
    }

    #[test]
    fn what_the_program_has_chosen_itself_is_as_it_was_after_a_region() {
        for device in [CPU, GPU] {
            let gpu = is_gpu(device);
            for mine in [(true, HALF), (false, HALF)] {
                let before = switch(gpu, mine.0, mine.1).expect("a switch");
                for short in [true, false] {
                    let guard = region(device, short);
                    assert_eq!(Autocast::is_on(device), short);
                    drop(guard);
                }
                let after = switch(gpu, before.0, before.1).expect("a switch");
                assert_eq!(after, mine);
            }
        }
    }

    #[test]
    fn a_panic_ends_the_region() {
        let panicked = std::panic::catch_unwind(|| {
            let _guard = region(CPU, true);
            panic!("in a head");
        });
        assert!(panicked.is_err());
        assert_eq!((product(), Autocast::is_on(CPU)), (Kind::Float, false));
    }

    #[test]
    fn converted_weights_are_kept_as_long_as_anyone_wants_them() {
        // A kept copy does not follow the weight.
        let weight = Tensor::ones([2, 2], (Kind::Float, CPU)).set_requires_grad(true);
        let sum = || {
            let _guard = region(CPU, true);
            weight.matmul(&weight).sum(Kind::Float).double_value(&[])
        };
        let kept = KeepConverted::begin().expect("a time");
        assert_eq!(sum(), 8.0);
        let _ = tch::no_grad(|| weight.shallow_clone().fill_(2.0));
        assert_eq!(sum(), 8.0);
        drop(kept);
        assert_eq!(sum(), 32.0);
    }
}
