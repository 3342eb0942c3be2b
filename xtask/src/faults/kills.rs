//! The run is killed at random moments, until it comes to its end.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;

use super::victim::{Random, Victim, names, unfinished};
use super::{Figure, figure};
use crate::Result;
use crate::fetch::sha256;

/// Where kills have hit, by what was left behind.
#[derive(Default)]
struct Hits {
    before_any: usize,
    writing: usize,
    removing: usize,
    saving: usize,
    other: usize,
}

pub fn run(victim: &Victim, kills: usize) -> Result<Vec<Figure>> {
    let mut random = Random(1);
    let mut hits = Hits::default();
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        runs += 1;
        let out = victim.new_folder("killed")?;
        loop {
            let mut command = victim.command(&out);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = quiet.spawn().map_err(|error| error.to_string())?;
            sleep(random.moment(victim.duration));
            // The last run goes on to its end once all kills are done.
            if killed < kills {
                child.kill().map_err(|error| error.to_string())?;
            }
            let output = child.wait_with_output();
            let output = output.map_err(|error| error.to_string())?;
            // By its own end, or by the kill.
            if output.status.code().is_some() {
                victim.is_whole(&out, &output)?;
                break;
            }
            killed += 1;
            let left = unfinished(&out)?;
            let has = |start: &str, end: &str| {
                let fits = |name: &String| name.starts_with(start) && name.ends_with(end);
                left.iter().any(fits)
            };
            let hit = match () {
                () if has(".checkpoint-", ".tmp") => &mut hits.writing,
                () if has(".checkpoint-", ".old") => &mut hits.removing,
                () if has(".run.", ".tmp") => &mut hits.saving,
                () if names(&out)?.iter().all(|name| name.ends_with(".lock")) => {
                    &mut hits.before_any
                }
                () => &mut hits.other,
            };
            *hit += 1;
        }
    }
    let Hits {
        before_any,
        writing,
        removing,
        saving,
        other,
    } = hits;
    let outcome = format!(
        "{runs} runs, all with the whole run's SHA-256; {writing} kills in the writing of a \
         checkpoint, {removing} in the removal of an old one, {saving} in that of the model, \
         {before_any} before the first checkpoint, {other} elsewhere"
    );
    Ok(vec![
        figure("kill -9, then `--resume`", killed, outcome),
        control(victim)?,
    ])
}

/// One byte of the generator's saved state is another, and the manifest fits: then the
/// model is another. Without it, nothing would show that the comparison sees anything.
fn control(victim: &Victim) -> Result<Figure> {
    let out = victim.new_folder("control")?;
    let first = victim.checkpoints()?[0];
    victim.copy_up_to(first, &out)?;
    let folder = out.join(format!("checkpoint-{first}"));
    let (state, manifest) = (
        folder.join("trainer_state.json"),
        folder.join("manifest.json"),
    );
    let read = |path| fs::read_to_string(path).map_err(|error| error.to_string());
    let (text, sums) = (read(&state)?, read(&manifest)?);
    let key = "\"generator\": \"";
    let start = text.find(key).ok_or("no state of the generator")? + key.len();
    // libtorch's layout: 24 bytes, of which the third 8 are the number of the next word,
    // then words of 8 bytes each; two digits are a byte.
    let byte = |at: usize| u8::from_str_radix(&text[start + 2 * at..][..2], 16).unwrap_or(0);
    let next = usize::from(byte(16)) + 256 * usize::from(byte(17));
    let place = start + 2 * (24 + 8 * (next + 8));
    let other = if &text[place..=place] == "0" {
        "1"
    } else {
        "0"
    };
    let changed = [&text[..place], other, &text[place + 1..]].concat();
    let old = sha256(&state)?;
    let write = |path, text: String| fs::write(path, text).map_err(|error| error.to_string());
    write(&state, changed)?;
    write(&manifest, sums.replace(&old, &sha256(&state)?))?;
    match victim.ends_otherwise(&out)? {
        true => Ok(figure(
            "control: one byte of the generator's state changed, with a manifest that fits",
            1,
            "another SHA-256, as it must be",
        )),
        false => Err("a changed generator changes nothing".to_owned()),
    }
}
