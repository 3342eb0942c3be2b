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
                if end >= start && end - start < search.longest {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::QaExample;
    use crate::encode::{
        Limits, QaCollator, TextEncoder, Tokenizer, TokenizerConfig, Truncation, mix,
    };

    const CONTEXT: &str = "good film 💙 bad film , good food and good film again";

    /// The windows of a question on `CONTEXT`, and random logits for each of their tokens.
    fn windows(max_length: usize, seed: u64) -> Vec<(Encoding, Vec<f32>)> {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] what good bad film food and again ,";
        let tokenizer = Tokenizer::from_vocab(vocab.split(' '), TokenizerConfig::default());
        let tokenizer = tokenizer.expect("a tokenizer");
        let limits = Limits {
            vocab_size: 13,
            max_length,
            type_vocab_size: 2,
        };
        let encoder = TextEncoder::new(tokenizer, limits, max_length, Truncation::OnlySecond);
        let collator = QaCollator {
            encoder: encoder.expect("room for tokens"),
            doc_stride: 4,
        };
        let rows = collator.rows(&QaExample::new("1", "what film", CONTEXT));
        let with_logits = |(row, place): (Encoding, u64)| {
            let number = |token| mix(seed, mix(place, token)) as f32 / u64::MAX as f32;
            let logits = (0..2 * row.len() as u64).map(number).collect();
            (row, logits)
        };
        let rows = rows.expect("rows").into_iter().zip(0..);
        rows.map(with_logits).collect()
    }

    /// All spans of the context of at most so many tokens, the best first.
    fn all_spans(windows: &[(Encoding, Vec<f32>)], longest: usize) -> Vec<(f32, usize, usize)> {
        let mut best = std::collections::BTreeMap::new();
        for (row, logits) in windows {
            let parts: Vec<_> = row.sequence_ids().collect();
            for first in 0..row.len() {
                for last in first..row.len().min(first.saturating_add(longest)) {
                    if parts[first] == Some(1) && parts[last] == Some(1) {
                        let span = (row.offsets[first].0, row.offsets[last].1);
                        let score = logits[2 * first] + logits[2 * last + 1];
                        let of_span = best.entry(span).or_insert(score);
                        *of_span = score.max(*of_span);
                    }
                }
            }
        }
        let mut spans: Vec<_> = best.into_iter().map(|((a, b), s)| (s, a, b)).collect();
        spans.sort_by(|a, b| b.0.total_cmp(&a.0));
        spans
    }

    #[test]
    fn the_best_spans_are_those_of_all_windows() {
        for (max_length, count) in [(32, 1), (10, 8)] {
            for longest in [1, 2, 5, usize::MAX] {
                for seed in 0..20 {
                    let windows = windows(max_length, seed);
                    assert_eq!(windows.len(), count);
                    let n_best = 1000;
                    let rows = windows.iter().map(|(row, logits)| (row, &logits[..]));
                    let found = find(rows, Search { n_best, longest });
                    let expected = all_spans(&windows, longest);
                    assert_eq!(found.spans, expected);
                    let nulls = windows.iter().map(|(_, logits)| logits[0] + logits[1]);
                    assert_eq!(found.null, nulls.fold(f32::INFINITY, f32::min));
                    assert_eq!(found.null_lead, found.null - expected[0].0);
                }
            }
        }
    }

    #[test]
    fn few_ends_are_combined_and_few_spans_kept() {
        let (n_best, longest) = (3, usize::MAX);
        let mut counts = [0; 4];
        for seed in 0..100 {
            let windows = windows(32, seed);
            let (row, logits) = &windows[0];
            let found = find([(row, &logits[..])].into_iter(), Search { n_best, longest });
            // The worst of the best first and last tokens of the row, question and all.
            let worst = |end: usize| {
                let mut scores: Vec<f32> = logits.iter().skip(end).step_by(2).copied().collect();
                scores.sort_by(|a, b| b.total_cmp(a));
                scores[n_best - 1]
            };
            let token = |is: &dyn Fn(usize) -> bool| {
                let mut of_context = (0..row.len()).filter(|&token| row.token_type_ids[token] == 1);
                of_context.find(|&token| is(token)).expect("a token")
            };
            let mut expected = all_spans(&windows, longest);
            expected.retain(|&(_, start, end)| {
                let first = token(&|token| row.offsets[token].0 == start);
                let last = token(&|token| row.offsets[token].1 == end);
                logits[2 * first] >= worst(0) && logits[2 * last + 1] >= worst(1)
            });
            expected.truncate(n_best);
            assert_eq!(found.spans, expected);
            counts[expected.len()] += 1;
        }
        // Such rows were among them, also without any span.
        assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    }

    #[test]
    fn no_answer_stands_where_its_score_puts_it() {
        let found = Found {
            null_lead: 1.0 - 3.0,
            null: 1.0,
            spans: vec![(3.0, 0, 4), (2.0, 5, 11), (0.5, 10, 11)],
        };
        let texts = |nullable, threshold| {
            let answers = found.answers(CONTEXT, nullable, threshold);
            let sum: f32 = answers.iter().map(|answer| answer.score).sum();
            assert!((sum - 1.0).abs() < 1e-6);
            let texts = answers.into_iter().map(|answer| answer.text);
            texts.collect::<Vec<_>>()
        };
        assert_eq!(texts(false, 0.0), ["good", "film 💙", "💙"]);
        assert_eq!(texts(true, 0.0), ["good", "film 💙", "", "💙"]);
        // A lead of -2 is more than a threshold of -2.5, but not more than -2.
        assert_eq!(texts(true, -2.5), ["", "good", "film 💙", "💙"]);
        assert_eq!(texts(true, -2.0), ["good", "film 💙", "", "💙"]);
        let e = |score: f32| (score - 3.0).exp();
        let all = e(3.0) + e(2.0) + e(1.0) + e(0.5);
        let answers = found.answers(CONTEXT, true, 0.0);
        assert!((answers[2].score - e(1.0) / all).abs() < 1e-6);
        assert_eq!((answers[1].start, answers[1].end), (5, 11));
    }
}
