//! `cargo xtask race`: bertfit and transformers in turn on the same work, several
//! rounds, nothing else running; medians and ratios into `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::Result;
use crate::environment::{Workspace, last_line};
use crate::marks::Block;
use crate::peers;

const END: &str = "<!-- End of what `cargo xtask race` writes. -->\n";

/// How the part of the document begins that is of processors like this one.
fn start() -> String {
    format!(
        "<!-- Written by `cargo xtask race` on a processor with {}. -->\n",
        class()
    )
}

/// One program on one piece of work.
struct Entry {
    /// What the figures are called: contest, and who.
    name: &'static str,
    /// Whether transformers runs it.
    peer: bool,
    /// Whether glibc keeps freed memory, by environment; bertfit does it by itself.
    keeps_memory: bool,
    /// Whether another program keeps a core busy.
    beside_another: bool,
    words: Vec<String>,
}

/// Contest, what it is, our entry, the peer's, the figure, and the ratios that are aimed at: on a
/// processor with units for bfloat16, and on one without them. Of memory less is better.
type Goal = (
    char,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    [f64; 2],
);

/// Where nothing is aimed at, and nothing run.
const NONE: f64 = 0.0;

/// How a line about the limit of the products begins.
const LIMIT: &str = "libtorch's matrix products of this size";

/// Stands for the number of the round, so that accuracies are of several seeds.
const SEED: &str = "{seed}";

const SPEED: &str = "rows_per_second";
const MEMORY: &str = "peak_mib";
const ACCURACY: &str = "accuracy";

#[rustfmt::skip] // one line each
const GOALS: [Goal; 21] = [
    ('a', "step of BERT-base, 16×128, f32", "step f32", "step f32, peer", SPEED, [1.4, 1.15]),
    ('a', "step of BERT-base, 16×128, bf16", "step bf16", "step bf16, peer", SPEED, [1.4, NONE]),
    ('a', "the same, f32, peer's allocator raised", "step f32", "step f32, peer, raised", SPEED, [1.4, 1.15]),
    ('a', "the same, bf16, peer's allocator raised", "step bf16", "step bf16, peer, raised", SPEED, [1.4, NONE]),
    ('a', "peak memory of the f32 step, MiB", "step f32", "step f32, peer", MEMORY, [0.8, 0.8]),
    ('a', "peak memory of the bf16 step, MiB", "step bf16", "step bf16, peer", MEMORY, [0.8, NONE]),
    ('m', "step of MiniLM, 32×32, f32, peer's allocator raised", "step small", "step small, peer", SPEED, [1.3, 1.3]),
    ('n', "the same beside a program that keeps a core busy", "step busy", "step busy, peer", SPEED, [1.3, 1.3]),
    ('b', "epoch of SST-2, f32, Trainer's defaults", "fit f32", "fit, peer's defaults", SPEED, [4.0, 3.0]),
    ('b', "epoch of SST-2, bf16, Trainer's defaults", "fit bf16", "fit, peer's defaults", SPEED, [7.5, NONE]),
    ('b', "epoch of SST-2, bf16, Trainer tuned", "fit bf16", "fit, peer tuned", SPEED, [1.5, NONE]),
    ('b', "peak memory of the f32 epoch, MiB", "fit f32", "fit, peer's defaults", MEMORY, [0.8, 0.8]),
    ('b', "peak memory of the bf16 epoch, MiB", "fit bf16", "fit, peer tuned", MEMORY, [0.8, NONE]),
    ('b', "accuracy after the bf16 epoch, mean of the seeds", "fit bf16", "fit, peer tuned", ACCURACY, [0.995, NONE]),
    ('c', "prediction on SST-2 dev, f32", "sst2 f32", "sst2 f32, peer", SPEED, [2.0, 2.0]),
    ('c', "prediction on SST-2 dev, f32, against rust-bert", "sst2 f32", "sst2 f32, rust-bert", SPEED, [2.2, 2.0]),
    ('c', "prediction on SST-2 dev, bf16", "sst2 bf16", "sst2 bf16, peer", SPEED, [1.8, NONE]),
    ('c', "prediction on IMDb, 512 tokens, f32", "imdb f32", "imdb f32, peer", SPEED, [2.5, 2.0]),
    ('c', "prediction on IMDb, 512 tokens, bf16", "imdb bf16", "imdb bf16, peer", SPEED, [2.5, NONE]),
    ('d', "tokenization of SST-2", "tokenize", "tokenize, peer", SPEED, [1.0, 1.0]),
    ('e', "ten epochs of the head alone, cached against not", "head, cached", "head", SPEED, [8.0, 8.0]),
];

