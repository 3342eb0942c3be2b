//! `cargo xtask compare`: the recipes and transformers' Trainer fit the same model to the
//! same data with the same settings and seeds; how good both get goes into
//! `docs/benchmarks.md`.

mod sets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::environment::{Workspace, last_line, run as run_command};
use crate::marks::Block;
use crate::peers;
use crate::race::mean;
use sets::{File, Metric, SETS, Set};

const START: &str = "<!-- Written by `cargo xtask compare`. -->\n";
const END: &str = "<!-- End of what `cargo xtask compare` writes. -->\n";

const HEADER: &str = "\
| data set | metric | settings | bertfit (each seed) | transformers (each seed) | difference |
| --- | --- | --- | --- | --- | --- |
";

/// How many points our mean may be below theirs.
const GOAL: f64 = -0.5;

/// Compares on the data sets that are named (all if none is).
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let mut seeds = None;
    let mut names = Vec::new();
    for argument in arguments {
        match argument.strip_prefix("--seeds=").map(str::parse) {
            Some(Ok(number)) if number > 0 => seeds = Some(number),
            None if SETS.iter().any(|set| set.name == argument) => names.push(argument.as_str()),
            _ => {
                let known: Vec<_> = SETS.iter().map(|set| set.name).collect();
                return Err(format!(
                    "{argument}: expected --seeds=N, {}",
                    known.join(", ")
                ));
            }
        }
    }
    let data = std::env::var_os("BERTFIT_DATA").map(PathBuf::from);
    let data = data.ok_or("BERTFIT_DATA must be the folder of the data sets")?;
    let python = peers::python(workspace)?;
    workspace.cargo(&["build", "--profile", "bench", "--examples"])?;
    let sides = Sides {
        workspace,
        python,
        scratch: workspace.target().join("compare"),
    };
    fs::create_dir_all(&sides.scratch).map_err(|error| error.to_string())?;
    let wanted = |set: &&Set| names.is_empty() || names.contains(&set.name);
    for set in SETS.iter().filter(wanted) {
        let files = [&set.train, &set.test];
        let [train, test] = files.map(|file| sides.prepared(set.name, file, &data));
        let words = words(workspace, set, &train?, &test?);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for seed in 1..=seeds.unwrap_or(set.seeds) {
            let words = [&words[..], &["--seed".to_owned(), seed.to_string()]].concat();
            for (who, results) in [("bertfit", &mut ours), ("transformers", &mut theirs)] {
                let mut command = match who {
                    "bertfit" => sides.recipe(set),
                    _ => sides.peer(set.recipe),
                };
                let line = last_line(command.args(&words))?;
                println!("{}, seed {seed}, {who}: {line}", set.name);
                let parsed = serde_json::from_str(&line).map_err(|error| error.to_string())?;
                results.push(parsed);
            }
        }
        // After each data set, so that what was measured is not lost if the next one fails.
        let block = Block::open(workspace, "docs/benchmarks.md", START, END)?;
        let table = table(block.text(), &rows(set, &ours, &theirs)?);
        block.replace(&table)?;
    }
    println!(
        "{}",
        Block::open(workspace, "docs/benchmarks.md", START, END)?.text()
    );
    Ok(())
}

/// How the two programs are started.
struct Sides<'a> {
    workspace: &'a Workspace,
    python: PathBuf,
    scratch: PathBuf,
}

impl Sides<'_> {
    /// Without a development set the recipe keeps the last epoch's weights, as Trainer does.
    fn recipe(&self, set: &Set) -> Command {
        let name = set.recipe;
        let examples = self.workspace.target().join("release/examples");
        let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let mut command = Command::new(examples.join(program));
        command.arg("--out").arg(self.scratch.join(set.name));
        // Nor does Trainer write checkpoints here.
        command.args(["--overwrite", "--quiet", "--checkpoint-every", "600m"]);
        command.args(set.ours);
        command
    }

    fn peer(&self, name: &str) -> Command {
        let mut command = self.script(match name {
            "sentence_embeddings" => "embeddings.py",
            _ => "finetune.py",
        });
        command.arg(name);
        command.current_dir(self.workspace.root());
        // What bertfit does by itself.
        command.env("MALLOC_MMAP_THRESHOLD_", "2000000000");
        command.env("MALLOC_TRIM_THRESHOLD_", "2000000000");
        command
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.workspace.root().join("benches/peer").join(name));
        // No compiled files in the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// The file as both sides read it; made first where the published one does not do.
    fn prepared(&self, name: &str, file: &File, data: &Path) -> Result<PathBuf> {
        let mut command = self.script("prepare.py");
        let out = match file {
            File::Whole(path) => return Ok(data.join(path)),
            File::First(rows, path) => {
                let end = path.rsplit('/').next().unwrap_or(path);
                let out = self.scratch.join(format!("{name}-{end}"));
                command.arg("rows").arg(&out).arg(rows.to_string());
                command.arg(data.join(path));
                out
            }
            File::Joined(paths) => {
                let out = self.scratch.join(format!("{name}.json"));
                command.arg("squad").arg(&out);
                command.args(paths.iter().map(|path| data.join(path)));
                out
            }
        };
        run_command(&mut command)?;
        Ok(out)
    }
}

