//! From scores of tokens to answers: the best spans over all windows of a context, as
//! transformers' example scripts choose them.

use serde::Serialize;

use crate::encode::{Encoding, context_tokens};

/// An answer to a question.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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

/// An answer among those that were considered, as transformers' example scripts list them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScoredAnswer {
    /// The logit of its first token.
    pub start_logit: f32,
    /// The logit of its last token.
    pub end_logit: f32,
    /// The words as they stand in the context; empty for no answer.
    pub text: String,
    /// The probability among the answers of the list.
    pub probability: f32,
}

/// The answer to a question, and what was weighed against it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScoredAnswers {
    /// The answer that is given.
    pub best: Answer,
    /// The answers with the highest scores, the highest first, as `postprocess_qa_predictions`
    /// of transformers' example scripts lists them: a span that two windows show may stand there
    /// twice, and no answer stands where its score puts it, or last if it is not among the best.
    /// Where there is no span, the scripts add the answer "empty" with logits of 0; here it is
    /// not there.
    pub n_best: Vec<ScoredAnswer>,
    /// By how much the score of no answer exceeds that of the best span, or 0 where there is no
    /// span; `None` of a model that always answers.
    pub null_odds: Option<f32>,
}

/// How answers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    /// The logits of that score.
    null_logits: [f32; 2],
    /// The best spans, the best first: score, first character, character after the last.
    spans: Vec<(f32, usize, usize)>,
    /// The best spans of the windows, of which two may show the same, with their logits.
    shown: Vec<Shown>,
}

/// A span as a window shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shown {
    logits: [f32; 2],
    /// The first character and the one after the last.
    place: (usize, usize),
}

impl Shown {
    fn score(&self) -> f32 {
        self.logits[0] + self.logits[1]
    }
}

/// The best spans of a question's windows, of which each has the logits `[L, 2]` of its
/// tokens, for the first and the last token of an answer.
pub(super) fn find<'a>(
    rows: impl Iterator<Item = (&'a Encoding, &'a [f32])>,
    search: Search,
) -> Found {
    let mut null_logits = [f32::INFINITY; 2];
    let mut shown = Vec::new();
    for (row, logits) in rows {
        let first = |token: usize| logits[2 * token];
        let last = |token: usize| logits[2 * token + 1];
        if first(0) + last(0) < null_logits[0] + null_logits[1] {
            null_logits = [first(0), last(0)];
        }
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
                if end >= start && end - start < search.longest {
                    shown.push(Shown {
                        logits: [first(start), last(end)],
                        place: (row.offsets[start].0, row.offsets[end].1),
                    });
                }
            }
        }
    }
    shown.sort_by(|a, b| b.score().total_cmp(&a.score()));
    // Windows that overlap see the same span; its best score stands first.
    let mut seen = std::collections::HashSet::new();
    let distinct = shown.iter().filter(|span| seen.insert(span.place));
    let spans: Vec<_> = distinct
        .map(|span| (span.score(), span.place.0, span.place.1))
        .take(search.n_best)
        .collect();
    shown.truncate(search.n_best);
    let best = spans.first().map_or(f32::NEG_INFINITY, |span| span.0);
    let null = null_logits[0] + null_logits[1];
    Found {
        null_lead: null - best,
        null,
        null_logits,
        spans,
        shown,
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
        for (answer, share) in answers.iter_mut().zip(softmax(&scores)) {
            answer.score = share;
        }
        answers
    }

    /// The answer, and those that were considered, at most so many and no answer.
    pub(super) fn scored(
        &self,
        context: &str,
        nullable: bool,
        threshold: f32,
        n_best: usize,
    ) -> ScoredAnswers {
        let mut listed = self.shown.clone();
        if nullable {
            let null = Shown {
                logits: self.null_logits,
                place: (0, 0),
            };
            let better = |span: &&Shown| span.score() >= null.score();
            let place = listed.iter().take_while(better).count();
            listed.insert(place, null);
            if place < n_best {
                listed.truncate(n_best);
            }
        }
        let scores: Vec<f32> = listed.iter().map(Shown::score).collect();
        let text = |place: (usize, usize)| -> String {
            let characters = context.chars().skip(place.0);
            characters.take(place.1 - place.0).collect()
        };
        let answers = listed.iter().zip(softmax(&scores));
        let n_best = answers.map(|(span, probability)| ScoredAnswer {
            start_logit: span.logits[0],
            end_logit: span.logits[1],
            text: text(span.place),
            probability,
        });
        let lead = match self.shown.is_empty() {
            true => self.null,
            false => self.null_lead,
        };
        ScoredAnswers {
            best: self.answers(context, nullable, threshold).swap_remove(0),
            n_best: n_best.collect(),
            null_odds: nullable.then_some(lead),
        }
    }
}

/// The shares of scores, whose sum is 1.
fn softmax(scores: &[f32]) -> Vec<f32> {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests;