/// Runs the contests whose letters are among the arguments (all if there are none), and keeps
/// the rows of the others.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let mut rounds = 3;
    let mut contests = String::new();
    for argument in arguments {
        match argument.strip_prefix("--rounds=") {
            Some(number) => rounds = number.parse().map_err(|_| "--rounds=N")?,
            None => contests += argument,
        }
    }
    let wanted = |letter: char| contests.is_empty() || contests.contains(letter);
    let python = peers::python(workspace)?;
    workspace.cargo(&["build", "--profile", "bench", "--bench", "race"])?;
    let ours = program(workspace)?;
    let goals: Vec<Goal> = goals().filter(|goal| wanted(goal.0)).collect();
    let mut entries = entries(workspace)?;
    entries.retain(|entry| {
        entry.name == "limit" && (wanted('a') || wanted('b'))
            || goals
                .iter()
                .any(|goal| [goal.2, goal.3].contains(&entry.name))
    });
    let mut figures: BTreeMap<(&str, String), Vec<f64>> = BTreeMap::new();
    for round in 1..=rounds {
        for entry in &entries {
            let mut command = match entry.peer {
                true => Command::new(&python),
                false => Command::new(&ours),
            };
            if entry.peer {
                command.arg(workspace.root().join("benches/race/peer.py"));
            }
            if entry.keeps_memory {
                command.env("MALLOC_MMAP_THRESHOLD_", "2000000000");
                command.env("MALLOC_TRIM_THRESHOLD_", "2000000000");
            }
            let seed = round.to_string();
            let words = entry.words.iter().map(|word| match word.as_str() {
                SEED => &seed,
                _ => word,
            });
            command.args(words).current_dir(workspace.root());
            let line = match entry.beside_another {
                true => beside_another(|| last_line(&mut command))?,
                false => last_line(&mut command)?,
            };
            println!("round {round}, {}: {line}", entry.name);
            let parsed: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            for (name, value) in parsed.as_object().into_iter().flatten() {
                if let Some(number) = value.as_f64() {
                    figures
                        .entry((entry.name, name.clone()))
                        .or_default()
                        .push(number);
                }
            }
        }
    }
    let block = Block::open(workspace, "docs/benchmarks.md", &start(), END)?;
    let table = table(&figures, block.text());
    println!("{table}");
    block.replace(&table)
}

/// The goals on this processor.
fn goals() -> impl Iterator<Item = Goal> {
    GOALS.into_iter().filter(|goal| aim(goal) != NONE)
}

fn aim(goal: &Goal) -> f64 {
    goal.5[usize::from(!has_flag("avx512_bf16"))]
}

/// Does so while a core has something else to do.
fn beside_another<T>(work: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let result = work();
        is_done.store(true, Ordering::Relaxed);
        result
    })
}