/// The flags that both sides get.
fn words(workspace: &Workspace, set: &Set, train: &Path, test: &Path) -> Vec<String> {
    let model = workspace.target().join("models/all-MiniLM-L6-v2");
    let [model, train, test] = [&model, train, test].map(|path| path.to_string_lossy());
    let fit = &set.fit;
    let mut words = vec!["--model", &model, "--train", &train, "--test", &test];
    words.extend(set.reading);
    words.extend(["--epochs", fit.epochs, "--lr", fit.lr]);
    words.extend([
        "--batch-size",
        fit.batch_size,
        "--max-length",
        fit.max_length,
    ]);
    words.extend(["--precision", "bf16"]);
    words.into_iter().map(str::to_owned).collect()
}

/// The first cells of a row, which tell it from all others.
fn key(set: &Set, metric: &Metric) -> String {
    format!("| {} | {} |", set.title, metric.title)
}

/// The rows of the table for the results of each seed, one for each metric.
fn rows(set: &Set, ours: &[Value], theirs: &[Value]) -> Result<Vec<String>> {
    let numbers = |results: &[Value], name: &str, scale: f64| -> Result<Vec<f64>> {
        let number = |result: &Value| result[name].as_f64().map(|number| scale * number);
        let numbers: Option<_> = results.iter().map(number).collect();
        numbers.ok_or_else(|| format!("{}: no {name} among the results", set.name))
    };
    let fit = &set.fit;
    let settings = format!(
        "{} epochs, lr {}, {} rows, {} tokens",
        fit.epochs, fit.lr, fit.batch_size, fit.max_length
    );
    let settings = match set.ours {
        [] => settings,
        flags => format!("{settings}; bertfit `{}`", flags.join(" ")),
    };
    let row = |metric: &Metric| {
        let [ours, theirs] = [ours, theirs].map(|of| numbers(of, metric.key, metric.scale));
        let (ours, theirs) = (ours?, theirs?);
        let difference = mean(&ours) - mean(&theirs);
        let missed = if difference < GOAL {
            ", below the goal"
        } else {
            ""
        };
        Ok(format!(
            "{} {settings} | {} | {} | {difference:+.2}{missed} |",
            key(set, metric),
            each(&ours),
            each(&theirs),
        ))
    };
    set.metrics.iter().map(row).collect()
}

/// The table with these rows, and those that stand in `old` for all other data sets.
fn table(old: &str, new: &[String]) -> String {
    let keys = SETS
        .iter()
        .flat_map(|set| set.metrics.iter().map(|metric| key(set, metric)));
    let rows = keys.filter_map(|key| {
        let new = new.iter().map(String::as_str);
        new.chain(old.lines()).find(|row| row.starts_with(&key))
    });
    rows.fold(HEADER.to_owned(), |table, row| table + row + "\n")
}

fn each(numbers: &[f64]) -> String {
    let each: Vec<_> = numbers
        .iter()
        .map(|number| format!("{number:.2}"))
        .collect();
    match &each[..] {
        [one] => one.clone(),
        _ => format!("{:.2} ({})", mean(numbers), each.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(name: &str) -> &'static Set {
        SETS.iter()
            .find(|set| set.name == name)
            .expect("a data set")
    }

    fn results(numbers: &[f64]) -> Vec<Value> {
        let result = |number| json!({"test_f1": number});
        numbers.iter().map(result).collect()
    }

    #[test]
    fn a_row_has_means_of_the_seeds_in_points() {
        let rows = rows(set("mrpc"), &results(&[0.9, 0.92]), &results(&[0.91, 0.93])).unwrap();
        let start = "| MRPC, test | F1 | 5 epochs, lr 1e-4, 32 rows, 128 tokens |";
        let end = "91.00 (90.00, 92.00) | 92.00 (91.00, 93.00) | -1.00, below the goal |";
        assert_eq!(rows, [format!("{start} {end}")]);
    }

    #[test]
    fn results_without_the_metric_are_an_error() {
        let problem = rows(set("cola"), &results(&[0.9]), &results(&[0.9])).unwrap_err();
        assert!(problem.contains("test_matthews_correlation"), "{problem}");
    }

    #[test]
    fn rows_that_were_not_measured_again_are_kept() {
        let row = |name, number| rows(set(name), &results(&[number]), &results(&[number])).unwrap();
        let (mrpc, wnut, again) = (row("mrpc", 0.9), row("wnut17", 0.4), row("mrpc", 0.8));
        let first = table("", &wnut);
        assert_eq!(first, format!("{HEADER}{}\n", wnut[0]));
        // In the order of the data sets, whichever was measured first.
        let both = table(&first, &mrpc);
        assert_eq!(both, format!("{HEADER}{}\n{}\n", mrpc[0], wnut[0]));
        let renewed = table(&both, &again);
        assert_eq!(renewed, format!("{HEADER}{}\n{}\n", again[0], wnut[0]));
    }
}
