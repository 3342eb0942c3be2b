//! What is read of a text that is longer than a row: one end, both ends, or all of it in
//! windows. A whole encoding comes in, the rows that are read go out.

use serde::{Deserialize, Serialize};

use super::tokenizer::{Encoding, Truncation};
use super::windows::token_windows;
use crate::error::{Error, Result, RowProblem};

/// What is read of a text that is longer than a row.
///
/// Of a pair, [`Truncation`] says how many tokens each text keeps, and this says which.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LongText {
    /// The beginning.
    Head,
    /// The end.
    Tail,
    /// The beginning and the end, and nothing between them (Sun et al. 2019, "How to
    /// Fine-Tune BERT for Text Classification?").
    HeadTail {
        /// The beginning's share of what is kept, above 0 and below 1.
        head: f64,
    },
    /// All of it, in windows that overlap; their logits are pooled into those of the text.
    /// Of a pair that is too long, windows go over the text that [`Truncation::OnlyFirst`]
    /// or [`Truncation::OnlySecond`] names, each beside all of the other one; by
    /// [`Truncation::LongestFirst`] such a pair is refused.
    Windows(TextWindows),
}

/// How a long text is read in windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TextWindows {
    /// Tokens that two windows share; default 128, or a third of the maximal length if that
    /// is less.
    pub doc_stride: Option<usize>,
    /// How the logits of the windows become those of the text; default their mean.
    #[serde(default)]
    pub pooling: WindowPooling,
    /// The most windows of a text in training, which bounds its memory: of a text with more,
    /// so many are read, evenly spread from the first to the last. The run warns of it once.
    /// Evaluations and predictions read all. Default no limit.
    #[serde(default)]
    pub max_windows: Option<usize>,
}

/// What becomes of the logits of a text's windows, for each output by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WindowPooling {
    /// Their mean: each window has its say. The default.
    #[default]
    Mean,
    /// The highest: for classes that one place of a text decides.
    Max,
}

impl LongText {
    /// The beginning and the end, a quarter and three quarters: 128 and 382 tokens of 510, as
    /// in the paper.
    pub const fn head_tail() -> Self {
        Self::HeadTail { head: 0.25 }
    }

    /// Windows with the defaults.
    pub fn windows() -> Self {
        Self::Windows(TextWindows::default())
    }

    /// How the logits of windows are pooled.
    pub(crate) fn pooling(self) -> WindowPooling {
        match self {
            Self::Windows(windows) => windows.pooling,
            _ => WindowPooling::default(),
        }
    }

    /// The same, with the usual overlap where the one that was saved does not fit rows of
    /// `max_length` tokens.
    pub(crate) fn fitting(self, max_length: usize) -> Self {
        match (self, self.checked(max_length)) {
            (Self::Windows(windows), Err(_)) => Self::Windows(TextWindows {
                doc_stride: None,
                ..windows
            }),
            _ => self,
        }
    }

    /// The same for rows of at most `max_length` tokens, all numbers said.
    pub(super) fn checked(self, max_length: usize) -> Result<Self> {
        match self {
            Self::Head | Self::Tail => Ok(self),
            Self::HeadTail { head } if head > 0.0 && head < 1.0 => Ok(self),
            Self::HeadTail { head } => {
                Err(Error::config("head", "a share above 0 and below 1", head))
            }
            Self::Windows(windows) => {
                let doc_stride = windows.doc_stride.unwrap_or((max_length / 3).min(128));
                // Each window shows something that the one before has not shown.
                let room = max_length.saturating_sub(2);
                if doc_stride >= room {
                    let rule = format!("below {room}, the text's tokens of a row");
                    return Err(Error::config("doc_stride", rule, doc_stride));
                }
                if windows.max_windows == Some(0) {
                    return Err(Error::config("max_windows", "at least 1", 0));
                }
                Ok(Self::Windows(TextWindows {
                    doc_stride: Some(doc_stride),
                    ..windows
                }))
            }
        }
    }

