//! How many runs of words of a text stand in texts that people wrote: BLEU (Papineni et al.
//! 2002) of a whole set, as sacrebleu counts it by default.

use std::collections::HashMap;

use super::words::{is_space, tokenize_13a};

/// Longest runs of words that are counted.
const ORDER: usize = 4;

/// BLEU of a set of texts, in percent: tokenization 13a, capitals kept, exponential
/// smoothing; sacrebleu's `BLEU|case:mixed|eff:no|tok:13a|smooth:exp`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bleu {
    lowercase: bool,
    /// Of each length the runs of words that stand in a reference too.
    right: [usize; ORDER],
    /// Of each length all runs of words.
    all: [usize; ORDER],
    words: usize,
    reference_words: usize,
}

impl Bleu {
    /// No texts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts words without regard to capitals (sacrebleu's `case:lc`), for models that
    /// write none.
    pub fn lowercase(mut self) -> Self {
        self.lowercase = true;
        self
    }

    /// Takes in a text, and those that people wrote. Without a reference, nothing is right.
    pub fn update(&mut self, text: &str, references: &[impl AsRef<str>]) {
        let words = |text: &str| {
            let text = text.trim_end_matches(is_space);
            match self.lowercase {
                true => tokenize_13a(&text.to_lowercase()),
                false => tokenize_13a(text),
            }
        };
        let text = words(text);
        let references: Vec<String> = references.iter().map(|text| words(text.as_ref())).collect();
        let found = split(&text);
        let length = found.len();
        let mut allowed: HashMap<&[&str], usize> = HashMap::new();
        let counted: Vec<_> = references.iter().map(|text| split(text)).collect();
        let mut closest: Option<usize> = None;
        for words in &counted {
            for (run, count) in count_runs(words) {
                let most = allowed.entry(run).or_default();
                *most = count.max(*most);
            }
            let distance = |words: usize| (words.abs_diff(length), words);
            closest = match closest {
                Some(best) if distance(best) <= distance(words.len()) => closest,
                _ => Some(words.len()),
            };
        }
        for (run, count) in count_runs(&found) {
            self.all[run.len() - 1] += count;
            let allowed = allowed.get(run).copied().unwrap_or_default();
            self.right[run.len() - 1] += count.min(allowed);
        }
        self.words += length;
        self.reference_words += closest.unwrap_or_default();
    }

    /// BLEU of all texts, from 0 to 100; 0 of none.
    pub fn score(&self) -> f64 {
        if self.right.iter().all(|&right| right == 0) {
            return 0.0;
        }
        let mut smoothing = 1.0;
        let mut logarithms = 0.0;
        for (&right, &all) in self.right.iter().zip(&self.all) {
            // Of texts that are all shorter than this.
            if all == 0 {
                return 0.0;
            }
            let precision = match right {
                0 => {
                    smoothing *= 2.0;
                    100.0 / (smoothing * all as f64)
                }
                _ => 100.0 * right as f64 / all as f64,
            };
            logarithms += precision.ln();
        }
        self.brevity_penalty() * (logarithms / ORDER as f64).exp()
    }

    fn brevity_penalty(&self) -> f64 {
        match self.words < self.reference_words {
            true => (1.0 - self.reference_words as f64 / self.words as f64).exp(),
            false => 1.0,
        }
    }
}

fn split(text: &str) -> Vec<&str> {
    text.split(' ').filter(|word| !word.is_empty()).collect()
}

/// How often each run of up to four words stands there.
fn count_runs<'a, 't>(words: &'a [&'t str]) -> HashMap<&'a [&'t str], usize> {
    let mut counts = HashMap::new();
    for length in 1..=ORDER {
        for run in words.windows(length) {
            *counts.entry(run).or_default() += 1;
        }
    }
    counts
}