fn entries(workspace: &Workspace) -> Result<Vec<Entry>> {
    let data = std::env::var_os("BERTFIT_DATA").map(PathBuf::from);
    let data = data.ok_or("BERTFIT_DATA must be a folder with sst2/ and imdb/")?;
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let model = path(workspace.target().join("models/all-MiniLM-L6-v2"));
    let (train, dev) = (
        path(data.join("sst2/train.tsv.gz")),
        path(data.join("sst2/dev.tsv")),
    );
    let imdb = path(data.join("imdb/test.tsv.xz"));
    let entry = |name, peer, keeps_memory, words: &[&str]| Entry {
        name,
        peer,
        keeps_memory,
        beside_another: name.starts_with("step busy"),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let step = |precision| ["step", "base", "16", "128", precision];
    let small = ["step", "minilm", "32", "32", "f32"];
    let fit = |precision, mode| {
        ["fit", &model, &train, &dev, "6400", precision, mode, SEED].map(str::to_owned)
    };
    let fit = |name, peer, keeps, precision, mode| {
        let words = fit(precision, mode);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        entry(name, peer, keeps, &words)
    };
    let head = |cache| ["frozen", &model, &train, "1600", cache];
    let predict = |name, peer, file: &str, rows, length, precision| {
        entry(
            name,
            peer,
            peer,
            &["predict", &model, file, rows, length, precision],
        )
    };
    Ok(vec![
        entry("limit", true, true, &["products"]),
        entry("step f32", false, false, &step("f32")),
        entry("step f32, peer", true, false, &step("f32")),
        entry("step f32, peer, raised", true, true, &step("f32")),
        entry("step bf16", false, false, &step("bf16")),
        entry("step bf16, peer", true, false, &step("bf16")),
        entry("step bf16, peer, raised", true, true, &step("bf16")),
        entry("step small", false, false, &small),
        entry("step small, peer", true, true, &small),
        entry("step busy", false, false, &small),
        entry("step busy, peer", true, true, &small),
        fit("fit f32", false, false, "f32", "grouped"),
        fit("fit bf16", false, false, "bf16", "grouped"),
        fit("fit, peer's defaults", true, false, "f32", "shuffled"),
        fit("fit, peer tuned", true, true, "bf16", "grouped"),
        predict("sst2 f32", false, &dev, "872", "128", "f32"),
        predict("sst2 f32, peer", true, &dev, "872", "128", "f32"),
        entry(
            "sst2 f32, rust-bert",
            false,
            false,
            &["rust-bert", &model, &dev, "872"],
        ),
        predict("sst2 bf16", false, &dev, "872", "128", "bf16"),
        predict("sst2 bf16, peer", true, &dev, "872", "128", "bf16"),
        predict("imdb f32", false, &imdb, "1000", "512", "f32"),
        predict("imdb f32, peer", true, &imdb, "1000", "512", "f32"),
        predict("imdb bf16", false, &imdb, "1000", "512", "bf16"),
        predict("imdb bf16, peer", true, &imdb, "1000", "512", "bf16"),
        entry("head, cached", false, false, &head("cached")),
        entry("head", false, false, &head("uncached")),
        entry(
            "tokenize",
            false,
            false,
            &["tokenize", &model, &train, "67349"],
        ),
        entry(
            "tokenize, peer",
            true,
            true,
            &["tokenize", &model, &train, "67349"],
        ),
    ])
}

/// What is written: the rows of contests that have figures, all others from `old`.
fn table(figures: &BTreeMap<(&str, String), Vec<f64>>, old: &str) -> String {
    let of = |entry, figure: &str| figures.get(&(entry, figure.to_owned()));
    let mut lines = vec![
        format!("On {}.", machine()),
        String::new(),
        "Medians of so many rounds, each with a seed of its own; the ratio is bertfit's figure over \
         the other's, in brackets the lowest and the highest of a round."
            .to_owned(),
        String::new(),
        "| contest | bertfit | other | ratio | rounds | goal |".to_owned(),
        "| --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for goal in goals() {
        let (_, what, ours, peer, figure, _) = goal;
        let (Some(ours), Some(peer)) = (of(ours, figure), of(peer, figure)) else {
            let start = format!("| {what} |");
            let kept = old.lines().find(|line| line.starts_with(&start));
            lines.extend(kept.map(str::to_owned));
            continue;
        };
        let mut ratios: Vec<f64> = ours.iter().zip(peer).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        // Each round has a seed of its own.
        let middle = if figure == ACCURACY { mean } else { median };
        let sign = if figure == MEMORY {
            "at most"
        } else {
            "at least"
        };
        lines.push(format!(
            "| {what} | {} | {} | {:.2} ({:.2} to {:.2}) | {} | {sign} {} |",
            short(middle(ours)),
            short(middle(peer)),
            median(&ratios),
            ratios[0],
            ratios[ratios.len() - 1],
            ratios.len(),
            aim(&goal),
        ));
    }
    if !figures.keys().any(|(name, _)| *name == "limit") {
        let kept = old.lines().filter(|line| line.starts_with(LIMIT));
        lines.extend(kept.flat_map(|line| [String::new(), line.to_owned()]));
    }
    for precision in ["f32", "bf16"] {
        // Operations of a step: six for each weight of the layers and token, and attention's.
        let per_row = 128.0 * (6.0 * 85_054_464.0 + 12.0 * 12.0 * 128.0 * 768.0);
        let per_token = 6.0 * 10_646_784.0;
        let per_second = "tokens_per_second";
        for (what, shape, entry, figure, operations) in [
            (
                "bertfit's step of BERT-base",
                "base",
                "step {}",
                SPEED,
                per_row,
            ),
            (
                "transformers' step of BERT-base",
                "base",
                "step {}, peer, raised",
                SPEED,
                per_row,
            ),
            (
                "bertfit's epoch of SST-2",
                "minilm",
                "fit {}",
                per_second,
                per_token,
            ),
        ] {
            let limit = figures.get(&("limit", format!("{shape} {precision}")));
            let entry = entry.replace("{}", precision);
            let speed = figures
                .iter()
                .find(|((name, of), _)| *name == entry && of == figure);
            if let (Some(limit), Some((_, speed))) = (limit, speed) {
                let (limit, reached) = (median(limit), operations * median(speed) / 1e9);
                lines.push(String::new());
                lines.push(format!(
                    "{LIMIT} in {precision} reach {limit:.0} GFLOP/s here; \
                     {what} {reached:.0}, {:.0} % of it.",
                    100.0 * reached / limit
                ));
            }
        }
    }
    lines.join("\n") + "\n"
}

/// A field of the first processor, as Linux tells it.
fn processor(name: &str) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(": "));
    value.map_or_else(String::new, |(_, value)| value.to_owned())
}

