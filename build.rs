//! Compiles the native door against the libtorch that torch-sys has found, and
//! writes the place of libtorch into this package's own binaries (tests, examples,
//! benches), so that they start without `LD_LIBRARY_PATH`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: [&str; 2] = ["src/native", "src/native/fused"];
const DOOR: &str = "src/native/door.cpp";
const ABSENT: &str = "src/native/fused/absent.cpp";
const FUSED: [&str; 4] = [
    "src/native/fused/attention.cpp",
    "src/native/fused/dense.cpp",
    "src/native/fused/path.cpp",
    "src/native/fused/token_loss.cpp",
];

/// A path of the processor: what is compiled for it, and for which features.
type CpuPath = (&'static str, &'static [&'static str]);
const BASE: CpuPath = ("src/native/fused/for_base.cpp", &[]);
const AVX2: &[&str] = &["-mavx2", "-mfma", "-mbmi", "-mbmi2"];
const AVX512: &[&str] = &[
    "-mavx512f",
    "-mavx512bw",
    "-mavx512cd",
    "-mavx512dq",
    "-mavx512vl",
    "-mavx2",
    "-mfma",
    "-mbmi",
    "-mbmi2",
];
/// `src/native/fused/path.cpp` asks for the same features before it takes one of them.
const X86: [CpuPath; 2] = [
    ("src/native/fused/for_avx2.cpp", AVX2),
    ("src/native/fused/for_avx512.cpp", AVX512),
];

/// Asks the Python that torch-sys asks for what it was told by it.
const ASK_PYTHON: &str = "
import torch
from torch.utils import cpp_extension
print('abi', int(torch._C._GLIBCXX_USE_CXX11_ABI))
for path in cpp_extension.include_paths():
    print('include', path)
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for file in sources() {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    println!("cargo:rustc-check-cfg=cfg(fused)");
    // Without libtorch, documentation is built and nothing is linked.
    if env::var_os("CARGO_FEATURE_DOC_ONLY").is_some() {
        return;
    }
    let library = env::var("DEP_TCH_LIBTORCH_LIB").ok().map(PathBuf::from);
    let (includes, abi) = headers(library.as_deref());
    let msvc = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "msvc");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .file(DOOR)
        .includes(includes)
        .warnings(false);
    if msvc {
        build.file(ABSENT).flag("/std:c++17");
    } else {
        build.flag("-std=c++17").flag("-fvisibility=hidden");
        build.files(FUSED).opt_level(3).flag("-ffp-contract=fast");
        build.flag_if_supported("-Wno-psabi");
        println!("cargo:rustc-cfg=fused");
        build.define("_GLIBCXX_USE_CXX11_ABI", &abi[..]);
        let x86 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
        if x86 {
            build.define("X86_PATHS", None);
        }
        for path in [BASE].into_iter().chain(X86.into_iter().filter(|_| x86)) {
            build.objects(compiled(path));
        }
    }
    build.compile("bertfit_door");

    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    if let (false, Some(library)) = (msvc, library) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    }
}

/// What is compiled here, and what it includes; cargo watches the rest.
fn sources() -> Vec<PathBuf> {
    let folders = SOURCES.iter().flat_map(|folder| {
        fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {folder}: {error}"))
    });
    let files = folders.map(|entry| entry.expect("a folder's entry").path());
    let is_source = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| end == "cpp" || end == "h")
    };
    files.filter(is_source).collect()
}

/// The kernels of a path. They are made of vectors, which are an extension of GCC and Clang, and
/// would be slow beyond use without optimization.
fn compiled((file, features): CpuPath) -> Vec<PathBuf> {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .file(file)
        .warnings(false)
        .opt_level(3)
        .flag("-std=c++17")
        .flag("-fvisibility=hidden")
        .flag("-ffp-contract=fast")
        .flag_if_supported("-Wno-psabi");
    for feature in features {
        build.flag(feature);
    }
    build.compile_intermediates()
}

/// The folders of libtorch's headers and its C++ ABI, found as torch-sys finds them.
fn headers(library: Option<&Path>) -> (Vec<PathBuf>, String) {
    if variable("LIBTORCH_USE_PYTORCH").is_some() {
        return headers_of_python();
    }
    let root = variable("LIBTORCH_INCLUDE")
        .or_else(|| variable("LIBTORCH"))
        .map(PathBuf::from)
        .or_else(|| library.and_then(Path::parent).map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("/usr"));
    let include = root.join("include");
    let api = include.join("torch/csrc/api/include");
    let abi = variable("LIBTORCH_CXX11_ABI").unwrap_or_else(|| "1".to_owned());
    (vec![include, api], abi)
}

fn headers_of_python() -> (Vec<PathBuf>, String) {
    let python = match env::var_os("VIRTUAL_ENV") {
        _ if cfg!(windows) => "python.exe",
        Some(_) => "python",
        None => "python3",
    };
    let output = Command::new(python).args(["-c", ASK_PYTHON]).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {python}: {error}"));
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("{python} has no PyTorch, which LIBTORCH_USE_PYTORCH asks for: {errors}");
    }
    let (mut includes, mut abi) = (Vec::new(), "1".to_owned());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match line.split_once(' ') {
            Some(("include", path)) => includes.push(PathBuf::from(path)),
            Some(("abi", value)) => abi = value.to_owned(),
            _ => {}
        }
    }
    (includes, abi)
}

fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).ok()
}
