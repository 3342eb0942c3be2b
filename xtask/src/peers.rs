//! Python environments with transformers: that of all reference numbers in `target/python`, and
//! the newest in `target/python-newest`; and the tests that ask both to read what bertfit has
//! saved.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::check::FEATURES;
use crate::environment::{Workspace, run};

/// The versions that all reference numbers were made with.
const PACKAGES: [&str; 9] = [
    "torch==2.4.0",
    "transformers==4.57.6",
    "numpy<2",
    "safetensors",
    "accelerate",
    "sentence-transformers==5.7.0",
    "scikit-learn",
    "scipy",
    "seqeval==1.2.2",
];

/// The newest releases; transformers 5 does not take torch 2.4.
const NEWEST: [&str; 8] = [
    "torch==2.15.0",
    "transformers==5.24.0",
    "numpy",
    "safetensors",
    "accelerate",
    "sentence-transformers==5.7.0",
    "scikit-learn",
    "scipy",
];

/// The Python of the reference numbers; made where it is not there yet, or for other packages.
pub fn python(workspace: &Workspace) -> Result<PathBuf> {
    environment(workspace, "python", &PACKAGES)
}

fn environment(workspace: &Workspace, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = workspace.target().join(name);
    let python = folder.join("bin").join("python");
    let stamp = folder.join("packages");
    let lines = packages.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lines) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-cache-dir"]);
    run(pip.arg("--disable-pip-version-check").args(packages))?;
    std::fs::write(&stamp, lines).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// Runs the tests that need one, with each.
pub fn compare(workspace: &Workspace) -> Result<()> {
    let tests = ["--test", "it", "--", "transformers_loads"];
    let tests = [&["test"], &FEATURES[..], &tests].concat();
    let newest = || environment(workspace, "python-newest", &NEWEST);
    for python in [python(workspace)?, newest()?] {
        let python = python.to_string_lossy();
        workspace.cargo_in(workspace.root(), &tests, &[("BERTFIT_PYTHON", &*python)])?;
    }
    Ok(())
}
