//! Files of a checkpoint are cut short, or one bit in them is another.

use std::fs;
use std::path::Path;

use super::victim::{Random, Victim, names, said};
use super::{Figure, figure};
use crate::Result;
use crate::fetch::remove;

const FLIPS: u64 = 4;

pub fn run(victim: &Victim) -> Result<Vec<Figure>> {
    let steps = victim.checkpoints()?;
    let (first, newest) = (steps[0], steps[steps.len() - 1]);
    let mut random = Random(3);
    let out = victim.new_folder("damaged")?;
    victim.copy_up_to(first, &out)?;
    let files = names(&out.join(format!("checkpoint-{first}")))?;

    let passed = "passed over with a message that names it; the run went on from the one \
                  before, to the whole run's SHA-256";
    let mut cut = 0;
    for file in &files {
        for sixteenth in 0..16 {
            passes_over(victim, newest, file, |bytes| {
                bytes.truncate(bytes.len() * sixteenth / 16);
            })?;
            cut += 1;
        }
    }
    let mut flipped = 0;
    for file in &files {
        for _ in 0..FLIPS {
            passes_over(victim, newest, file, |bytes| flip(bytes, &mut random))?;
            flipped += 1;
        }
    }
    let mut refused = 0;
    for file in &files {
        let out = victim.new_folder("damaged")?;
        victim.copy_up_to(first, &out)?;
        damage(&out, first, file, |bytes| flip(bytes, &mut random))?;
        let output = victim.output(&out)?;
        let says = said(&output).contains("no checkpoint can be used");
        if output.status.code() != Some(1) || !says || out.join("model.safetensors").exists() {
            return Err(format!("{file}, alone: {}", said(&output)));
        }
        refused += 1;
    }
    let count = files.len();
    Ok(vec![
        figure(
            &format!("each of the {count} files of the newest checkpoint cut at each 1/16"),
            cut,
            passed,
        ),
        figure(
            &format!("one bit flipped in each of them, {FLIPS} times"),
            flipped,
            passed,
        ),
        figure(
            "one bit flipped in each file of the only checkpoint",
            refused,
            "refused with an error that names it, status 1",
        ),
    ])
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let place = random.below(bytes.len() as u64) as usize;
    bytes[place] ^= 1 << random.below(8);
}

/// Damages a file of a checkpoint.
fn damage(out: &Path, step: u64, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let path = out.join(format!("checkpoint-{step}")).join(file);
    let problem = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = fs::read(&path).map_err(problem)?;
    change(&mut bytes);
    fs::write(&path, bytes).map_err(problem)
}

/// Checks that a run goes on from the checkpoint before the newest, which is damaged.
fn passes_over(
    victim: &Victim,
    newest: u64,
    file: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<()> {
    let out = victim.new_folder("damaged")?;
    victim.copy_up_to(newest, &out)?;
    damage(&out, newest, file, change)?;
    let said = victim.ends_as_whole(&out)?;
    let expected = format!("checkpoint-{newest} cannot be used: ");
    // Where the sums are damaged, what no longer has its sum is another file.
    let named = said.contains(file) || file == "manifest.json";
    match said.contains(&expected) && named {
        true => remove(&out),
        false => Err(format!("{file}: {said}")),
    }
}
