//! A short run of `benches/fuzz`: hostile files are read or refused, with an error that
//! names the file, and nothing panics.

#[path = "../../benches/fuzz/checkpoint.rs"]
mod checkpoint;
#[path = "../../benches/fuzz/data_files.rs"]
mod data_files;
#[path = "../../benches/fuzz/mutate.rs"]
mod mutate;
#[path = "../../benches/fuzz/pickles.rs"]
mod pickles;
// The bounds of memory are the bench's, which counts it.
#[allow(dead_code)]
#[path = "../../benches/fuzz/targets.rs"]
mod targets;
#[path = "../../benches/fuzz/zipped.rs"]
mod zipped;

use targets::TARGETS;

fn run(name: &str, cases: u64) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("a target of this name");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let corpus = target.corpus(dir.path());
    let mut accepted = 0;
    for case in 0..cases {
        let (path, _) = corpus.write(7, case);
        match corpus.read(path) {
            Ok(true) => accepted += 1,
            Ok(false) => {}
            Err(problem) => panic!("case {case}: {problem}"),
        }
        corpus.restore(path);
    }
    // Files that are all refused at their first byte, or never, would test nothing.
    assert!(
        accepted > 0 && accepted < cases,
        "{accepted} of {cases} accepted"
    );
}

#[test]
fn hostile_data_files_are_read_or_refused() {
    for name in ["table", "compressed", "tagged", "questions"] {
        run(name, 2000);
    }
    #[cfg(feature = "parquet")]
    run("parquet", 500);
}

#[test]
fn hostile_files_of_a_tokenizer_are_read_or_refused() {
    for name in ["vocab", "tokenizer"] {
        run(name, 2000);
    }
}

#[test]
fn hostile_files_of_a_model_are_read_or_refused() {
    run("config", 2000);
    run("weights", 300);
    run("pickle", 1000);
}

#[test]
fn a_hostile_state_of_a_run_is_read_or_refused() {
    run("state", 60);
}
