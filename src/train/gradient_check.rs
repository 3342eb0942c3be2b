//! Do gradients flow where they should? Looked at once, after the first backward
//! pass, since a weight that silently does not train shows in nothing else.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::error::{Error, GradientProblem, Result, TorchContext};

/// Checks that each trainable variable has a finite gradient that is not zero
/// everywhere, and each frozen one none. Zero is no problem where `may_be_zero` says
/// so of a name.
pub(super) fn check_gradients(
    variables: &BTreeMap<String, Tensor>,
    may_be_zero: impl Fn(&str) -> bool,
) -> Result<()> {
    for (name, variable) in variables {
        let problem = problem_with(variable).doing("checking gradients")?;
        // Softmax does not change when a constant is added to all scores of a row,
        // which is all that the keys' bias does: its gradient is zero but for rounding.
        let zero_is_true = || name.ends_with("attention.self.key.bias") || may_be_zero(name);
        match problem {
            None => {}
            Some(GradientProblem::Zero) if zero_is_true() => {}
            Some(problem) => {
                let name = name.clone();
                return Err(Error::Gradient { name, problem });
            }
        }
    }
    Ok(())
}

fn problem_with(variable: &Tensor) -> std::result::Result<Option<GradientProblem>, tch::TchError> {
    let gradient = variable.f_grad()?;
    let trained = variable.requires_grad();
    match (gradient.defined(), trained) {
        (false, true) => return Ok(Some(GradientProblem::Absent)),
        (true, false) => return Ok(Some(GradientProblem::Frozen)),
        (false, false) => return Ok(None),
        (true, true) => {}
    }
    let gradient = match gradient.is_sparse() {
        true => gradient.f_coalesce()?.f_values()?,
        false => gradient,
    };
    // A NaN or infinity anywhere makes the sum of magnitudes one too.
    let sum = gradient.f_abs()?.f_sum(Kind::Double)?.f_double_value(&[])?;
    Ok(match (sum.is_finite(), sum == 0.0) {
        (false, _) => Some(GradientProblem::NotFinite),
        (true, true) => Some(GradientProblem::Zero),
        (true, false) => None,
    })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// The gradient of `sum(a * b)` for one leaf.
    fn problem(a: Tensor, b: &Tensor) -> Option<GradientProblem> {
        if a.requires_grad() {
            (&a * b).sum(Kind::Float).backward();
        }
        match check_gradients(&BTreeMap::from([("a".to_owned(), a)]), |_| false) {
            Ok(()) => None,
            Err(Error::Gradient { problem, .. }) => Some(problem),
            Err(other) => panic!("{other}"),
        }
    }

    fn ones() -> Tensor {
        Tensor::ones([3], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn each_way_to_go_wrong_is_found() {
        let leaf = || ones().set_requires_grad(true);
        assert_eq!(problem(leaf(), &ones()), None);
        assert_eq!(
            problem(leaf(), &ones().zeros_like()),
            Some(GradientProblem::Zero)
        );
        let zero = leaf();
        (&zero * 0.0).sum(Kind::Float).backward();
        let zero = BTreeMap::from([("bias".to_owned(), zero)]);
        assert!(check_gradients(&zero, |_| false).is_err());
        assert!(check_gradients(&zero, |name| name == "bias").is_ok());
        let nan = Tensor::from_slice(&[1.0_f32, f32::NAN, 1.0]);
        assert_eq!(problem(leaf(), &nan), Some(GradientProblem::NotFinite));
        let untouched = BTreeMap::from([("a".to_owned(), leaf())]);
        let error = check_gradients(&untouched, |_| true).expect_err("no gradient");
        assert_eq!(
            error.to_string(),
            "`a` is to be trained but received no gradient"
        );
        let frozen = leaf();
        (&frozen * 2.0).sum(Kind::Float).backward();
        assert_eq!(
            problem(frozen.set_requires_grad(false), &ones()),
            Some(GradientProblem::Frozen)
        );
    }
}
