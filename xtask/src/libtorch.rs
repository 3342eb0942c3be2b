//! libtorch 2.4.0 for the CPU in `target/libtorch`: the user's own wins; else the
//! official archive; where its server cannot be reached, the Python package, of which
//! a few files are enough.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::environment::Workspace;
use crate::fetch::{Wheel, from_web, reachable, remove, unpack};
use crate::stamp;

/// The C++ ABI before C++11, as the Python package has; `.cargo/config.toml` says so
/// too.
const ARCHIVE: &str = concat!(
    "https://download.pytorch.org/libtorch/cpu/",
    "libtorch-shared-with-deps-2.4.0%2Bcpu.zip"
);

const TORCH: Wheel = Wheel {
    requirement: "torch==2.4.0",
    file: "torch-2.4.0-cp311-cp311-manylinux1_x86_64.whl",
    size: 797_262_052,
    sha256: "e743adadd8c8152bb8373543964551a7cb7cc20ba898dc8f9c0cdbe47c283de0",
};

/// libtorch_cpu.so of the Python package names these two as needed.
const CUDART: Wheel = Wheel {
    requirement: "nvidia-cuda-runtime-cu12==12.1.105",
    file: "nvidia_cuda_runtime_cu12-12.1.105-py3-none-manylinux1_x86_64.whl",
    size: 823_596,
    sha256: "6e258468ddf5796e25f1dc591a31029fa317d97a0a94ed93468fc86301d61e40",
};
const CUPTI: Wheel = Wheel {
    requirement: "nvidia-cuda-cupti-cu12==12.1.105",
    file: "nvidia_cuda_cupti_cu12-12.1.105-py3-none-manylinux1_x86_64.whl",
    size: 14_109_015,
    sha256: "e54fde3983165c624cb79254ae9818a456eb6e87a7fd4d56a2352c24ee542d7e",
};

/// Those of its libraries that a program on the CPU needs.
const LIBRARIES: [&str; 4] = [
    "libtorch_cpu.so",
    "libc10.so",
    "libgomp-a34b3233.so.1",
    "libshm.so",
];

/// Files by whose sizes a whole libtorch is known.
const KEY_FILES: [&str; 5] = [
    "lib/libtorch_cpu.so",
    "lib/libc10.so",
    "lib/libtorch.so",
    "include/ATen/ATen.h",
    "include/torch/csrc/api/include/torch/torch.h",
];

/// Finds or fetches libtorch, and sets cargo's variables where they differ from those
/// in `.cargo/config.toml`.
pub fn set_up(workspace: &mut Workspace) -> Result<()> {
    if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        println!("libtorch: that of the Python package (LIBTORCH_USE_PYTORCH is set)");
        return Ok(());
    }
    let ours = workspace.target().join("libtorch");
    // Cargo's own configuration sets the variable to our path.
    let given = std::env::var_os("LIBTORCH")
        .and_then(|path| std::path::absolute(path).ok())
        .filter(|path| *path != ours);
    if let Some(path) = given {
        return use_given(workspace, &path);
    }
    if stamp::is_whole(&ours, &KEY_FILES) {
        return Ok(());
    }
    if ours.exists() {
        eprintln!("{} is not whole; making it again", ours.display());
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(
            "set-up fetches libtorch for Linux on x86-64 only: `pip install torch==2.4.0` \
                    and set LIBTORCH_USE_PYTORCH=1, or unpack an archive of libtorch 2.4.0 and \
                    set LIBTORCH to its folder"
                .to_owned(),
        );
    }
    let draft = workspace.target().join("libtorch.tmp");
    remove(&draft)?;
    let downloads = workspace.target().join("downloads");
    fs::create_dir_all(&downloads).map_err(|error| format!("{}: {error}", downloads.display()))?;
    let made_of = match from_archive(&downloads, &draft) {
        Ok(()) => ARCHIVE.to_owned(),
        Err(problem) => {
            println!("{problem}; taking libtorch out of the Python package");
            remove(&draft)?;
            from_wheels(workspace, &draft)?;
            [TORCH, CUDART, CUPTI]
                .map(|wheel| wheel.requirement)
                .join(", ")
        }
    };
    stamp::write(&draft, &made_of, &KEY_FILES)?;
    remove(&ours)?;
    fs::rename(&draft, &ours).map_err(|error| format!("{}: {error}", ours.display()))?;
    // Unpacked, the downloads have served.
    remove(&downloads)?;
    println!("libtorch 2.4.0 is in {}", ours.display());
    Ok(())
}

