//! The workspace, and cargo commands in it with libtorch's variables set.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// The checkout with what has been found out about libtorch.
pub struct Workspace {
    root: PathBuf,
    /// Variables for cargo that differ from those in `.cargo/config.toml`.
    variables: Vec<(&'static str, String)>,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub fn find() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let root = root.expect("xtask is a folder of the workspace").to_owned();
        Self {
            root,
            variables: Vec::new(),
        }
    }

    /// The folder of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that set-up writes to; it is cargo's unless told otherwise.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Sets a variable for all cargo commands.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.variables.push((name, value));
    }

    /// Runs cargo in the root of the workspace.
    pub fn cargo(&self, arguments: &[&str]) -> Result<()> {
        self.cargo_in(&self.root, arguments, &[])
    }

    /// Runs cargo in a folder, with more variables.
    pub fn cargo_in(&self, folder: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Result<()> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.args(arguments).current_dir(folder);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(more.iter().copied());
        // What cargo tells this program about itself is not meant for its children:
        // build scripts that read it would run again, and libtorch's bindings with them.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let about_package = ["CARGO_PKG_", "CARGO_MANIFEST_"];
            if about_package.iter().any(|start| name.starts_with(start)) {
                command.env_remove(&*name);
            }
        }
        run(&mut command)
    }
}

/// Runs a command to its end; it is an error if that is not a good one.
pub fn run(command: &mut Command) -> Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<_> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = line.join(" ");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}")),
        Err(error) => Err(format!("`{line}` cannot be run: {error}")),
    }
}

/// Runs a command to its end and returns the last line that it prints; what it says on
/// standard error is shown if it fails.
pub fn last_line(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), text.lines().last()) {
        (true, Some(line)) => Ok(line.to_owned()),
        _ => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