fn has_flag(name: &str) -> bool {
    processor("flags").split(' ').any(|flag| flag == name)
}

/// The best units of this processor for products.
fn class() -> &'static str {
    let units = ["amx_bf16", "avx512_bf16", "avx512f", "avx2"];
    let found = units.into_iter().find(|unit| has_flag(unit));
    found.unwrap_or("vectors of 16 bytes")
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let name = match processor("model name") {
        name if name.is_empty() => "an unknown processor".to_owned(),
        name => name,
    };
    format!("{cores} cores of {name} with {}", class())
}

fn short(number: f64) -> String {
    match number {
        number if number < 10.0 => format!("{number:.3}"),
        _ => format!("{number:.1}"),
    }
}

/// The plain mean.
pub fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The number in the middle; the mean of both where there are two.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => mean(&sorted[middle - 1..=middle]),
        _ => sorted[middle],
    }
}

/// The bench program that cargo has just built: the newest of its name.
fn program(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("release/deps");
    let entries = fs::read_dir(&folder).map_err(|error| error.to_string())?;
    let programs = entries.flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("race-") && path.extension().is_none_or(|end| end == "exe")
    });
    let newest = programs.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    newest.ok_or_else(|| format!("no race program in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_favours_neither_half() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn rows_of_contests_that_were_not_run_are_kept() {
        let figures = |speeds: [f64; 2]| {
            let names = ["tokenize", "tokenize, peer"];
            let figure = |(name, speed)| ((name, SPEED.to_owned()), vec![speed]);
            BTreeMap::from_iter(names.into_iter().zip(speeds).map(figure))
        };
        let other = "| prediction on IMDb, 512 tokens, f32 | 3.000 | 1.000 | 3.00 |";
        let text = table(&figures([6.0, 2.0]), other);
        let row =
            "| tokenization of SST-2 | 6.000 | 2.000 | 3.00 (3.00 to 3.00) | 1 | at least 1 |";
        assert!(text.contains(&format!("{other}\n{row}\n")), "{text}");
        let text = table(&figures([8.0, 2.0]), &text);
        assert_eq!(text.matches("tokenization").count(), 1, "{text}");
        assert!(text.contains(other) && text.contains("4.00"), "{text}");
    }
}
