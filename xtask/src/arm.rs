//! `cargo xtask test-arm`: the kernels, the model and a training run on aarch64, whose vectors
//! are NEON's, under emulation. The C++ and the tests are cross-compiled on this machine against
//! the libraries of PyTorch's aarch64 wheel.

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::check::FEATURES;
use crate::environment::{Workspace, last_line, run};
use crate::fetch::{Wheel, remove, unpack};
use crate::stamp;

const SYSTEM: &str = "aarch64-unknown-linux-gnu";
const COMPILER: &str = "aarch64-linux-gnu-g++";
const EMULATOR: &str = "qemu-aarch64";

const TORCH: Wheel = Wheel {
    requirement: "torch==2.4.0",
    file: "torch-2.4.0-cp311-cp311-manylinux2014_aarch64.whl",
    size: 89_850_473,
    sha256: "7334325c0292cbd5c2eac085f449bf57d3690932eac37027e193ba775703c9e6",
};

/// Those of its libraries that a program needs.
const LIBRARIES: [&str; 4] = ["libtorch_cpu.so", "libc10.so", "libshm.so", "libtorch.so"];

const KEY_FILES: [&str; 3] = [
    "lib/libtorch_cpu.so",
    "lib/libc10.so",
    "include/ATen/ATen.h",
];

/// What is run: all of it would take hours under emulation.
const UNIT_TESTS: [&str; 2] = ["native::", "model::"];
const TESTS: [&str; 3] = [
    "model::encoder::outputs_of_a_random_model",
    "model::encoder::rows_attended_in_parts",
    "train::parity::training_a_random_model",
];

/// Builds and runs the tests.
pub fn run_tests(workspace: &Workspace) -> Result<()> {
    for (program, package) in [(COMPILER, "g++-aarch64-linux-gnu"), (EMULATOR, "qemu-user")] {
        last_line(Command::new(program).arg("--version"))
            .map_err(|problem| format!("{problem}: install Debian's package {package}"))?;
    }
    run(Command::new("rustup").args(["target", "add", SYSTEM]))?;
    let libtorch = workspace.target().join("libtorch-aarch64");
    set_up(workspace, &libtorch)?;
    let libraries = libtorch.join("lib");
    let [libtorch, libraries] = [&libtorch, &libraries].map(|path| path.to_string_lossy());
    let target = workspace.target().join("aarch64");
    let target = target.to_string_lossy();
    let flags = format!("-Clink-arg=-Wl,-rpath-link,{libraries}");
    // Debian's libraries for arm64 lie where the emulated program looks for them: `dpkg
    // --add-architecture arm64`, then the packages zlib1g:arm64, libstdc++6:arm64, libgomp1:arm64.
    let runner = format!("{EMULATOR} -E LD_LIBRARY_PATH={libraries}");
    let variables = [
        ("CARGO_TARGET_DIR", &*target),
        ("LIBTORCH", &*libtorch),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", &*runner),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", &*flags),
    ];
    for (tests, names) in [
        (&["--lib"][..], &UNIT_TESTS[..]),
        (&["--test", "it"], &TESTS[..]),
    ] {
        let build = ["test", "--target", SYSTEM];
        let arguments = [&build[..], tests, &FEATURES, &["--"], names].concat();
        workspace.cargo_in(workspace.root(), &arguments, &variables)?;
    }
    Ok(())
}

fn set_up(workspace: &Workspace, folder: &Path) -> Result<()> {
    if stamp::is_whole(folder, &KEY_FILES) {
        return Ok(());
    }
    remove(folder)?;
    let place = |name: &str| {
        let of_torch = name.strip_prefix("torch/lib/");
        let library = of_torch
            .filter(|name| LIBRARIES.contains(name))
            .or(name.strip_prefix("torch.libs/"));
        match library {
            Some(library) => Some(Path::new("lib").join(library)),
            None => name
                .strip_prefix("torch/")
                .filter(|name| name.starts_with("include/"))
                .map(Into::into),
        }
    };
    unpack(&TORCH.fetch(workspace)?, folder, place)?;
    stamp::write(folder, TORCH.requirement, &KEY_FILES)
}
