//! The run that everything is done to: the recipe on 300 reviews with the tiny model, with
//! dropout, accumulation, rows of like length together, an end by early stopping, and a
//! checkpoint after each second step.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::check::FEATURES;
use crate::environment::Workspace;
use crate::fetch::{remove, sha256};

const WORDS: &str = "--model tests/data/model/tiny --train examples/data/dev.tsv \
    --dev examples/data/test.tsv --text-column sentence --lr 3e-3 --batch-size 8 --accumulate 2 \
    --epochs 9 --patience 1 --metric loss --checkpoint-every 2 --threads 1 --quiet";

/// The program, and its run that nothing was done to.
pub struct Victim {
    root: PathBuf,
    program: PathBuf,
    /// Where the folders of runs are.
    folder: PathBuf,
    /// SHA-256 of its `model.safetensors`.
    sum: String,
    /// From its start to its end.
    pub duration: Duration,
    /// Steps that it made; fewer than were planned.
    pub steps: u64,
}

impl Victim {
    pub fn build(workspace: &Workspace) -> Result<Self> {
        let name = "text_classification";
        workspace.cargo(&[&["build", "--example", name], &FEATURES[..]].concat())?;
        let folder = workspace.target().join("faults");
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let program = workspace.target().join("debug/examples").join(name);
        let program = program.with_extension(std::env::consts::EXE_EXTENSION);
        let mut victim = Self {
            root: workspace.root().to_owned(),
            program,
            folder,
            sum: String::new(),
            duration: Duration::ZERO,
            steps: 0,
        };
        let start = Instant::now();
        let whole = victim.whole();
        // All checkpoints are kept, to be copied.
        let output = output(victim.command(&whole).args(["--keep", "1000"]))?;
        success(&output)?;
        victim.duration = start.elapsed();
        victim.sum = sha256(&whole.join("model.safetensors"))?;
        let state = fs::read_to_string(whole.join("trainer_state.json"));
        let state: serde_json::Value = serde_json::from_str(&state.unwrap_or_default())
            .map_err(|error| format!("trainer_state.json: {error}"))?;
        let number = |key: &str| state[key].as_u64().unwrap_or_default();
        victim.steps = number("global_step");
        if victim.steps >= number("max_steps") {
            return Err("the run was to end by early stopping".to_owned());
        }
        Ok(victim)
    }

    /// A folder for a run that is not there yet.
    pub fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name).join("run");
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    fn whole(&self) -> PathBuf {
        self.folder.join("whole")
    }

    /// The run in a folder, from its newest checkpoint on.
    pub fn command(&self, out: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(WORDS.split_whitespace()).arg("--resume");
        command.arg("--out").arg(out).current_dir(&self.root);
        command
    }

    /// Runs it to its end.
    pub fn output(&self, out: &Path) -> Result<Output> {
        output(&mut self.command(out))
    }

    /// Runs it to its end, and checks that nothing tells it from the whole run, and that
    /// nothing half done is left. Returns what it said.
    pub fn ends_as_whole(&self, out: &Path) -> Result<String> {
        let output = self.output(out)?;
        self.is_whole(out, &output)?;
        Ok(said(&output))
    }

    /// The same of a run that has ended.
    pub fn is_whole(&self, out: &Path, output: &Output) -> Result<()> {
        success(output)?;
        if sha256(&out.join("model.safetensors"))? != self.sum {
            return Err(format!("{}: another model", out.display()));
        }
        match unfinished(out)?.first() {
            None => Ok(()),
            Some(left) => Err(format!("{left} is left in {}", out.display())),
        }
    }

    /// Whether a run to the end gives another model.
    pub fn ends_otherwise(&self, out: &Path) -> Result<bool> {
        success(&self.output(out)?)?;
        Ok(sha256(&out.join("model.safetensors"))? != self.sum)
    }

    /// The steps that the whole run has checkpoints of, in order.
    pub fn checkpoints(&self) -> Result<Vec<u64>> {
        let names = names(&self.whole())?.into_iter();
        let steps = names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok());
        let mut steps: Vec<u64> = steps.collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Puts copies of the whole run's checkpoints up to a step into a folder.
    pub fn copy_up_to(&self, step: u64, out: &Path) -> Result<()> {
        for step in self.checkpoints()?.into_iter().filter(|&at| at <= step) {
            let name = format!("checkpoint-{step}");
            let (from, to) = (self.whole().join(&name), out.join(&name));
            let copied = fs::create_dir_all(&to).and_then(|()| {
                for entry in fs::read_dir(from)? {
                    let entry = entry?;
                    fs::copy(entry.path(), to.join(entry.file_name()))?;
                }
                Ok(())
            });
            copied.map_err(|error| format!("{}: {error}", to.display()))?;
        }
        Ok(())
    }
}

fn output(command: &mut Command) -> Result<Output> {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
    quiet
        .output()
        .map_err(|error| format!("{command:?}: {error}"))
}

fn success(output: &Output) -> Result<()> {
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", output.status, said(output))),
    }
}

/// What a program said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}

/// The names in a folder, in alphabetical order.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into()).collect();
    names.sort();
    Ok(names)
}

/// What a run has begun and not finished, in its folder and beside it.
pub fn unfinished(out: &Path) -> Result<Vec<String>> {
    let mut all = names(out)?;
    all.extend(names(out.parent().unwrap_or(out))?);
    all.retain(|name| name.starts_with('.'));
    Ok(all)
}

/// Numbers that look random, the same in each run (the splitmix64 of Steele et al.).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Up to `limit`.
    pub fn moment(&mut self, limit: Duration) -> Duration {
        Duration::from_micros(self.below(limit.as_micros() as u64))
    }
}
