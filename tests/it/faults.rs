//! The recipes when they are killed, told to end, or cannot write: nothing is lost, and
//! nothing happens in silence. `cargo xtask faults` does the same many times.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::examples::{command, read_json, recipe, recipe_arguments, table};

/// With dropout, accumulation, rows of like length together, and an end by early stopping.
fn flags(more: &[&str]) -> Vec<String> {
    let (train, dev) = (table("dev"), table("test"));
    let words = "--lr 3e-3 --batch-size 8 --accumulate 2 --epochs 9 --patience 1 \
                 --metric loss --checkpoint-every 2 --keep 3 --threads 1";
    let mut flags = vec!["--train".to_owned(), train, "--dev".to_owned(), dev];
    flags.extend(words.split_whitespace().map(str::to_owned));
    flags.extend(more.iter().map(|&word| word.to_owned()));
    flags
}

fn run(out: &Path, more: &[&str]) -> Output {
    let flags = flags(more);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    recipe(out, &flags)
}

/// Starts it; what it says comes with its end.
fn start(out: &Path, more: &[&str]) -> Child {
    let flags = flags(more);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut command = command("text_classification", &recipe_arguments(out, &flags));
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
    quiet.spawn().expect("a process")
}

#[track_caller]
fn wait_until(child: &mut Child, what: impl Fn() -> bool) {
    while !what() {
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended too early: {ended:?}");
        sleep(Duration::from_micros(200));
    }
}

fn send(child: &Child, signal: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, &child.id().to_string()]);
    assert!(kill.status().expect("a signal").success());
}

/// Exit status, and what it said.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("the end of the process");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), errors)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Resumes it and compares it with the one that was never interrupted; returns what it said.
#[track_caller]
fn goes_on_as(out: &Path, whole: &Path) -> String {
    let output = run(out, &["--resume"]);
    assert!(output.status.success(), "{}", errors(&output));
    let model = |out: &Path| fs::read(out.join("model.safetensors")).expect("a model");
    assert!(model(out) == model(whole), "the models differ");
    let history = |out: &Path| {
        let mut state = read_json(out.join("trainer_state.json"));
        let history: Value = state["log_history"].take();
        history.as_array().expect("a list").len()
    };
    assert_eq!(history(out), history(whole));
    assert_eq!(hidden(out), Vec::<String>::new());
    errors(&output)
}

/// What a recipe has begun and not finished, in its folder and beside it.
fn hidden(out: &Path) -> Vec<String> {
    let names = |dir: &Path| fs::read_dir(dir).expect("a folder").flatten();
    let all = names(out).chain(names(out.parent().expect("a parent")));
    all.map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect()
}

fn whole(dir: &Path) -> PathBuf {
    let whole = dir.join("whole");
    let output = run(&whole, &[]);
    assert!(output.status.success(), "{}", errors(&output));
    let state = read_json(whole.join("trainer_state.json"));
    let (made, planned) = (&state["global_step"], &state["max_steps"]);
    assert!(made.as_u64() < planned.as_u64(), "it did not stop early");
    whole
}

