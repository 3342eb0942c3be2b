//! The numbers of tensors as slices, for what libtorch has no operator for, and for files.

use std::slice;

use tch::{Device, Kind, TchError, Tensor};

/// Calls `use_them` with the elements of tensors of the CPU, in the order of their
/// dimensions. An error where one is not float32, is not contiguous or shares memory with
/// another.
pub(crate) fn floats<const N: usize, R>(
    tensors: [&Tensor; N],
    use_them: impl FnOnce([&mut [f32]; N]) -> R,
) -> Result<R, TchError> {
    let mut spans: Vec<(usize, usize)> = Vec::with_capacity(N);
    for tensor in tensors {
        let plain = tensor.kind() == Kind::Float && tensor.device() == Device::Cpu;
        let start = tensor.data_ptr().addr();
        let end = start + size_of::<f32>() * tensor.numel();
        let alone = spans.iter().all(|&(a, b)| end <= a || b <= start);
        if !plain || !tensor.is_contiguous() || !alone {
            let problem = "not the elements of separate float32 tensors in order";
            return Err(TchError::Convert(problem.to_owned()));
        }
        spans.push((start, end));
    }
    let slices = tensors.map(|tensor| match tensor.numel() {
        0 => &mut [][..],
        // SAFETY: so many numbers lie there, as long as the tensors live; no two slices
        // overlap, and none outlives the call.
        count => unsafe { slice::from_raw_parts_mut(tensor.data_ptr().cast(), count) },
    });
    Ok(use_them(slices))
}

/// The numbers of a tensor as float32 on the CPU: its own memory where it is such, else a copy.
pub(crate) struct Numbers(Tensor);

impl Numbers {
    pub(crate) fn of(tensor: &Tensor) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let tensor = tensor
            .f_to_kind(Kind::Float)?
            .f_to_device(Device::Cpu)?
            .f_contiguous()?;
        Ok(Self(tensor))
    }

    /// In the order of the dimensions and the machine's byte order. Nothing may change the tensor
    /// while they are in use.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.0.numel() {
            0 => &[],
            // SAFETY: so many numbers lie there, as long as `self` lives, and any byte may be
            // read.
            count => unsafe {
                slice::from_raw_parts(self.0.data_ptr().cast(), size_of::<f32>() * count)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_tensors_own_or_those_of_a_float32_copy() {
        let own = Tensor::from_slice(&[1.0_f32, -2.5]).set_requires_grad(true);
        let numbers = Numbers::of(&own).expect("numbers");
        let expected = [1.0_f32, -2.5].map(f32::to_ne_bytes).concat();
        assert_eq!(numbers.bytes(), expected);
        assert_eq!(numbers.bytes().as_ptr().addr(), own.data_ptr().addr());
        let double = Numbers::of(&own.to_kind(Kind::Double)).expect("numbers");
        assert_eq!(double.bytes(), expected);
        let turned = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]);
        let turned = Numbers::of(&turned.tr()).expect("numbers");
        let expected = [1.0_f32, 3.0, 2.0, 4.0].map(f32::to_ne_bytes).concat();
        assert_eq!(turned.bytes(), expected);
        let none = Tensor::zeros([0, 3], (Kind::Float, Device::Cpu));
        assert!(Numbers::of(&none).expect("numbers").bytes().is_empty());
    }

    #[test]
    fn numbers_are_written_in_place_and_never_twice_at_once() {
        let a = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]);
        let b = Tensor::from_slice(&[10.0_f32]);
        floats([&a, &b], |[a, b]| a[1] += b[0]).expect("two tensors");
        assert_eq!(a, Tensor::from_slice(&[1.0_f32, 12.0, 3.0]));
        let tail = a.narrow(0, 1, 2);
        assert!(floats([&a, &tail], |_| ()).is_err());
        assert!(floats([&a.to_kind(Kind::Double)], |_| ()).is_err());
        let transposed = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).tr();
        assert!(floats([&transposed], |_| ()).is_err());
        let none = Tensor::zeros([0], (Kind::Float, Device::Cpu));
        assert_eq!(floats([&none], |[none]| none.len()).expect("none"), 0);
    }
}
