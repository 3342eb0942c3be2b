//! A Python environment with transformers in `target/python`, and the tests that ask
//! it to read what bertfit has saved.

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

/// The environment's Python; made where it is not there yet, or for other packages.
pub fn python(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("python");
    let python = folder.join("bin").join("python");
    let stamp = folder.join("packages");
    let packages = PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == packages) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-cache-dir"]);
    run(pip.arg("--disable-pip-version-check").args(PACKAGES))?;
    std::fs::write(&stamp, packages).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// Runs the tests that need it.
pub fn compare(workspace: &Workspace) -> Result<()> {
    let python = python(workspace)?;
    let python = python.to_string_lossy();
    let tests = ["--test", "it", "--", "transformers_loads"];
    let tests = [&["test"], &FEATURES[..], &tests].concat();
    workspace.cargo_in(workspace.root(), &tests, &[("BERTFIT_PYTHON", &*python)])
}