#[test]
fn a_recipe_is_killed_several_times_and_resumed_without_a_trace() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (whole, killed) = (whole(dir.path()), dir.path().join("killed"));
    for newest in [4, 10, 22] {
        let mut child = start(&killed, &["--resume"]);
        wait_until(&mut child, || {
            killed.join(format!("checkpoint-{newest}")).exists()
        });
        // The next one is on its way.
        wait_until(&mut child, || {
            hidden(&killed).iter().any(|name| name.ends_with(".tmp"))
        });
        child.kill().expect("a process to kill");
        assert_eq!(end(child).0, None);
        assert!(!killed.join("model.safetensors").exists());
    }
    goes_on_as(&killed, &whole);

    let again = run(&killed, &["--resume"]);
    assert!(again.status.success());
    let finished = format!("the run in {} is finished\n", killed.display());
    assert_eq!(errors(&again), finished);
    let results = read_json(killed.join("all_results.json"));
    let line = String::from_utf8_lossy(&again.stdout).into_owned();
    assert_eq!(line, format!("{results}\n"));
    // It is no other run, of which nobody knows the results.
    let other = run(&killed, &["--resume", "--weight-decay", "0.5"]);
    assert_eq!(other.status.code(), Some(1));
    let problem = "is of another run: train_config.optimizer.weight_decay: 0.01, now 0.5";
    assert!(errors(&other).contains(problem), "{}", errors(&other));
    let output = run(&killed, &["--resume", "--overwrite"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_second_run_in_the_folder_of_a_live_one_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (whole, out) = (whole(dir.path()), dir.path().join("run"));
    let mut child = start(&out, &[]);
    wait_until(&mut child, || out.join("checkpoint-2").exists());
    // It lives, but does not come to its end meanwhile.
    send(&child, "STOP");
    let expected = format!(
        "error: another run is writing into {}: wait until it ends, stop it, or choose another \
         folder (--out)\n",
        out.display()
    );
    for flag in [&[][..], &["--overwrite"], &["--resume"]] {
        let second = run(&out, flag);
        assert_eq!(second.status.code(), Some(1), "{flag:?}");
        assert_eq!(errors(&second), expected, "{flag:?}");
    }
    assert!(child.try_wait().expect("a child").is_none(), "too short");
    // Killed, it leaves the folder free at once.
    child.kill().expect("a process to kill");
    end(child);
    goes_on_as(&out, &whole);
}

#[test]
fn a_recipe_that_is_told_to_end_ends_with_its_own_status_and_goes_on_exactly() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = whole(dir.path());
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let out = dir.path().join(signal);
        let mut child = start(&out, &[]);
        wait_until(&mut child, || out.join("checkpoint-12").exists());
        send(&child, signal);
        let (code, errors) = end(child);
        assert_eq!(code, Some(status), "{errors}");
        let (start, rest) = errors.split_once(';').expect("what to do next");
        let step = start.strip_prefix("stopped after step ").expect("a step");
        assert!(out.join(format!("checkpoint-{step}")).exists(), "{errors}");
        let advice = format!(" --resume goes on with the run in {}\n", out.display());
        assert_eq!(rest, advice);
        assert!(!out.join("model.safetensors").exists());
        goes_on_as(&out, &whole);
    }
}

/// Whether a process has a handler for SIGTERM.
#[cfg(target_os = "linux")]
fn watches(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    caught.expect("a set of signals") >> (15 - 1) & 1 == 1
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_signal_ends_a_recipe_at_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (out, train) = (dir.path().join("run"), dir.path().join("train.tsv"));
    // One step takes all rows, which is far longer than this test.
    let rows = "the film was good\t1\nthe food was bad\t0\n".repeat(50_000);
    fs::write(&train, format!("sentence\tlabel\n{rows}")).expect("a file");
    let train = train.to_string_lossy();
    let words = [
        "--train",
        &train,
        "--batch-size",
        "1",
        "--accumulate",
        "1000000",
    ];
    let mut command = command("text_classification", &recipe_arguments(&out, &words));
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = quiet.spawn().expect("a process");
    let id = child.id();
    wait_until(&mut child, || watches(id));
    send(&child, "TERM");
    sleep(Duration::from_millis(100));
    assert!(child.try_wait().expect("a child").is_none());
    send(&child, "INT");
    let (code, errors) = end(child);
    assert_eq!((code, errors.as_str()), (Some(130), ""));
}

#[test]
fn a_checkpoint_that_does_not_fit_ends_the_recipe_and_the_one_before_stands() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (whole, out) = (whole(dir.path()), dir.path().join("run"));
    let mut child = start(&out, &[]);
    wait_until(&mut child, || out.join("checkpoint-4").exists());
    child.kill().expect("a process to kill");
    end(child);
    // A file can have 150 kB, as if the disk were full then: the weights can be written,
    // the optimizer's state cannot.
    let flags = flags(&["--resume"]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let recipe = command("text_classification", &recipe_arguments(&out, &flags));
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 150; exec \"$@\"", "bash"]);
    limited.arg(recipe.get_program()).args(recipe.get_args());
    let output = limited.output().expect("the recipe");
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("error: cannot write "), "{errors}");
    assert!(errors.contains("optimizer.safetensors"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert_eq!(hidden(&out), Vec::<String>::new());
    goes_on_as(&out, &whole);
}

#[test]
fn a_recipe_says_which_checkpoint_it_passes_over() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (whole, out) = (whole(dir.path()), dir.path().join("run"));
    let mut child = start(&out, &[]);
    wait_until(&mut child, || out.join("checkpoint-6").exists());
    send(&child, "TERM");
    let (_, errors) = end(child);
    let step = errors.trim_start_matches("stopped after step ");
    let step = step.split(';').next().expect("a step");
    let damaged = out.join(format!("checkpoint-{step}"));
    let path = damaged.join("model.safetensors");
    let mut bytes = fs::read(&path).expect("a file");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let errors = goes_on_as(&out, &whole);
    let expected = format!(
        "{} cannot be used: {}: damaged",
        damaged.display(),
        path.display()
    );
    assert!(errors.contains(&expected), "{errors}");
}
