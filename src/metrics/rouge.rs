//! How much of a text stands in another in the same order: ROUGE-L (Lin 2004), as Google's
//! `rouge_score` counts it without a stemmer.

/// The mean of the texts' `rougeL`, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RougeL {
    sum: f64,
    texts: usize,
}

impl RougeL {
    /// No texts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a text, and those that people wrote, of which the most like it counts.
    pub fn update(&mut self, text: &str, references: &[impl AsRef<str>]) {
        let scores = references
            .iter()
            .map(|reference| f_measure(text, reference.as_ref()));
        self.sum += scores.fold(0.0, f64::max);
        self.texts += 1;
    }

    /// The mean F-measure of all texts, from 0 to 100; 0 of none.
    pub fn score(&self) -> f64 {
        100.0 * self.sum / self.texts.max(1) as f64
    }
}

fn f_measure(text: &str, reference: &str) -> f64 {
    let (text, reference) = (words(text), words(reference));
    let common = longest_common(&text, &reference) as f64;
    if common == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (common / text.len() as f64, common / reference.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

/// ASCII letters and digits in lower case; all else parts words.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The length of the longest sequence of words that stands in both, with gaps or without.
fn longest_common(a: &[String], b: &[String]) -> usize {
    // Of all of `a` so far with the first so many of `b`.
    let mut lengths = vec![0; b.len() + 1];
    for word in a {
        let mut before = 0; // Without this word, and with one less of `b`.
        for (place, other) in b.iter().enumerate() {
            let without = lengths[place + 1];
            lengths[place + 1] = match word == other {
                true => before + 1,
                false => without.max(lengths[place]),
            };
            before = without;
        }
    }
    lengths[b.len()]
}
