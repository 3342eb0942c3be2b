//! What set-up has put into a folder: a text file in it that says what it was made of
//! and how long each file is, by which a later run tells whether it is still whole.
//! A file with other bytes and the same length is not found.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

const STAMP: &str = "bertfit-setup.txt";

/// Writes down all files of a folder and what they were made of. It is an error if
/// one of those that are needed is missing.
pub fn write(folder: &Path, made_of: &str, needed: &[&str]) -> Result<()> {
    if let Some(missing) = needed.iter().find(|name| !folder.join(name).is_file()) {
        return Err(format!("{} lacks {missing}", folder.display()));
    }
    let mut lines = Vec::new();
    for path in files_below(folder)? {
        let size = path.metadata().map_err(|error| problem(&path, &error))?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        lines.push(format!("{} {}\n", size.len(), name.display()));
    }
    let path = folder.join(STAMP);
    fs::write(&path, format!("made of {made_of}\n{}", lines.concat()))
        .map_err(|error| problem(&path, &error))
}

/// Whether a folder still holds what its stamp says, the needed files among it.
pub fn is_whole(folder: &Path, needed: &[&str]) -> bool {
    let Ok(text) = fs::read_to_string(folder.join(STAMP)) else {
        return false;
    };
    let stamped: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.starts_with("made of "))
        .filter_map(|line| line.split_once(' '))
        .collect();
    let there = |&(size, name): &(&str, &str)| {
        let length = fs::metadata(folder.join(name)).map(|data| data.len());
        length.is_ok_and(|length| size.parse() == Ok(length))
    };
    let named = |needed: &&str| stamped.iter().any(|(_, name)| name == needed);
    needed.iter().all(named) && stamped.iter().all(there)
}

/// All files in a folder and in those below it, sorted.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| problem(folder, &error))? {
        let path = entry.map_err(|error| problem(folder, &error))?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn problem(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stamped folder of two files, of which only `a` is needed.
    fn stamped() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("sub")).expect("a folder");
        fs::write(dir.path().join("a"), "1234").expect("a file");
        fs::write(dir.path().join("sub/b"), "12").expect("a file");
        write(dir.path(), "x==1", &["a"]).expect("a stamp");
        dir
    }

    #[test]
    fn a_stamp_names_the_source_and_every_file() {
        let dir = stamped();
        let text = fs::read_to_string(dir.path().join(STAMP)).expect("a stamp");
        assert_eq!(text, "made of x==1\n4 a\n2 sub/b\n");
        assert!(is_whole(dir.path(), &["a"]));
    }

    #[test]
    fn a_folder_without_a_stamp_is_not_whole() {
        let dir = stamped();
        fs::remove_file(dir.path().join(STAMP)).expect("a removed file");
        assert!(!is_whole(dir.path(), &["a"]));
    }

    #[test]
    fn a_changed_size_or_a_missing_file_is_not_whole() {
        for name in ["a", "sub/b"] {
            let dir = stamped();
            fs::write(dir.path().join(name), "1").expect("a file");
            assert!(!is_whole(dir.path(), &["a"]), "{name} is shorter");
            fs::remove_file(dir.path().join(name)).expect("a removed file");
            assert!(!is_whole(dir.path(), &["a"]), "{name} is missing");
        }
    }

    #[test]
    fn a_needed_file_that_is_not_there_or_not_stamped_is_found() {
        let dir = stamped();
        let problem = write(dir.path(), "x==1", &["c"]).expect_err("c is missing");
        assert!(problem.ends_with("lacks c"), "{problem}");
        assert!(!is_whole(dir.path(), &["a", "c"]));
        fs::write(dir.path().join(STAMP), "").expect("an emptied stamp");
        assert!(!is_whole(dir.path(), &["a"]));
    }
}
