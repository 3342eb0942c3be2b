//! Texts that are longer than a row may be, as overlapping windows: no word is lost, and
//! each is judged in the window that shows the most of what stands around it.

use std::ops::Range;

use super::tokenizer::Encoding;

/// A text as the rows that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WordWindows {
    /// `[CLS] … [SEP]`, each at most as long as was asked for.
    pub(crate) rows: Vec<Encoding>,
    /// For each word the row and the place in it of its first token; `None` for a word
    /// that has no tokens.
    pub(crate) places: Vec<Option<(usize, usize)>>,
}

impl WordWindows {
    /// Cuts `whole`, a single text of `words` words, into windows of at most
    /// `max_length` tokens, special tokens included. Windows begin and end between words
    /// and share up to `overlap` tokens. A word that is longer than a window is cut.
    pub(crate) fn new(whole: Encoding, words: usize, max_length: usize, overlap: usize) -> Self {
        let fits = whole.len() <= max_length;
        let windows = match fits {
            true => std::iter::once(1..whole.len() - 1).collect(),
            false => windows(&whole, max_length - 2, overlap),
        };
        let mut places = vec![None; words];
        let mut margins = vec![0; words];
        for (row, window) in windows.iter().enumerate() {
            for token in window.clone() {
                let Some(word) = first_token_of(&whole, token) else {
                    continue;
                };
                let margin = margin(token, window, whole.len());
                if places[word].is_none() || margin > margins[word] {
                    // The first token of the row is `[CLS]`.
                    places[word] = Some((row, token - window.start + 1));
                    margins[word] = margin;
                }
            }
        }
        let rows = match fits {
            true => vec![whole],
            false => {
                let last = whole.len() - 1;
                let row = |window| whole.select(&[0..1, window, last..last + 1]);
                windows.into_iter().map(row).collect()
            }
        };
        Self { rows, places }
    }

    /// Tokens of all rows.
    pub(crate) fn tokens(&self) -> usize {
        self.rows.iter().map(Encoding::len).sum()
    }
}

/// `whole` in rows of at most `longest` tokens: windows of `part`, of which two share `overlap`
/// tokens, each with all that stands around `part`; `None` where that leaves no room for more
/// than what is shared. Windows begin and end anywhere, as those of Hugging Face's tokenizers.
pub(crate) fn token_windows(
    whole: &Encoding,
    part: Range<usize>,
    longest: usize,
    overlap: usize,
) -> Option<Vec<Encoding>> {
    let (before, after) = (0..part.start, part.end..whole.len());
    let around = before.len() + after.len();
    let room = longest.checked_sub(around).filter(|&room| room > overlap)?;
    let mut rows = Vec::new();
    for first in part.clone().step_by(room - overlap) {
        let last = (first + room).min(part.end);
        rows.push(whole.select(&[before.clone(), first..last, after.clone()]));
        if last == part.end {
            break;
        }
    }
    Some(rows)
}

/// The word that begins with a token.
fn first_token_of(whole: &Encoding, token: usize) -> Option<usize> {
    let word = whole.word_ids[token]?;
    (whole.word_ids[token - 1] != Some(word)).then_some(word)
}

/// How many tokens a window shows on the side of `token` on which it shows fewer; a side
/// on which the text ends shows all there is.
fn margin(token: usize, window: &Range<usize>, length: usize) -> usize {
    let before = match window.start {
        1 => usize::MAX,
        start => token - start,
    };
    let after = match window.end + 1 == length {
        true => usize::MAX,
        false => window.end - 1 - token,
    };
    before.min(after)
}

/// Ranges of at most `room` tokens of `whole`, between `[CLS]` and `[SEP]`.
fn windows(whole: &Encoding, room: usize, overlap: usize) -> Vec<Range<usize>> {
    let end_of_text = whole.len() - 1;
    let goes_on = |token: usize| {
        let word = whole.word_ids[token];
        word.is_some() && whole.word_ids[token - 1] == word
    };
    let mut windows: Vec<Range<usize>> = Vec::new();
    let mut start = 1;
    loop {
        let most = (start + room).min(end_of_text);
        let mut end = most;
        while end < end_of_text && end > start && goes_on(end) {
            end -= 1;
        }
        if end == start {
            // One word fills the window; the rest of it is left out.
            end = most;
        }
        windows.push(start..end);
        let word_end = |mut token: usize| {
            while token < end_of_text && goes_on(token) {
                token += 1;
            }
            token
        };
        let after = word_end(end);
        if after == end_of_text {
            return windows;
        }
        start = end.saturating_sub(overlap).max(start + 1);
        start = word_end(start).min(after);
        // Each window shows a word that the one before has not shown.
        if word_end(after + 1) - start > room {
            start = after;
        }
    }
}
