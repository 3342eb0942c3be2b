//! The run is told to end at random moments.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::victim::{Random, Victim, said};
use super::{Figure, figure};
use crate::Result;
use crate::environment::run as run_command;

pub fn run(victim: &Victim, signals: usize) -> Result<Vec<Figure>> {
    if !cfg!(unix) {
        return Ok(vec![figure(
            "SIGTERM, then `--resume`",
            0,
            "not run: no such signal here",
        )]);
    }
    let mut random = Random(2);
    let (mut sent, mut at_once, mut runs) = (0, 0, 0);
    let mut longest = Duration::ZERO;
    while sent < signals {
        runs += 1;
        let out = victim.new_folder("told")?;
        loop {
            let (signal, status) = [("INT", 130), ("TERM", 143)][random.below(2) as usize];
            let mut command = victim.command(&out);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = quiet.spawn().map_err(|error| error.to_string())?;
            sleep(random.moment(victim.duration));
            let ended = child
                .try_wait()
                .map_err(|error| error.to_string())?
                .is_some();
            if !ended && sent < signals {
                run_command(Command::new("kill").args(["-s", signal, &child.id().to_string()]))?;
            }
            let start = Instant::now();
            let output = child
                .wait_with_output()
                .map_err(|error| error.to_string())?;
            match output.status.code() {
                Some(code) if code == status && said(&output).contains("stopped after") => {
                    sent += 1;
                    longest = longest.max(start.elapsed());
                }
                Some(code) if code == status => at_once += 1,
                // Nobody watched for it yet.
                None => at_once += 1,
                Some(_) => {
                    victim.is_whole(&out, &output)?;
                    break;
                }
            }
        }
    }
    let step = victim.duration.as_millis() as u64 / victim.steps.max(1);
    let outcome = format!(
        "status 130 or 143 and a checkpoint, at most {} ms later (a step takes about {step} ms); \
         {runs} runs, all with the whole run's SHA-256; {at_once} more signals came before or \
         after training, and ended the program at once",
        longest.as_millis(),
    );
    let what = "SIGINT or SIGTERM in training, then `--resume`";
    Ok(vec![figure(what, sent, outcome)])
}
