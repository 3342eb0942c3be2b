//! What is in a folder and in the folders in it.

use std::fs;
use std::path::Path;

use crate::error::{Error, PathContext, Result};

/// The files below `dir` by their paths from there, with `/` between the names, in
/// alphabetical order. A link might lead to anywhere, or in a circle, and a pipe has no end:
/// whatever is neither a file nor a folder is an error.
pub(super) fn files_below(dir: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).reading(dir)? {
        let entry = entry.reading(dir)?;
        let path = entry.path();
        let kind = entry.file_type().reading(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if kind.is_dir() {
            let below = files_below(&path)?;
            files.extend(below.iter().map(|file| format!("{name}/{file}")));
        } else if kind.is_file() {
            files.push(name.into_owned());
        } else {
            let problem = "neither a file nor a folder".to_owned();
            return Err(Error::File { path, problem });
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("below")).expect("a folder");
        fs::write(folder.path().join("below/file"), "x").expect("a file");
        let files = files_below(folder.path()).expect("files");
        assert_eq!(files, ["below/file"]);
        symlink(".", folder.path().join("circle")).expect("a link");
        let error = files_below(folder.path()).expect_err("a link").to_string();
        assert!(
            error.ends_with("circle: neither a file nor a folder"),
            "{error}"
        );
    }
}
