//! The norm of all gradients of a step.

use std::sync::OnceLock;

use tch::{Device, TchError, Tensor};

use crate::native::{self, Arg, Op, floats};

/// So many squares are summed in float32, and such sums in float64: the norm does not
/// depend on the number of threads.
const AT_ONCE: usize = 1 << 14;

/// Sums that the processor can make beside each other.
const LANES: usize = 32;

/// The norm of float32 tensors of one device as if they were one vector; 0 of none.
pub(super) fn norm_of(tensors: &[Tensor]) -> Result<f64, TchError> {
    match tensors.first().map(Tensor::device) {
        None => Ok(0.0),
        Some(Device::Cpu) => on_the_cpu(tensors),
        Some(_) => by_operators(tensors),
    }
}

/// libtorch's operator uses one thread, whatever the tensor's size.
fn on_the_cpu(tensors: &[Tensor]) -> Result<f64, TchError> {
    let mut total = 0.0;
    for tensor in tensors {
        let sums = floats([&tensor.f_contiguous()?], |[numbers]| {
            let mut sums = vec![0.0; numbers.len().div_ceil(AT_ONCE)];
            let parts = numbers.chunks(AT_ONCE).zip(&mut sums);
            let sum = |(part, sum): (&[f32], &mut f64)| *sum = f64::from(squares(part));
            match numbers.len() > AT_ONCE {
                true => native::in_parallel(parts, sum)?,
                false => parts.for_each(sum),
            }
            Ok::<_, TchError>(sums)
        })??;
        total += sums.iter().sum::<f64>();
    }
    Ok(total.sqrt())
}

fn squares(numbers: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (whole, rest) = numbers.as_chunks::<LANES>();
    for part in whole {
        for (sum, x) in sums.iter_mut().zip(part) {
            *sum += x * x;
        }
    }
    let rest: f32 = rest.iter().map(|x| x * x).sum();
    sums.iter().sum::<f32>() + rest
}

fn by_operators(tensors: &[Tensor]) -> Result<f64, TchError> {
    static NORMS: OnceLock<Op> = OnceLock::new();
    let norms = Op::once(&NORMS, "aten::_foreach_norm", "Scalar")?;
    let norms = norms.call(&[Arg::Tensors(tensors), Arg::Double(2.0)])?;
    Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn it_is_libtorch_s_of_any_sizes() {
        let sizes = [1_i64, 31, 33, 16_384, 16_385, 100_003];
        let tensors = sizes.map(|size| Tensor::randn([size], (Kind::Float, Device::Cpu)) * 3.0);
        let norm = norm_of(&tensors).expect("a norm");
        let wide = tensors.map(|tensor| tensor.to_kind(Kind::Double));
        let expected = Tensor::cat(&wide, 0).norm().double_value(&[]);
        assert!((norm / expected - 1.0).abs() < 1e-6, "{norm} {expected}");
        let operators = by_operators(&wide).expect("a norm");
        assert!(
            (operators / expected - 1.0).abs() < 1e-12,
            "{operators} {expected}"
        );
        assert_eq!(norm_of(&[]).expect("none"), 0.0);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for wrong in [f32::NAN, f32::INFINITY] {
            let tensor = Tensor::zeros([50_000], (Kind::Float, Device::Cpu));
            let _ = tensor.get(40_000).fill_(f64::from(wrong));
            assert!(!norm_of(&[tensor]).expect("a norm").is_finite());
        }
    }
}
