//! The kind of number that matrix products are computed in.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result, TorchContext};
use crate::native::{Autocast, KeepConverted};

/// In which numbers a model computes its matrix products, also where it is called by another
/// model or under [`tch::autocast`]. Weights, moments, layer norms' inputs and losses are float32
/// in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// float32.
    #[default]
    F32,
    /// bfloat16: about twice as fast where the hardware has units for it, with 8 bits
    /// of precision in each product.
    Bf16,
}

impl std::str::FromStr for Precision {
    type Err = Error;

    /// Reads `f32` or `bf16`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::config("precision", "f32 or bf16", name)),
        }
    }
}

impl Precision {
    /// Checks that the device computes in these numbers faster than by imitating them.
    ///
    /// # Errors
    /// When it is bf16 on a CPU without units for it.
    pub fn check(self, device: Device) -> Result<()> {
        match (self, device) {
            (Self::Bf16, Device::Cpu) if !cpu_has_bf16() => {
                let rule = "f32 on this CPU, which has neither AVX512_BF16 nor AMX";
                Err(Error::config("precision", rule, "bf16"))
            }
            _ => Ok(()),
        }
    }

    /// While the result lives, products on the device are computed in these numbers, in whatever
    /// numbers they are around it.
    pub(crate) fn region(self, device: Device) -> Result<Autocast> {
        Autocast::begin(device, self == Self::Bf16).doing("choosing the numbers of products")
    }

    /// While the result lives, weights that regions convert are kept from one to the next: only
    /// for a time in which they do not change.
    pub(crate) fn keep_converted(self) -> Result<Option<KeepConverted>> {
        let kept = (self == Self::Bf16).then(KeepConverted::begin);
        kept.transpose().doing("keeping converted weights")
    }

    /// What `compute` gives in these numbers, as float32.
    pub(crate) fn of(
        self,
        device: Device,
        compute: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let region = self.region(device)?;
        let result = compute()?;
        drop(region);
        result.f_to_kind(Kind::Float).doing("leaving bfloat16")
    }
}

/// Whether the CPU has units for bfloat16. All CPUs with AMX have AVX512_BF16 too.
pub fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}