    /// The rows that are read of `whole`, a text or a pair with nothing cut, each of at most
    /// `longest` tokens.
    pub(super) fn rows(
        self,
        whole: Encoding,
        longest: usize,
        truncation: Truncation,
    ) -> Result<Vec<Encoding>, RowProblem> {
        if whole.len() <= longest {
            return Ok(vec![whole]);
        }
        match self {
            Self::Head => cut(&whole, longest, truncation, |kept| kept),
            Self::Tail => cut(&whole, longest, truncation, |_| 0),
            Self::HeadTail { head } => cut(&whole, longest, truncation, |kept| {
                (head * kept as f64).round() as usize
            }),
            Self::Windows(windows) => all_windows(&whole, longest, truncation, windows),
        }
    }
}

/// Where the special tokens of `whole` are: `[CLS]`, and the `[SEP]` of each text.
fn special_places(whole: &Encoding) -> Vec<usize> {
    let mask = whole.special_tokens_mask.iter();
    let places = mask.enumerate().filter(|(_, special)| **special);
    places.map(|(place, _)| place).collect()
}

/// One row; of the tokens that a text keeps, `head` says how many come from its beginning.
fn cut(
    whole: &Encoding,
    longest: usize,
    truncation: Truncation,
    head: impl Fn(usize) -> usize,
) -> Result<Vec<Encoding>, RowProblem> {
    let places = special_places(whole);
    let texts: Vec<usize> = places
        .windows(2)
        .map(|ends| ends[1] - ends[0] - 1)
        .collect();
    let room = longest.saturating_sub(places.len());
    let kept = truncation.kept(texts[0], texts.get(1).copied(), room);
    let Some((first, second)) = kept else {
        return Err(RowProblem::Truncation {
            length: whole.len(),
            limit: longest,
            strategy: truncation.as_str(),
        });
    };
    let cls = 0..1;
    let mut parts = vec![cls];
    for (ends, kept) in places.windows(2).zip([first, second]) {
        let (start, end) = (ends[0] + 1, ends[1]);
        let head = match kept == end - start {
            true => kept,
            false => head(kept),
        };
        parts.extend([start..start + head, end - (kept - head)..end + 1]);
    }
    Ok(vec![whole.select(&parts)])
}

fn all_windows(
    whole: &Encoding,
    longest: usize,
    truncation: Truncation,
    windows: TextWindows,
) -> Result<Vec<Encoding>, RowProblem> {
    let refuse = |problem: String| RowProblem::Field {
        field: "pair".to_owned(),
        problem,
    };
    let places = special_places(whole);
    let overlap = windows.doc_stride.unwrap_or(0);
    let part = match (truncation, &places[..]) {
        (Truncation::LongestFirst | Truncation::OnlyFirst, &[cls, sep]) => cls + 1..sep,
        (Truncation::OnlyFirst, &[cls, sep, _]) => cls + 1..sep,
        (Truncation::OnlySecond, &[_, sep, end]) => sep + 1..end,
        (Truncation::LongestFirst, _) => {
            return Err(refuse(format!(
                "{} tokens in rows of {longest}: windows of a pair need the truncation \
                 `only_first` or `only_second`, which says what they go over",
                whole.len()
            )));
        }
        (Truncation::OnlyFirst | Truncation::OnlySecond, _) => {
            return Err(RowProblem::Truncation {
                length: whole.len(),
                limit: longest,
                strategy: truncation.as_str(),
            });
        }
    };
    let other = whole.len() - part.len() - places.len();
    token_windows(whole, part, longest, overlap).ok_or_else(|| {
        refuse(format!(
            "the text that stands in all windows has {other} tokens, which leaves too little \
             room in rows of {longest} that share {overlap}"
        ))
    })
}

/// At most `most` of `windows`, evenly spread from the first to the last.
pub(super) fn spread<T>(windows: Vec<T>, most: usize) -> Vec<T> {
    let count = windows.len();
    if count <= most {
        return windows;
    }
    let steps = most.saturating_sub(1).max(1);
    let mut wanted = (0..most).map(|step| step * (count - 1) / steps).peekable();
    let numbered = windows.into_iter().enumerate();
    let read = numbered.filter(|(place, _)| wanted.next_if_eq(place).is_some());
    read.map(|(_, window)| window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_are_read_are_spread_over_the_text() {
        let of = |count: usize, most| spread((0..count).collect(), most);
        assert_eq!(of(3, 4), [0, 1, 2]);
        assert_eq!(of(9, 3), [0, 4, 8]);
        assert_eq!(of(5, 4), [0, 1, 2, 4]);
        assert_eq!(of(7, 2), [0, 6]);
        assert_eq!(of(7, 1), [0]);
    }
}
