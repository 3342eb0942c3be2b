//! Hostile files for all readers: none may panic, take more memory than its bound, or be
//! at work for long. Each case is made of a seed alone, and can be made again.
#![allow(missing_docs)]

mod checkpoint;
mod data_files;
mod memory;
mod mutate;
mod pickles;
mod targets;
mod zipped;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use targets::{Corpus, TARGETS, Target};

#[global_allocator]
static MEMORY: memory::Counted = memory::Counted;

const USAGE: &str = "usage: fuzz TARGET… [--cases=N] [--seed=N] [--from=N]
targets: all table compressed parquet tagged questions vocab tokenizer config weights pickle
  state";

/// A case that takes longer is a failure, and so much more is allowed for each byte of text in
/// each reading of it, since little becomes much when it is unpacked.
const LONGEST: Duration = Duration::from_secs(2);
const FOR_A_BYTE: Duration = Duration::from_nanos(200);

/// A case that has not ended after so many seconds, whoever had the processor, ends the program.
const HANGS: u64 = 60;

/// Failures of a target after which it is left.
const ENOUGH: u64 = 5;

/// The case that is read now, and the second since the start in which that began.
static CASE: AtomicU64 = AtomicU64::new(0);
static SINCE: AtomicU64 = AtomicU64::new(u64::MAX);

struct Options {
    cases: u64,
    seed: u64,
    from: u64,
}

#[derive(Default)]
struct Figures {
    accepted: u64,
    refused: u64,
    failed: u64,
    largest: usize,
    peak: usize,
    slowest: Duration,
}

fn main() -> ExitCode {
    let mut options = Options {
        cases: 1000,
        seed: 1,
        from: 0,
    };
    let mut names = Vec::new();
    for argument in std::env::args().skip(1) {
        let number = |text: &str| text.parse::<u64>().ok();
        let read = match argument.split_once('=') {
            Some(("--cases", value)) => number(value).map(|n| options.cases = n),
            Some(("--seed", value)) => number(value).map(|n| options.seed = n),
            Some(("--from", value)) => number(value).map(|n| options.from = n),
            None if argument == "--bench" => Some(()),
            None if argument == "all" => {
                names.extend(TARGETS.iter().map(|one| one.name));
                Some(())
            }
            None => TARGETS
                .iter()
                .find(|one| one.name == argument)
                .map(|one| names.push(one.name)),
            _ => None,
        };
        if read.is_none() {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    if names.is_empty() {
        // What `cargo bench` without a name passes to each bench is no mistake.
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    bertfit::tch::set_num_threads(1);
    let dir = match Path::new("/dev/shm").is_dir() {
        true => tempfile::tempdir_in("/dev/shm"),
        false => tempfile::tempdir(),
    };
    let dir = dir.expect("a temporary folder");
    watch(dir.path());
    println!(
        "| target | cases | accepted | refused | failed | most memory | largest request | slowest case |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut failed = 0;
    for target in TARGETS.iter().filter(|target| names.contains(&target.name)) {
        let figures = run(target, &options, dir.path());
        println!(
            "| {} | {} | {} | {} | {} | {} KiB | {} KiB | {:.1} ms |",
            target.name,
            figures.accepted + figures.refused + figures.failed,
            figures.accepted,
            figures.refused,
            figures.failed,
            figures.peak.div_ceil(1024),
            figures.largest.div_ceil(1024),
            figures.slowest.as_secs_f64() * 1e3,
        );
        failed += figures.failed;
    }
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn run(target: &Target, options: &Options, dir: &Path) -> Figures {
    let corpus = target.corpus(dir);
    let mut figures = Figures::default();
    for case in options.from..options.from + options.cases {
        let (path, content) = corpus.write(options.seed, case);
        CASE.store(case, Relaxed);
        SINCE.store(seconds(), Relaxed);
        let start = worked();
        let (read, used) = memory::measure(|| catch_unwind(AssertUnwindSafe(|| corpus.read(path))));
        let took = worked().saturating_sub(start);
        SINCE.store(u64::MAX, Relaxed);

        let (fixed, factor) = target.bound;
        let bytes = Corpus::text_bytes(path, &content);
        let bound = fixed + factor * bytes;
        let read_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let read_bytes = read_bytes.saturating_mul(target.reads);
        let longest = LONGEST + FOR_A_BYTE.saturating_mul(read_bytes);
        let problem = match read {
            Err(_) => Some("panicked".to_owned()),
            Ok(Err(problem)) => Some(problem),
            Ok(Ok(_)) if used.peak > bound => Some(format!(
                "took {} bytes of memory, more than {bound}",
                used.peak
            )),
            Ok(Ok(_)) if took > longest => Some(format!("took {took:?}")),
            Ok(Ok(true)) => {
                figures.accepted += 1;
                None
            }
            Ok(Ok(false)) => {
                figures.refused += 1;
                None
            }
        };
        figures.peak = figures.peak.max(used.peak);
        figures.largest = figures.largest.max(used.largest);
        figures.slowest = figures.slowest.max(took);
        if let Some(problem) = problem {
            let Target { name, .. } = target;
            eprintln!(
                "{name}: case {case} {problem} ({} bytes of {})\nagain: cargo bench --bench fuzz \
                 -- {name} --seed={} --from={case} --cases=1",
                content.len(),
                path.display(),
                options.seed
            );
            figures.failed += 1;
            if figures.failed == ENOUGH {
                break;
            }
        }
        corpus.restore(path);
    }
    figures
}

/// Ends the program when a case does not end.
fn watch(dir: &Path) {
    seconds();
    let dir = dir.to_owned();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let since = SINCE.load(Relaxed);
            if seconds().saturating_sub(since) > HANGS {
                eprintln!(
                    "case {} does not end; its files are in {}",
                    CASE.load(Relaxed),
                    dir.display()
                );
                std::process::abort();
            }
        }
    });
}

/// How long the processor has worked for this thread, so that nothing else counts; on other
/// systems than Linux the time that has passed.
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok());
    nanoseconds.map_or_else(passed, Duration::from_nanos)
}

/// Time since this was first called.
fn passed() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

fn seconds() -> u64 {
    passed().as_secs()
}
