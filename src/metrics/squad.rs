//! How well answers agree with those that people gave: exact match and F1 over words, as
//! the official scripts of SQuAD 1.1 and 2.0 count them, in percent.

use std::collections::{BTreeMap, HashMap};

use unicode_categories::UnicodeCategories;

use super::words::is_space;

/// Exact matches and F1 of answers, question by question.
///
/// Of no questions, every number is 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SquadMetrics {
    /// Of questions that have an answer.
    answerable: Sums,
    /// Of questions that have none; they make it SQuAD 2.0.
    unanswerable: Sums,
    /// As SQuAD 1.1 counts.
    first_version: Sums,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sums {
    exact: f64,
    f1: f64,
    questions: f64,
}

impl Sums {
    fn add(&mut self, [exact, f1]: [f64; 2]) {
        self.exact += exact;
        self.f1 += f1;
        self.questions += 1.0;
    }

    fn percent(self) -> [f64; 2] {
        match self.questions {
            0.0 => [0.0; 2],
            questions => [self.exact, self.f1].map(|sum| 100.0 * sum / questions),
        }
    }
}

impl SquadMetrics {
    /// No questions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a question: the answer that was given, empty for none, and all that are
    /// right, none if there is no answer.
    pub fn update(&mut self, predicted: &str, answers: &[impl AsRef<str>]) {
        let answer = normalize(predicted);
        let gold: Vec<String> = answers
            .iter()
            .map(|answer| normalize(answer.as_ref()))
            .collect();
        self.first_version
            .add([exact(&answer, &gold), best(&gold, |gold| f1(&answer, gold))]);
        let scores = second_version(&answer, gold);
        match answers.is_empty() {
            true => self.unanswerable.add(scores),
            false => self.answerable.add(scores),
        }
    }

    /// Exact match and F1 in percent; as version 2.0 counts if there was a question without
    /// an answer, else as version 1.1.
    pub fn exact_and_f1(&self) -> [f64; 2] {
        match self.unanswerable.questions {
            0.0 => self.first_version.percent(),
            _ => self.second_version(),
        }
    }

    /// Exact match and F1 in percent as version 2.0 counts.
    pub fn second_version(&self) -> [f64; 2] {
        let (a, b) = (self.answerable, self.unanswerable);
        let both = Sums {
            exact: a.exact + b.exact,
            f1: a.f1 + b.f1,
            questions: a.questions + b.questions,
        };
        both.percent()
    }

    /// All numbers by their names in Hugging Face's results: `exact_match`, `f1`; where
    /// there are questions without an answer also `HasAns_exact`, `HasAns_f1`,
    /// `NoAns_exact` and `NoAns_f1`.
    pub fn to_metrics(&self) -> BTreeMap<String, f64> {
        let [exact, f1] = self.exact_and_f1();
        let mut metrics = vec![("exact_match", exact), ("f1", f1)];
        if self.unanswerable.questions > 0.0 {
            let [exact, f1] = self.answerable.percent();
            metrics.extend([("HasAns_exact", exact), ("HasAns_f1", f1)]);
            let [exact, f1] = self.unanswerable.percent();
            metrics.extend([("NoAns_exact", exact), ("NoAns_f1", f1)]);
        }
        metrics
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// F1 of an answer as version 2.0 counts, from 0 to 1.
pub(crate) fn answer_f1(predicted: &str, answers: &[impl AsRef<str>]) -> f64 {
    let gold = answers.iter().map(|answer| normalize(answer.as_ref()));
    second_version(&normalize(predicted), gold.collect())[1]
}

/// Exact match and F1 where nothing is an answer too, and the only right one to a question
/// without another.
fn second_version(answer: &str, gold: Vec<String>) -> [f64; 2] {
    let words: Vec<String> = gold.into_iter().filter(|gold| !gold.is_empty()).collect();
    let gold = match words.is_empty() {
        true => vec![String::new()],
        false => words,
    };
    let overlap = |gold: &str| match answer.is_empty() || gold.is_empty() {
        true => f64::from(u8::from(answer == gold)),
        false => f1(answer, gold),
    };
    [exact(answer, &gold), best(&gold, overlap)]
}

fn exact(answer: &str, gold: &[String]) -> f64 {
    best(gold, |gold| f64::from(u8::from(gold == answer)))
}

fn best(gold: &[String], of: impl Fn(&str) -> f64) -> f64 {
    gold.iter().map(|gold| of(gold)).fold(0.0, f64::max)
}

/// F1 of the words of two normalised answers; 0 if they share none.
fn f1(predicted: &str, gold: &str) -> f64 {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in gold.split_whitespace() {
        *left.entry(word).or_default() += 1;
    }
    let words = |text: &str| text.split_whitespace().count() as f64;
    let mut same = 0.0;
    for word in predicted.split_whitespace() {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            same += 1.0;
        }
    }
    if same == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (same / words(predicted), same / words(gold));
    2.0 * precision * recall / (precision + recall)
}

/// Lower case, without ASCII punctuation, articles and more than single spaces.
fn normalize(answer: &str) -> String {
    let lower = answer.to_lowercase();
    let plain: String = lower
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    let mut kept = String::with_capacity(plain.len());
    // A word is what Python's regular expressions take for one.
    let mut rest = plain.as_str();
    while let Some(first) = rest.chars().next() {
        let inside = is_of_word(first);
        let end = rest.find(|c| is_of_word(c) != inside).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        kept += match part {
            "a" | "an" | "the" => " ",
            part => part,
        };
        rest = after;
    }
    let words: Vec<&str> = kept
        .split(is_space)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

fn is_of_word(c: char) -> bool {
    c.is_letter() || c.is_number() || c == '_'
}
