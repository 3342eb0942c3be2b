//! The SHA-256 sums of a checkpoint's files, in a file beside them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files_below;
use crate::error::{Error, PathContext, Result};
use crate::json;

const MANIFEST: &str = "manifest.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// Sum of each other file of the folder, in hexadecimal digits, by name.
    sha256: Sums,
}

/// Sums by the names of files.
pub(super) type Sums = BTreeMap<String, String>;

/// Writes the manifest of the files that are in `dir`, of which some have sums that are `known`.
pub(super) fn write_manifest(dir: &Path, known: &Sums) -> Result<()> {
    let sha256 = names(dir)?
        .into_iter()
        .map(|name| {
            let known = known.get(&name).cloned();
            let sum = known.map_or_else(|| sum(&dir.join(&name)), Ok);
            Ok((name, sum?))
        })
        .collect::<Result<_>>()?;
    json::write(&dir.join(MANIFEST), &Manifest { sha256 })
}

/// Gives `new` the files of the checkpoint `old` but those of the names `without`, and returns
/// their sums. They share the place on the disk where that is possible.
pub(super) fn share_files(old: &Path, new: &Path, without: &[&str]) -> Result<Sums> {
    let Manifest { mut sha256 } = json::read(&old.join(MANIFEST))?;
    sha256.retain(|name, _| !without.contains(&name.as_str()));
    for name in sha256.keys() {
        let (from, to) = (old.join(name), new.join(name));
        let parent = to.parent().unwrap_or(new);
        fs::create_dir_all(parent).writing(parent)?;
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).writing(&to)?;
        }
    }
    Ok(sha256)
}

/// Checks that a checkpoint holds the files that its manifest names, all of them and
/// no others, byte for byte.
///
/// # Errors
/// The first file that is absent, changed or too many, by its path.
pub fn verify(dir: impl AsRef<Path>) -> Result<()> {
    let dir = dir.as_ref();
    let Manifest { sha256 } = json::read(&dir.join(MANIFEST))?;
    let problem = |name: &str, problem: &str| {
        Err(Error::File {
            path: dir.join(name),
            problem: problem.to_owned(),
        })
    };
    let found = names(dir)?;
    if let Some(name) = sha256.keys().find(|name| !found.contains(name)) {
        return problem(name, "in the checkpoint's manifest, but not there");
    }
    for name in &found {
        match sha256.get(name) {
            None => return problem(name, "not in the checkpoint's manifest"),
            Some(expected) if *expected != sum(&dir.join(name))? => {
                return problem(name, "damaged: its SHA-256 is not the manifest's");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The files of the folder but the manifest, in alphabetical order.
fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = files_below(dir)?;
    names.retain(|name| name != MANIFEST);
    Ok(names)
}

fn sum(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).reading(path)?;
    io::copy(&mut file, &mut hash).reading(path)?;
    Ok(hex(&hash.finalize()))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
