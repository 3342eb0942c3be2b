//! Files from elsewhere: fetched by curl or pip, checked by size and SHA-256, kept
//! in `target/downloads` until they are unpacked, and fetched again when broken.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::Result;
use crate::environment::{Workspace, run};

/// A Python wheel: what pip calls it, its file name, and what it must be.
pub struct Wheel {
    pub requirement: &'static str,
    pub file: &'static str,
    pub size: u64,
    pub sha256: &'static str,
}

impl Wheel {
    /// The checked wheel on the disk. A file that is there already is used if it is
    /// whole; a broken one is fetched again, once.
    pub fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        let folder = workspace.target().join("downloads");
        let path = folder.join(self.file);
        for _ in 0..2 {
            if path.exists() {
                match self.check(&path) {
                    Ok(()) => return Ok(path),
                    Err(problem) => {
                        eprintln!("{}: {problem}; fetching it again", self.file);
                        remove(&path)?;
                    }
                }
            }
            println!("fetching {}", self.requirement);
            self.download(&folder)?;
        }
        self.check(&path)
            .map_err(|problem| format!("{}: {problem}", path.display()))?;
        Ok(path)
    }

    fn download(&self, folder: &Path) -> Result<()> {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        pip.args([
            "--no-deps",
            "--no-cache-dir",
            "--only-binary=:all:",
            "--dest",
        ])
        .arg(folder);
        // The libraries inside are the same for every Python.
        pip.args([
            "--python-version",
            "3.11",
            "--implementation",
            "cp",
            "--abi",
            "cp311",
        ]);
        pip.args(["--abi", "none", "--platform", self.platform()]);
        run(pip.arg(self.requirement))
    }

    /// The first of those that the file's name ends with.
    fn platform(&self) -> &'static str {
        let name = self.file.strip_suffix(".whl").unwrap_or(self.file);
        let platforms = name.rsplit('-').next().unwrap_or("any");
        platforms.split('.').next().unwrap_or(platforms)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
        if size != self.size {
            return Err(format!("has {size} bytes instead of {}", self.size));
        }
        match sha256(path)? == self.sha256 {
            true => Ok(()),
            false => Err("has another SHA-256".to_owned()),
        }
    }
}

/// Whether curl is there and a server has the file.
pub fn reachable(url: &str) -> bool {
    let asked = Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--location",
            "--head",
            "--connect-timeout",
            "5",
        ])
        .args(["--max-time", "20", url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Fetches a URL to a file.
pub fn from_web(url: &str, path: &Path) -> Result<()> {
    println!("fetching {url}");
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--location",
        "--retry",
        "2",
        "--output",
    ]);
    run(curl.arg(path).arg(url))
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut hasher))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Unpacks those files of a zip archive for which `place` gives a path in `folder`.
/// Every byte is checked by the archive's own sums. Returns how many there were.
pub fn unpack(
    archive: &Path,
    folder: &Path,
    place: impl Fn(&str) -> Option<PathBuf>,
) -> Result<usize> {
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", archive.display());
    let file = File::open(archive).map_err(|error| problem(&error))?;
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(|error| problem(&error))?;
    let mut unpacked = 0;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| problem(&error))?;
        // An entry that would leave the folder has no enclosed name.
        let Some(name) = entry.enclosed_name().filter(|_| entry.is_file()) else {
            continue;
        };
        let Some(place) = place(&name.to_string_lossy()) else {
            continue;
        };
        let path = folder.join(place);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| File::create(&path))
            .and_then(|mut file| io::copy(&mut entry, &mut file))
            .map_err(|error| format!("{} to {}: {error}", archive.display(), path.display()))?;
        unpacked += 1;
    }
    Ok(unpacked)
}

/// Removes a file or a folder, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|error| format!("cannot remove {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    #[test]
    fn a_wheel_of_another_size_or_sum_is_found() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x.whl");
        let wheel = Wheel {
            requirement: "x==1",
            file: "x.whl",
            size: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        };
        fs::write(&path, "abc").expect("a file");
        assert_eq!(wheel.check(&path), Ok(()));
        fs::write(&path, "abd").expect("a file");
        assert_eq!(wheel.check(&path), Err("has another SHA-256".to_owned()));
        fs::write(&path, "ab").expect("a file");
        assert_eq!(
            wheel.check(&path),
            Err("has 2 bytes instead of 3".to_owned())
        );
    }

    #[test]
    fn only_the_wanted_files_are_unpacked_and_damage_is_found() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let archive = dir.path().join("x.whl");
        let mut zip = ZipWriter::new(File::create(&archive).expect("a file"));
        for name in ["pkg/lib/a.so", "pkg/b.txt", "../c.txt"] {
            zip.start_file(name, SimpleFileOptions::default())
                .expect("an entry");
            zip.write_all(&[7; 1000]).expect("content");
        }
        zip.finish().expect("an archive");
        let out = dir.path().join("out");
        let place = |name: &str| name.strip_prefix("pkg/").map(PathBuf::from);
        assert_eq!(unpack(&archive, &out, place), Ok(2));
        assert_eq!(fs::read(out.join("lib/a.so")).expect("a file"), [7; 1000]);
        let mut bytes = fs::read(&archive).expect("the archive");
        bytes.truncate(bytes.len() / 2);
        fs::write(&archive, &bytes).expect("half an archive");
        assert!(unpack(&archive, &out, place).is_err());
    }

    #[test]
    fn an_archive_with_one_other_byte_is_found() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let archive = dir.path().join("x.whl");
        let mut zip = ZipWriter::new(File::create(&archive).expect("a file"));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file("a", stored).expect("an entry");
        zip.write_all(&[7; 1000]).expect("content");
        zip.finish().expect("an archive");
        let place = |name: &str| Some(PathBuf::from(name));
        assert_eq!(unpack(&archive, &dir.path().join("out"), place), Ok(1));
        let mut bytes = fs::read(&archive).expect("the archive");
        bytes[500] = 8;
        fs::write(&archive, &bytes).expect("a damaged archive");
        assert!(unpack(&archive, &dir.path().join("out"), place).is_err());
    }
}
