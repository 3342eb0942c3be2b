//! `cargo xtask <command>`: sets up libtorch and a small real BERT in `target/`, runs
//! the demonstration, the tests, or all checks. Needs Rust, a C++ compiler, Python 3
//! and pip.

mod arm;
mod check;
mod compare;
mod deny;
mod environment;
mod faults;
mod fetch;
mod libtorch;
mod marks;
mod model;
mod paths;
mod peers;
mod race;
mod sanitize;
mod stamp;

use std::process::ExitCode;

use environment::Workspace;

const USAGE: &str = "usage: cargo xtask <command>

  setup           put libtorch 2.4.0 and a small real BERT into target/
  demo            set up, then fit a classifier on 2,403 reviews
  test [ARGS]     set up, then run the whole test suite (ARGS go to cargo test)
  check           set up, then run all that CI runs
  race [ARGS]     set up, then race against transformers (letters of contests,
                  --rounds=N; BERTFIT_DATA is the folder of data sets)
  compare [ARGS]  set up, then compare the recipes' accuracy with transformers' on real
                  data (names of data sets, --seeds=N; BERTFIT_DATA as above)
  faults [ARGS]   set up, then kill, stop and damage runs (kills, signals, damage, disk;
                  --kills=N, --signals=N), which takes some minutes
  sanitize [ARGS] set up, then run the tests with the C++ under AddressSanitizer (names of
                  tests)
  test-arm        set up, then run tests of the kernels, the model and training on aarch64, under
                  emulation (Debian's g++-aarch64-linux-gnu and qemu-user)
  peers           set up, then compare with two releases of transformers (downloads 6 GB)
  help            this text";

/// What went wrong, in one line.
pub type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = arguments.first().map_or("", String::as_str);
    let more = arguments.get(1..).unwrap_or_default();
    match (command, more) {
        ("help" | "--help" | "-h", _) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ("test" | "race" | "compare" | "faults" | "sanitize", _)
        | ("setup" | "demo" | "check" | "peers" | "test-arm", []) => {}
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    match run(command, more) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, more: &[String]) -> Result<()> {
    let mut workspace = Workspace::find();
    libtorch::set_up(&mut workspace)?;
    model::set_up(&workspace)?;
    match command {
        "demo" => workspace.cargo(&["run", "--example", "01_classify"]),
        "test" => check::suite(&workspace, more),
        "check" => check::all(&workspace),
        "race" => race::run(&workspace, more),
        "compare" => compare::run(&workspace, more),
        "faults" => faults::run(&workspace, more),
        "sanitize" => sanitize::run(&workspace, more),
        "test-arm" => arm::run_tests(&workspace),
        "peers" => peers::compare(&workspace),
        _ => Ok(()),
    }
}
