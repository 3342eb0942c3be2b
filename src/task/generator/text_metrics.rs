//! The numbers of texts that were written.

use std::collections::BTreeMap;

use crate::data::Example;
use crate::metrics::{Bleu, RougeL, Sari};

/// Counts `bleu` and `rougeL` of texts that were written about examples, and `sari` where these
/// are single texts, all in percent. What is right is an example's label.
///
/// ```
/// use bertfit::{Example, TextMetrics};
///
/// let rows = [Example::new("the film was very good", "the film was good")];
/// let mut metrics = TextMetrics::default();
/// metrics.extend(rows.iter().zip(["the film was good"]));
/// assert_eq!(metrics.compute()["bleu"].round(), 100.0);
/// ```
#[derive(Debug, Clone, Default)]
pub struct TextMetrics {
    bleu: Bleu,
    rouge: RougeL,
    sari: Sari,
    has_pairs: bool,
}

impl<'a> Extend<(&'a Example, &'a str)> for TextMetrics {
    fn extend<I: IntoIterator<Item = (&'a Example, &'a str)>>(&mut self, written: I) {
        for (example, text) in written {
            let labels = [&example.label];
            self.bleu.update(text, &labels);
            self.rouge.update(text, &labels);
            self.sari.update(&example.text, text, &labels);
            // A pair is not rewritten.
            self.has_pairs |= example.pair.is_some();
        }
    }
}

impl TextMetrics {
    /// The numbers by their names.
    pub fn compute(&self) -> BTreeMap<String, f64> {
        let sari = (!self.has_pairs).then(|| ("sari", self.sari.score()));
        let numbers = [("bleu", self.bleu.score()), ("rougeL", self.rouge.score())];
        let numbers = numbers.into_iter().chain(sari);
        numbers
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}
