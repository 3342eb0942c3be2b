//! What a rewriting kept, left out and added, against rewritings by people: SARI (Xu et al.
//! 2016), as Hugging Face's `evaluate` counts it, where 0 of 0 is right and all texts are in
//! lower case and tokenized by 13a.

use std::collections::{HashMap, HashSet};

use super::words::tokenize_13a;

/// Longest runs of words that are counted.
const ORDER: usize = 4;

/// The mean of the texts' SARI, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sari {
    sum: f64,
    texts: usize,
}

type Counts<'a> = HashMap<&'a [&'a str], usize>;

impl Sari {
    /// No texts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a text to rewrite, what was made of it, and what people made of it.
    pub fn update(&mut self, source: &str, text: &str, references: &[impl AsRef<str>]) {
        let normal = |text: &str| tokenize_13a(&text.to_lowercase());
        let (source, text) = (normal(source), normal(text));
        let references: Vec<String> = references
            .iter()
            .map(|text| normal(text.as_ref()))
            .collect();
        let (source, text) = (words(&source), words(&text));
        let references: Vec<Vec<&str>> = references.iter().map(|text| words(text)).collect();
        let mut sums = [0.0; 3];
        for length in 1..=ORDER {
            let scores = scores(&source, &text, &references, length);
            for (sum, score) in sums.iter_mut().zip(scores) {
                *sum += score;
            }
        }
        let [kept, left_out, added] = sums.map(|sum| sum / ORDER as f64);
        self.sum += (kept + left_out + added) / 3.0;
        self.texts += 1;
    }

    /// The mean of all texts, from 0 to 100; 0 of none.
    pub fn score(&self) -> f64 {
        100.0 * self.sum / self.texts.max(1) as f64
    }
}

/// Of runs of so many words: F1 of those kept, precision of those left out, F1 of those
/// added.
fn scores(source: &[&str], text: &[&str], references: &[Vec<&str>], length: usize) -> [f64; 3] {
    // What each text has counts as often as there are references.
    let times = references.len();
    let source = count(source, length, times);
    let text = count(text, length, times);
    let mut gold = Counts::new();
    for reference in references {
        for (run, count) in count(reference, length, 1) {
            *gold.entry(run).or_default() += count;
        }
    }

    let kept = smaller(&source, &text);
    let right = smaller(&kept, &gold);
    let possible = smaller(&source, &gold);
    let precision = ratio(shares(&right, &kept), kept.len());
    let recall = ratio(total(&right) as f64, total(&possible));
    let keep = f1(precision, recall);

    let left_out = without(&source, &text);
    let right = without(&left_out, &gold);
    let delete = ratio(shares(&right, &left_out), left_out.len());

    let (added, wanted) = (new(&text, &source), new(&gold, &source));
    let right = added.intersection(&wanted).count() as f64;
    let add = f1(ratio(right, added.len()), ratio(right, wanted.len()));
    [keep, delete, add]
}

/// Nothing is one word without letters, as in Python.
fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// What does not stand in the source.
fn new<'a>(counts: &Counts<'a>, source: &Counts<'_>) -> HashSet<&'a [&'a str]> {
    let runs = counts.keys().copied();
    runs.filter(|run| !source.contains_key(*run)).collect()
}

fn count<'a>(words: &'a [&'a str], length: usize, times: usize) -> Counts<'a> {
    let mut counts = Counts::new();
    for run in words.windows(length) {
        *counts.entry(run).or_default() += times;
    }
    counts
}

/// What both have, as often as both do.
fn smaller<'a>(a: &Counts<'a>, b: &Counts<'_>) -> Counts<'a> {
    let both = a.iter().filter_map(|(run, &count)| {
        let count = count.min(*b.get(*run)?);
        (count > 0).then_some((*run, count))
    });
    both.collect()
}

/// What `a` has more often than `b`, and how much more.
fn without<'a>(a: &Counts<'a>, b: &Counts<'_>) -> Counts<'a> {
    let more = a.iter().filter_map(|(run, &count)| {
        let count = count.saturating_sub(b.get(*run).copied().unwrap_or_default());
        (count > 0).then_some((*run, count))
    });
    more.collect()
}

/// The sum of each run's share in what there was of it.
fn shares(right: &Counts<'_>, all: &Counts<'_>) -> f64 {
    let share = |(run, &count): (&&[&str], &usize)| count as f64 / all[*run] as f64;
    right.iter().map(share).sum()
}

fn total(counts: &Counts<'_>) -> usize {
    counts.values().sum()
}

/// All of nothing is right.
fn ratio(right: f64, all: usize) -> f64 {
    match all {
        0 => 1.0,
        _ => right / all as f64,
    }
}

fn f1(precision: f64, recall: f64) -> f64 {
    match precision > 0.0 || recall > 0.0 {
        true => 2.0 * precision * recall / (precision + recall),
        false => 0.0,
    }
}
