//! How much memory a run may take.

use std::fs;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::error::{Error, Result};

/// How much memory training may take, the model included. Batches that need more are
/// computed in parts, and the optimizer steps as for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Memory {
    /// As much as the batches need.
    #[default]
    Unlimited,
    /// So many bytes.
    Bytes(u64),
    /// Four fifths of what is free when the run starts, besides the model itself. Known on
    /// Linux, of the CPU's memory.
    Available,
}

/// The plan is a closed form, and not exact.
const SHARE_OF_AVAILABLE: f64 = 0.8;

impl FromStr for Memory {
    type Err = Error;

    /// Reads `auto`, or a number of bytes, with a `K`, `M`, `G` or `T` behind it for so many
    /// times 1024: `512M`, `1.5G`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "auto" {
            return Ok(Self::Available);
        }
        let upper = text.to_ascii_uppercase();
        let (number, power) = ["K", "M", "G", "T"]
            .into_iter()
            .zip(1..)
            .find_map(|(unit, power)| Some((upper.strip_suffix(unit)?, power)))
            .unwrap_or((&upper, 0));
        let bytes = number.parse::<f64>().ok();
        let bytes = bytes.map(|bytes| (bytes * 1024_f64.powi(power)).floor());
        match bytes.filter(|bytes| bytes.is_finite() && *bytes >= 1.0) {
            Some(bytes) => Ok(Self::Bytes(bytes as u64)),
            None => Err(Error::config(
                "memory",
                "auto, or bytes such as 800M or 4G",
                text,
            )),
        }
    }
}

impl Memory {
    /// The budget in bytes, where there is one. `weights` are there already.
    pub(in crate::train) fn bytes(self, device: Device, weights: u64) -> Result<Option<u64>> {
        match self {
            Self::Unlimited => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
            Self::Available => match available(device) {
                Some(free) => Ok(Some(weights + (free as f64 * SHARE_OF_AVAILABLE) as u64)),
                None => {
                    let rule = "a number of bytes: what is free is not known here";
                    Err(Error::config("memory", rule, "auto"))
                }
            },
        }
    }
}

/// Bytes that are free on a device, where that can be known.
fn available(device: Device) -> Option<u64> {
    match device {
        Device::Cpu => {
            let free = line_of(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
            let free = free.checked_mul(1024)?;
            Some(left_of_group().map_or(free, |left| left.min(free)))
        }
        _ => None,
    }
}

/// What the group of processes, such as a container, may still take (cgroups, version 2).
fn left_of_group() -> Option<u64> {
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    // What a cache of files has can be taken from it.
    let statistics = fs::read_to_string("/sys/fs/cgroup/memory.stat").ok()?;
    let files = line_of(&statistics, "inactive_file").unwrap_or(0);
    let used = number("memory.current")?.saturating_sub(files);
    Some(number("memory.max")?.saturating_sub(used))
}

/// The number after a word at the start of a line.
fn line_of(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_bytes_with_a_unit_or_what_is_free() {
        let read = |text: &str| text.parse::<Memory>().ok();
        assert_eq!(read("auto"), Some(Memory::Available));
        assert_eq!(read("1000"), Some(Memory::Bytes(1000)));
        assert_eq!(read("4G"), Some(Memory::Bytes(4 << 30)));
        assert_eq!(read("1.5m"), Some(Memory::Bytes(3 << 19)));
        for wrong in ["", "G", "-1G", "0", "4X", "nan", "inf", "infT", "4 GB"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_stand_behind_their_names() {
        let text = "MemTotal:  100 kB\nMemAvailable:   77 kB\n";
        assert_eq!(line_of(text, "MemAvailable:"), Some(77));
        assert_eq!(line_of(text, "SwapFree:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_free_is_known_on_linux_and_not_of_a_gpu() {
        let budget = Memory::Available.bytes(Device::Cpu, 1 << 20);
        let budget = budget.expect("known").expect("a budget");
        assert!(budget > 1 << 20, "{budget}");
        let error = Memory::Available.bytes(Device::Cuda(0), 0);
        let error = error.expect_err("unknown").to_string();
        assert!(error.contains("a number of bytes"), "{error}");
    }
}
