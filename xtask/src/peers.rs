//! A Python environment with transformers in `target/python`, and the tests that ask
//! it to read what bertfit has saved.

use std::process::Command;

use crate::Result;
use crate::environment::{Workspace, run};

/// The versions that all reference numbers were made with.
const PACKAGES: [&str; 5] = [
    "torch==2.4.0",
    "transformers==4.57.6",
    "numpy<2",
    "safetensors",
    "accelerate",
];

/// Makes the environment where it is not there yet, and runs the tests that need it.
pub fn compare(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target().join("python");
    let python = folder.join("bin").join("python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run(pip.arg("--no-cache-dir").args(PACKAGES))?;
    let python = python.to_string_lossy();
    let tests = [
        "test",
        "--package",
        "bertfit",
        "--test",
        "it",
        "--",
        "transformers_loads",
    ];
    workspace.cargo_in(workspace.root(), &tests, &[("BERTFIT_PYTHON", &*python)])
}
