//! The tests of the layers on each path below the best one that this processor has.

use crate::Result;
use crate::check::FEATURES;
use crate::environment::Workspace;

/// Tests that compute with the layers, against libtorch's operators and transformers.
const UNIT_TESTS: [&str; 2] = ["native::", "model::"];
const TESTS: [&str; 3] = ["model::encoder::", "task::parity::", "train::parity::"];

/// The paths that `BERTFIT_CPU_PATH` names, and whether this processor has them.
fn paths() -> Vec<(&'static str, bool)> {
    let mut paths = vec![("operators", true), ("base", true)];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2");
        let avx512 = avx2
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl");
        let dots = avx512 && has!("avx512bf16");
        paths.extend([("avx2", avx2), ("avx512", avx512), ("bf16-dots", dots)]);
    }
    paths
}

/// Runs the tests on each path; the suite itself has run them on the best.
pub fn test(workspace: &Workspace) -> Result<()> {
    for (path, is_there) in paths() {
        if !is_there {
            println!("path {path}: this processor has it not, and nothing was run on it");
            continue;
        }
        println!("path {path}:");
        for (tests, names) in [
            (&["--lib"][..], &UNIT_TESTS[..]),
            (&["--test", "it"], &TESTS),
        ] {
            let arguments = [&["test"], tests, &FEATURES, &["--"], names].concat();
            workspace.cargo_in(workspace.root(), &arguments, &[("BERTFIT_CPU_PATH", path)])?;
        }
    }
    Ok(())
}
