//! A `trainer_state.json` that somebody has written on purpose.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::resume::{checkpoints, copy_up_to, folder, run};

/// Puts a state into a checkpoint, with a manifest that fits.
pub fn write_state(checkpoint: &Path, state: &Value) {
    let path = checkpoint.join("trainer_state.json");
    fs::write(&path, state.to_string()).expect("a state");
    let manifest = checkpoint.join("manifest.json");
    let mut sums: Value =
        serde_json::from_str(&fs::read_to_string(&manifest).expect("sums")).expect("JSON");
    let sum = Sha256::digest(fs::read(&path).expect("a state"));
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    sums["sha256"]["trainer_state.json"] = hex.into();
    fs::write(&manifest, sums.to_string()).expect("sums");
}

#[test]
fn a_state_with_which_a_run_would_not_end_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run(checkpoints(dir.path()), 0).expect("a run");
    let copy = copy_up_to(dir.path(), 1);
    let checkpoint = folder(copy.path(), 1);
    let path = checkpoint.join("trainer_state.json");
    let text = fs::read_to_string(&path).expect("a state");
    let whole: Value = serde_json::from_str(&text).expect("JSON");
    let most = 1_u64 << 53;
    for (pointer, value, expected) in [
        (
            "/global_step",
            2,
            "`global_step` is 2 in the checkpoint of step 1".to_owned(),
        ),
        (
            "/max_steps",
            0,
            "`global_step` is 1, but cannot be more than 0".to_owned(),
        ),
        (
            "/max_steps",
            7,
            "`max_steps` is 7, but the run has 18 steps".to_owned(),
        ),
        (
            "/batches_done",
            0,
            "`batches_done` is 0, but this checkpoint is of a step".to_owned(),
        ),
        (
            "/epochs_done",
            u64::MAX,
            format!("`epochs_done` is {}, but cannot be more than 1", u64::MAX),
        ),
        (
            "/batches_done",
            most + 1,
            format!(
                "`batches_done` is {}, but cannot be more than {most}",
                most + 1
            ),
        ),
        (
            "/best/stale_evaluations",
            u64::MAX,
            format!(
                "`best.stale_evaluations` is {}, but cannot be more than {most}",
                u64::MAX
            ),
        ),
        (
            "/seen/rows",
            u64::MAX,
            format!(
                "`seen.rows` is {}, but cannot be more than {most}",
                u64::MAX
            ),
        ),
    ] {
        let mut state = whole.clone();
        *state.pointer_mut(pointer).expect("a field") = value.into();
        write_state(&checkpoint, &state);
        let error = run(checkpoints(copy.path()).resume(true), 0);
        let message = error.expect_err("a hostile state").to_string();
        assert!(message.contains("trainer_state.json: "), "{message}");
        assert!(message.ends_with(&expected), "{message}");
    }
}
