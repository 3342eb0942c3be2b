//! All that CI runs, cheap checks first; the first failure ends it with its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::Result;
use crate::environment::Workspace;
use crate::fetch::remove;

/// Lines of the longest file that is still one concept.
const MOST_LINES: usize = 450;

/// The whole test suite: unit tests, `tests/it`, examples and doctests.
pub fn suite(workspace: &Workspace, more: &[String]) -> Result<()> {
    let fixed = ["test", "--workspace"].into_iter();
    let arguments: Vec<&str> = fixed.chain(more.iter().map(String::as_str)).collect();
    workspace.cargo(&arguments)
}

/// Every check, in order.
pub fn all(workspace: &Workspace) -> Result<()> {
    type Step<'a> = (&'a str, fn(&Workspace) -> Result<()>);
    let steps: [Step; 8] = [
        ("format", |w| w.cargo(&["fmt", "--all", "--check"])),
        ("changelog", changelog),
        ("file sizes", file_sizes),
        ("clippy", |w| {
            w.cargo(&["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"])
        }),
        ("documentation", |w| {
            let deny = [("RUSTDOCFLAGS", "-Dwarnings")];
            w.cargo_in(
                w.root(),
                &["doc", "--no-deps", "--package", "bertfit"],
                &deny,
            )
        }),
        ("tests", |w| suite(w, &[])),
        ("benches", |w| {
            w.cargo(&[
                "bench",
                "--package",
                "bertfit",
                "--no-run",
                "--profile",
                "dev",
            ])
        }),
        ("package", package),
    ];
    let start = Instant::now();
    for (name, step) in steps {
        let begun = Instant::now();
        println!("== {name}");
        step(workspace).map_err(|problem| format!("check `{name}`: {problem}"))?;
        println!("== {name}: {} s", begun.elapsed().as_secs());
    }
    println!("== all checks passed in {} s", start.elapsed().as_secs());
    Ok(())
}

/// The newest version in the changelog is the package's.
fn changelog(workspace: &Workspace) -> Result<()> {
    let read = |name: &str| {
        let path = workspace.root().join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let version = version(&read("Cargo.toml")?).ok_or("Cargo.toml has no version")?;
    let newest = newest_version(&read("CHANGELOG.md")?).ok_or("CHANGELOG.md has no version")?;
    match version == newest {
        true => Ok(()),
        false => Err(format!(
            "CHANGELOG.md ends at {newest}, Cargo.toml has {version}"
        )),
    }
}

fn version(manifest: &str) -> Option<String> {
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \""))?;
    Some(line.trim_end_matches('"').to_owned())
}

/// The first version heading; `Unreleased` may stand above it.
fn newest_version(changelog: &str) -> Option<String> {
    let headings = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## ["));
    let versions = headings.filter_map(|heading| Some(heading.split_once(']')?.0));
    versions
        .filter(|&version| version != "Unreleased")
        .map(str::to_owned)
        .next()
}

fn file_sizes(workspace: &Workspace) -> Result<()> {
    let mut long = Vec::new();
    for folder in ["src", "examples", "benches", "tests", "xtask/src"] {
        for path in rust_files(&workspace.root().join(folder))? {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            if text.lines().count() > MOST_LINES {
                long.push(format!(
                    "{} has {} lines",
                    path.display(),
                    text.lines().count()
                ));
            }
        }
    }
    if long.is_empty() {
        Ok(())
    } else {
        Err(long.join("; "))
    }
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// The package builds from its archive, and its own tests pass there. The target
/// folder is shared, so that libtorch's bindings are not compiled again.
fn package(workspace: &Workspace) -> Result<()> {
    let target = workspace.target();
    let target_name = target.to_string_lossy();
    let shared = [("CARGO_TARGET_DIR", &*target_name)];
    let root = workspace.root();
    workspace.cargo_in(
        root,
        &["package", "--package", "bertfit", "--allow-dirty"],
        &shared,
    )?;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(|e| e.to_string())?;
    let version = version(&manifest).ok_or("Cargo.toml has no version")?;
    let unpacked = target.join("package").join(format!("bertfit-{version}"));
    // The examples that train on real data have run once already.
    let arguments = ["test", "--", "--skip", "the_course"];
    workspace.cargo_in(&unpacked, &arguments, &shared)?;
    remove(&unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_both_files() {
        let manifest = "[package]\nname = \"x\"\nversion = \"1.2.3\"\n";
        assert_eq!(version(manifest).as_deref(), Some("1.2.3"));
        let changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-01\n## [1.0.0]\n";
        assert_eq!(newest_version(changelog).as_deref(), Some("1.2.3"));
        assert_eq!(newest_version("## [Unreleased]\n"), None);
    }
}
