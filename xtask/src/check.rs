//! All that CI runs, cheap checks first; the first failure ends it with its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Result;
use crate::deny;
use crate::environment::{Workspace, run};
use crate::fetch::remove;
use crate::paths;
use crate::stamp::files_below;

/// Lines of the longest file that is still one concept.
const MOST_LINES: usize = 450;

/// The crate with all that it can do. One set for all commands, so that nothing is built anew.
pub const FEATURES: [&str; 4] = ["--package", "bertfit", "--features", "hub"];

/// The crate as documentation is built of it, without a compiler of C++ and without libtorch.
const WITHOUT_LIBTORCH: [&str; 4] = ["--package", "bertfit", "--features", "doc-only"];

/// The whole test suite: unit tests, `tests/it`, examples and doctests.
pub fn suite(workspace: &Workspace, more: &[String]) -> Result<()> {
    let fixed = ["test"].into_iter().chain(FEATURES);
    let arguments: Vec<&str> = fixed.chain(more.iter().map(String::as_str)).collect();
    workspace.cargo(&arguments)
}

// Not one command for the whole workspace: this crate asks for other features of shared
// dependencies, with which libtorch's bindings would be compiled a second time.
const LINT: [&str; 4] = ["--all-targets", "--", "-D", "warnings"];

/// Folders that the build, the tests and the examples read.
const PACKAGED: [&str; 5] = ["src", "benches", "tests", "examples", "docs"];

/// Every check, in order.
pub fn all(workspace: &Workspace) -> Result<()> {
    type Step<'a> = (&'a str, fn(&Workspace) -> Result<()>);
    let steps: [Step; 11] = [
        ("format", |w| w.cargo(&["fmt", "--all", "--check"])),
        ("changelog", changelog),
        ("file sizes", file_sizes),
        ("licences and sources", deny::check),
        ("clippy", |w| {
            w.cargo(&[&["clippy", "--package", "xtask"], &LINT[..]].concat())?;
            // Not the default features alone, for which the C++ would be compiled once more.
            w.cargo(&[&["clippy"], &WITHOUT_LIBTORCH[..], &LINT[..]].concat())?;
            w.cargo(&[&["clippy"], &FEATURES[..], &LINT[..]].concat())
        }),
        ("set-up's tests", |w| {
            w.cargo(&["test", "--package", "xtask"])
        }),
        ("documentation", |w| {
            let deny = [("RUSTDOCFLAGS", "-Dwarnings")];
            let hub = ["--no-deps", "--features", "hub"];
            let arguments = [&["doc"], &WITHOUT_LIBTORCH[..], &hub].concat();
            w.cargo_in(w.root(), &arguments, &deny)
        }),
        ("tests", |w| suite(w, &[])),
        ("tests on other paths of the processor", paths::test),
        ("benches", |w| {
            let build = ["--no-run", "--profile", "dev"];
            w.cargo(&[&["bench"], &FEATURES[..], &build[..]].concat())
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
        let files = files_below(&workspace.root().join(folder))?;
        let rust = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs");
        for path in files.into_iter().filter(rust) {
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

/// The packaged crate has every file of the checkout that it is made of, byte for byte, and
/// all its targets compile from what is in it, with default features. To build it, as `cargo
/// package` would, takes the C++ and libtorch's bindings once more, with the same files.
fn package(workspace: &Workspace) -> Result<()> {
    let target = workspace.target();
    let target_name = target.to_string_lossy();
    let shared = [("CARGO_TARGET_DIR", &*target_name)];
    let root = workspace.root();
    let arguments = [
        "package",
        "--package",
        "bertfit",
        "--allow-dirty",
        "--no-verify",
    ];
    workspace.cargo_in(root, &arguments, &shared)?;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(|e| e.to_string())?;
    let version = version(&manifest).ok_or("Cargo.toml has no version")?;
    let packages = target.join("package");
    let unpacked = packages.join(format!("bertfit-{version}"));
    remove(&unpacked)?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(format!("bertfit-{version}.crate"));
    run(tar.current_dir(&packages))?;
    for folder in PACKAGED {
        same_files(root, &unpacked, folder)?;
    }
    let arguments = [&["check", "--all-targets"], &WITHOUT_LIBTORCH[..]].concat();
    workspace.cargo_in(&unpacked, &arguments, &shared)?;
    remove(&unpacked)
}

/// Each file below a folder of the checkout is in the package as well.
fn same_files(root: &Path, unpacked: &Path, folder: &str) -> Result<()> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    for path in files_below(&root.join(folder))? {
        let name = path.strip_prefix(root).map_err(|error| error.to_string())?;
        if read(&path)? != read(&unpacked.join(name))? {
            return Err(format!("{}: another one is packaged", name.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_packaged_or_another_one_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (root, unpacked) = (dir.path().join("root"), dir.path().join("unpacked"));
        for folder in [&root, &unpacked] {
            fs::create_dir_all(folder.join("src/sub")).expect("a folder");
            fs::write(folder.join("src/sub/a"), "1").expect("a file");
        }
        assert_eq!(same_files(&root, &unpacked, "src"), Ok(()));
        fs::write(unpacked.join("src/sub/a"), "2").expect("a file");
        let problem = same_files(&root, &unpacked, "src").expect_err("another one");
        assert_eq!(problem, "src/sub/a: another one is packaged");
        fs::remove_file(unpacked.join("src/sub/a")).expect("a removed file");
        let problem = same_files(&root, &unpacked, "src").expect_err("none");
        assert!(problem.contains("unpacked/src/sub/a: "), "{problem}");
    }

    #[test]
    fn versions_are_found_in_both_files() {
        let manifest = "[package]\nname = \"x\"\nversion = \"1.2.3\"\n";
        assert_eq!(version(manifest).as_deref(), Some("1.2.3"));
        let changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-01\n## [1.0.0]\n";
        assert_eq!(newest_version(changelog).as_deref(), Some("1.2.3"));
        assert_eq!(newest_version("## [Unreleased]\n"), None);
    }
}
