//! `cargo xtask faults`: the recipe `text_classification` is killed, told to end, and given
//! damaged checkpoints and disks that cannot be written; what came of it goes into
//! `docs/reliability.md`.

mod damage;
mod disk;
mod kills;
mod signals;
mod victim;

use std::time::Instant;

use crate::Result;
use crate::environment::Workspace;
use crate::marks::Block;
use victim::Victim;

const START: &str = "<!-- Written by `cargo xtask faults`. -->\n";
const END: &str = "<!-- End of what `cargo xtask faults` writes. -->\n";

/// What was done, how many times, and what came of it.
pub struct Figure {
    what: String,
    times: usize,
    outcome: String,
}

fn figure(what: &str, times: usize, outcome: impl Into<String>) -> Figure {
    Figure {
        what: what.to_owned(),
        times,
        outcome: outcome.into(),
    }
}

/// How many of what is done at random moments.
struct Counts {
    kills: usize,
    signals: usize,
}

type Part = (&'static str, fn(&Victim, &Counts) -> Result<Vec<Figure>>);

const PARTS: [Part; 4] = [
    ("kills", |victim, counts| kills::run(victim, counts.kills)),
    ("signals", |victim, counts| {
        signals::run(victim, counts.signals)
    }),
    ("damage", |victim, _| damage::run(victim)),
    ("disk", |victim, _| disk::run(victim)),
];

/// Runs the parts that are named in `arguments` (all if none is); `--kills=N` and
/// `--signals=N` are the counts. The first thing that is not as promised is an error.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let mut counts = Counts {
        kills: 100,
        signals: 20,
    };
    let mut wanted = Vec::new();
    let known = || PARTS.map(|(name, _)| name).join(", ");
    for argument in arguments {
        let number = |number: &str| number.parse().map_err(|_| format!("{argument}: a number"));
        if let Some(kills) = argument.strip_prefix("--kills=") {
            counts.kills = number(kills)?;
        } else if let Some(signals) = argument.strip_prefix("--signals=") {
            counts.signals = number(signals)?;
        } else if PARTS.iter().any(|(name, _)| name == argument) {
            wanted.push(argument.as_str());
        } else {
            return Err(format!("{argument} is none of {}", known()));
        }
    }
    let victim = Victim::build(workspace)?;
    for (name, part) in PARTS {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let start = Instant::now();
        let figures = part(&victim, &counts).map_err(|problem| format!("{name}: {problem}"))?;
        let block = Block::open(workspace, "docs/reliability.md", START, END)?;
        let table = table(block.text(), name, &figures);
        block.replace(&table)?;
        println!("{name}: {} s", start.elapsed().as_secs());
        for figure in figures {
            println!("  {} ({}): {}", figure.what, figure.times, figure.outcome);
        }
    }
    Ok(())
}

/// The table with the rows of one part written anew; the other parts keep theirs.
fn table(old: &str, part: &str, figures: &[Figure]) -> String {
    let mut text = "| part | what | times | outcome |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, _) in PARTS {
        let start = format!("| {name} | ");
        if name == part {
            for figure in figures {
                let Figure {
                    what,
                    times,
                    outcome,
                } = figure;
                text += &format!("{start}{what} | {times} | {outcome} |\n");
            }
        } else {
            let rows = old.lines().filter(|line| line.starts_with(&start));
            rows.for_each(|row| text += &format!("{row}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_replaces_its_own_rows_only() {
        let kills = table("", "kills", &[figure("a", 1, "well")]);
        let both = table(&kills, "disk", &[figure("b", 2, "well")]);
        let again = table(&both, "kills", &[figure("c", 3, "well")]);
        let rows: Vec<&str> = again.lines().skip(2).collect();
        assert_eq!(
            rows,
            ["| kills | c | 3 | well |", "| disk | b | 2 | well |"]
        );
    }
}
