//! `cargo xtask sanitize`: the tests with the C++ under AddressSanitizer, ours and that of
//! libtorch's bindings; libtorch itself is as it was built.

use std::process::Command;

use crate::Result;
use crate::check::FEATURES;
use crate::environment::{Workspace, last_line};

/// Named, so that what Rust's compiler itself loads is built without the sanitizer.
const SYSTEM: &str = "x86_64-unknown-linux-gnu";

/// Tests that start programs of their own.
const WITH_PROGRAMS: [&str; 3] = ["examples::", "recipes::", "faults::"];

/// Runs those tests whose names have one of `filters`.
pub fn run(workspace: &Workspace, filters: &[String]) -> Result<()> {
    let target = workspace.target().join("sanitized");
    let target = target.to_string_lossy();
    // Rust's linker adds it behind the C library, and it must be in front of it.
    let library = last_line(Command::new("c++").arg("-print-file-name=libasan.so"))?;
    let runner = format!("env LD_PRELOAD={library}");
    let variables = [
        ("CARGO_TARGET_DIR", &*target),
        // With more optimization, vectors and the sanitizer take GCC many minutes.
        ("CXXFLAGS", "-O1 -fsanitize=address -fno-omit-frame-pointer"),
        ("RUSTFLAGS", "-Clink-arg=-lasan"),
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", &runner),
        // libtorch never gives back what it has for the whole process, and grows containers
        // without telling the sanitizer; tests ask for more memory than there is.
        (
            "ASAN_OPTIONS",
            "detect_leaks=0:detect_container_overflow=0:allocator_may_return_null=1",
        ),
    ];
    let build = ["test", "--target", SYSTEM, "--lib", "--test", "it"];
    let mut arguments = [&build[..], &FEATURES[..], &["--"]].concat();
    arguments.extend(WITH_PROGRAMS.iter().flat_map(|name| ["--skip", name]));
    arguments.extend(filters.iter().map(String::as_str));
    workspace.cargo_in(workspace.root(), &arguments, &variables)
}