/// `path` is absolute, as build scripts need it, which run in folders of their own.
fn use_given(workspace: &mut Workspace, path: &Path) -> Result<()> {
    if !path.is_dir() {
        return Err(format!("LIBTORCH is not a folder: {}", path.display()));
    }
    println!("libtorch: {} (LIBTORCH is set)", path.display());
    workspace.set("LIBTORCH", path.to_string_lossy().into_owned());
    // torch-sys takes the libraries from there where it is set.
    let libraries = std::env::var_os("LIBTORCH_LIB").map_or(path.to_owned(), PathBuf::from);
    let library = libraries.join("lib").join("libc10.so");
    // Only Linux has two ABIs, and there this file.
    let Ok(bytes) = fs::read(&library) else {
        return Ok(());
    };
    let abi = abi(&bytes);
    if std::env::var("LIBTORCH_CXX11_ABI").as_deref() != Ok(abi) {
        println!("for plain cargo commands set LIBTORCH_CXX11_ABI={abi} too");
        workspace.set("LIBTORCH_CXX11_ABI", abi.to_owned());
    }
    Ok(())
}

/// Libraries of the C++11 ABI have its namespace in the names of their own symbols; one
/// that all versions have is an error's constructor, which takes a string.
fn abi(library: &[u8]) -> &'static str {
    let mark = b"_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx11";
    if library.windows(mark.len()).any(|bytes| bytes == mark) {
        "1"
    } else {
        "0"
    }
}

/// The archive's publisher names no sum; unpacking checks every file by the archive's
/// own, and the version must be the right one.
fn from_archive(downloads: &Path, folder: &Path) -> Result<()> {
    if !reachable(ARCHIVE) {
        return Err(format!("{ARCHIVE} cannot be reached"));
    }
    if let Err(problem) = fetch_archive(downloads, folder) {
        eprintln!("{problem}; fetching it again");
        remove(folder)?;
        fetch_archive(downloads, folder)?;
    }
    let version = fs::read_to_string(folder.join("build-version")).unwrap_or_default();
    match version.trim() {
        "2.4.0+cpu" => Ok(()),
        other => Err(format!("{ARCHIVE} holds version `{other}`")),
    }
}

fn fetch_archive(downloads: &Path, folder: &Path) -> Result<()> {
    let archive = downloads.join("libtorch.zip");
    let place = |name: &str| name.strip_prefix("libtorch/").map(PathBuf::from);
    let unpacked = from_web(ARCHIVE, &archive).and_then(|()| unpack(&archive, folder, place));
    // The wheel that may be needed next is large too.
    remove(&archive)?;
    unpacked.map(|_| ())
}

fn from_wheels(workspace: &Workspace, folder: &Path) -> Result<()> {
    let torch = |name: &str| {
        let library = name
            .strip_prefix("torch/lib/")
            .filter(|name| LIBRARIES.contains(name));
        match library {
            Some(library) => Some(Path::new("lib").join(library)),
            None => name
                .strip_prefix("torch/")
                .filter(|name| name.starts_with("include/"))
                .map(PathBuf::from),
        }
    };
    unpack(&TORCH.fetch(workspace)?, folder, torch)?;
    for (wheel, library) in [(CUDART, "libcudart.so.12"), (CUPTI, "libcupti.so.12")] {
        let place = |name: &str| {
            name.ends_with(library)
                .then(|| Path::new("lib").join(library))
        };
        unpack(&wheel.fetch(workspace)?, folder, place)?;
    }
    // The real one loads the CUDA libraries; the linker takes this text in its place.
    let path = folder.join("lib/libtorch.so");
    fs::write(&path, "INPUT(libtorch_cpu.so)\n")
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_abi_shows_in_the_names_of_symbols() {
        assert_eq!(abi(b"_ZN3c105ErrorC2ENS_14SourceLocationESs"), "0");
        // libc10.so of the old ABI has these too, from the compiler's own library.
        assert_eq!(
            abi(b"_ZNSt7__cxx1112basic_stringIcE_ZN3c105ErrorC2ESs"),
            "0"
        );
        assert_eq!(
            abi(b"_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcE"),
            "1"
        );
    }
}
