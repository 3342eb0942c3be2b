//! How much memory a run may take.

use std::fs;
use std::path::Path;
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
            let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let left = left_of_groups(Path::new("/sys/fs/cgroup"), &groups);
            Some(left.map_or(free, |left| left.min(free)))
        }
        _ => None,
    }
}

/// The files of a group of processes that say what it may take and what it has.
struct Version {
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: what a cache of files has can be taken from it.
    cached: &'static str,
}

const FIRST: Version = Version {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};

const SECOND: Version = Version {
    limit: "memory.max",
    used: "memory.current",
    cached: "inactive_file",
};

/// The least that any of the groups of processes, such as a container, may still take which this
/// process is in: `groups` names them as `/proc/self/cgroup` does, and `root` has their folders
/// (cgroups, version 1 and 2).
fn left_of_groups(root: &Path, groups: &str) -> Option<u64> {
    let left = groups.lines().filter_map(|line| {
        // `4:memory:/docker/1234`, or `0::/user.slice`.
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let (mount, version) = match controllers {
            "" => (root.to_owned(), SECOND),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), FIRST)
            }
            _ => return None,
        };
        // Those around it count too. In a container only the outermost may be there.
        let group = Path::new(group.trim_start_matches('/'));
        group
            .ancestors()
            .filter_map(|group| version.left(&mount.join(group)))
            .min()
    });
    left.min()
}

impl Version {
    /// What the group whose folder this is may still take, where it has a limit.
    fn left(&self, folder: &Path) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let statistics = read("memory.stat").unwrap_or_default();
        let files = line_of(&statistics, self.cached).unwrap_or(0);
        let used = number(self.used)?.saturating_sub(files);
        Some(number(self.limit)?.saturating_sub(used))
    }
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

    /// A file below a folder, which is made.
    fn write(folder: &Path, name: &str, content: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    #[test]
    fn the_tightest_group_of_either_version_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let left = |groups: &str| left_of_groups(root, groups);
        // The second version: a service of 1000 bytes in a slice of 5000.
        write(root, "a.slice/memory.max", "5000\n");
        write(root, "a.slice/memory.current", "3000\n");
        write(root, "a.slice/memory.stat", "anon 1\ninactive_file 500\n");
        write(root, "a.slice/b.service/memory.max", "max\n");
        write(root, "a.slice/b.service/memory.current", "100\n");
        assert_eq!(left("0::/a.slice/b.service\n"), Some(2500));
        write(root, "a.slice/b.service/memory.max", "1000\n");
        assert_eq!(left("0::/a.slice/b.service\n"), Some(900));
        assert_eq!(left("0::/\n"), None);
        // The first, where another line names the memory.
        let groups = "12:cpu,cpuacct:/docker/77\n4:memory:/docker/77\n0::/\n";
        assert_eq!(left(groups), None);
        write(
            root,
            "memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        write(root, "memory/memory.usage_in_bytes", "1000\n");
        assert_eq!(left(groups), Some(9_223_372_036_854_770_712));
        // A container sees its own group as the outermost, without the path.
        write(root, "memory/memory.limit_in_bytes", "4000\n");
        let statistics = "inactive_file 1\ntotal_inactive_file 200\n";
        write(root, "memory/memory.stat", statistics);
        assert_eq!(left(groups), Some(3200));
        assert_eq!(left("no such line\n"), None);
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
