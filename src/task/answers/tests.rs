//! Answers from scores: all spans against a plain search, and against transformers' example
//! scripts (`tests/data/task/make_answers.py`).

use serde_json::Value;

use super::*;
use crate::data::QaExample;
use crate::encode::{Limits, QaCollator, TextEncoder, Tokenizer, TokenizerConfig, Truncation, mix};

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
        null_logits: [0.5; 2],
        shown: Vec::new(),
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

/// A row of this fixture: two tokens of a question and a part of the context.
fn row(window: &Value) -> (Encoding, Vec<f32>) {
    let list = |name: &str| window[name].as_array().expect("a list").clone();
    let mut row = Encoding::default();
    for (token, offset) in list("offsets").iter().enumerate() {
        let end = |end: usize| offset[end].as_u64().unwrap_or(0) as usize;
        row.input_ids.push(token as i64);
        row.token_type_ids.push(i64::from(token > 3));
        row.special_tokens_mask
            .push(offset.is_null() && ![1, 2].contains(&token));
        row.offsets.push((end(0), end(1)));
        row.word_ids.push(None);
    }
    let number = |value: &Value| value.as_f64().expect("a number") as f32;
    let ends = list("start").into_iter().zip(list("end"));
    let logits = ends.flat_map(|(start, end)| [number(&start), number(&end)]);
    (row, logits.collect())
}

#[test]
fn all_answers_are_those_of_the_example_scripts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/task/answers.json");
    let text = std::fs::read_to_string(path).expect("the fixture is there");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the fixture is JSON");
    assert_eq!(cases.len(), 200);
    let near = |ours: f32, theirs: &Value| {
        let theirs = theirs.as_f64().expect("a number");
        assert!(
            (f64::from(ours) - theirs).abs() < 1e-5,
            "{ours} and {theirs}"
        );
    };
    for case in &cases {
        let windows = case["windows"].as_array().expect("a list");
        let windows: Vec<_> = windows.iter().map(row).collect();
        let count = |name: &str| case[name].as_u64().expect("a count") as usize;
        let (n_best, longest) = (count("n_best_size"), count("max_answer_length"));
        let rows = windows.iter().map(|(row, logits)| (row, &logits[..]));
        let nullable = case["negatives"] == true;
        let threshold = case["threshold"].as_f64().expect("a number") as f32;
        let found = find(rows, Search { n_best, longest });
        let scored = found.scored(CONTEXT, nullable, threshold, n_best);
        match scored.null_odds {
            Some(odds) => near(odds, &case["odds"]),
            None => assert!(case["odds"].is_null()),
        }
        let theirs = case["n_best"].as_array().expect("a list");
        if case["fake"] == true {
            // They put in the answer "empty", which there is not.
            assert_eq!(scored.best.text, "");
            assert_eq!(scored.n_best.len() + 1, theirs.len());
            continue;
        }
        assert_eq!(scored.best.text, case["answer"], "{case}");
        assert_eq!(scored.n_best.len(), theirs.len(), "{case}");
        for (ours, theirs) in scored.n_best.iter().zip(theirs) {
            assert_eq!(ours.text, theirs["text"], "{case}");
            near(ours.start_logit, &theirs["start_logit"]);
            near(ours.end_logit, &theirs["end_logit"]);
            near(ours.probability, &theirs["probability"]);
        }
    }
}
