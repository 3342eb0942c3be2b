//! From scores of tokens to answers: the best spans over all windows of a context, as
//! transformers' example scripts choose them.

use crate::encode::{Encoding, context_tokens};

/// An answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The words as they stand in the context; empty if there is no answer.
    pub text: String,
    /// The first character of the context, from 0; characters are Unicode code points.
    pub start: usize,
    /// The character after the last one.
    pub end: usize,
    /// The probability among the answers that were considered.
    pub score: f32,
}

/// How answers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Search {
    /// First and last tokens that are combined, and answers that are kept.
    pub(super) n_best: usize,
    /// Tokens of the longest answer.
    pub(super) longest: usize,
}

/// What the scores of a question say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// How much better it is to give no answer than to give the best one.
    pub(super) null_lead: f32,
    /// The lowest score of no answer over all windows.
    null: f32,
    /// The best spans, the best first: score, first character, character after the last.
    spans: Vec<(f32, usize, usize)>,
}

/// The best spans of a question's windows, of which each has the logits `[L, 2]` of its
/// tokens, for the first and the last token of an answer.
pub(super) fn find<'a>(
    rows: impl Iterator<Item = (&'a Encoding, &'a [f32])>,
    search: Search,
) -> Found {
    let mut null = f32::INFINITY;
    let mut spans = Vec::new();
    for (row, logits) in rows {
        let first = |token: usize| logits[2 * token];
        let last = |token: usize| logits[2 * token + 1];
        null = null.min(first(0) + last(0));
        let of_context = context_tokens(row);
        let best = |score: &dyn Fn(usize) -> f32| {
            let mut tokens: Vec<usize> = (0..row.len()).collect();
            tokens.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
            tokens.truncate(search.n_best);
            tokens.retain(|token| of_context.contains(token));
            tokens
        };
        let lasts = best(&last);
        for start in best(&first) {
            for &end in &lasts {
                if (start..start + search.longest).contains(&end) {
                    let score = first(start) + last(end);
                    spans.push((score, row.offsets[start].0, row.offsets[end].1));
                }
            }
        }
    }
    spans.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Windows that overlap see the same span; its best score stands first.
    let mut seen = std::collections::HashSet::new();
    spans.retain(|&(_, start, end)| seen.insert((start, end)));
    spans.truncate(search.n_best);
    let best = spans.first().map_or(f32::NEG_INFINITY, |span| span.0);
    Found {
        null_lead: null - best,
        null,
        spans,
    }
}

impl Found {
    /// The answers in words, the best first, with their probabilities. No answer is among
    /// them if `nullable`, and first if it leads by more than `threshold`.
    pub(super) fn answers(&self, context: &str, nullable: bool, threshold: f32) -> Vec<Answer> {
        let bytes: Vec<usize> = context
            .char_indices()
            .map(|(byte, _)| byte)
            .chain([context.len()])
            .collect();
        let mut scores: Vec<f32> = self.spans.iter().map(|span| span.0).collect();
        let mut answers: Vec<Answer> = self
            .spans
            .iter()
            .map(|&(_, start, end)| Answer {
                text: context[bytes[start]..bytes[end]].to_owned(),
                start,
                end,
                score: 0.0,
            })
            .collect();
        if nullable || answers.is_empty() {
            let place = match answers.is_empty() || self.null_lead > threshold {
                true => 0,
                false => {
                    1 + scores[1..]
                        .iter()
                        .take_while(|&&score| score > self.null)
                        .count()
                }
            };
            scores.insert(place, self.null);
            let none = Answer {
                text: String::new(),
                start: 0,
                end: 0,
                score: 0.0,
            };
            answers.insert(place, none);
        }
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
        let sum: f32 = powers.iter().sum();
        for (answer, power) in answers.iter_mut().zip(powers) {
            answer.score = power / sum;
        }
        answers
    }
}
