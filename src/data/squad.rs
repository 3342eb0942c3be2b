//! Questions on contexts, and answers that are parts of these. Answers are counted in
//! characters (Unicode code points), and each must stand where its start says.

use std::sync::Arc;

use crate::error::shown;

/// A question, and the text that may hold its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QaExample {
    /// Tells it from all others in its file.
    pub id: String,
    /// The question.
    pub question: String,
    /// The text; questions on the same one share it.
    pub context: Arc<str>,
    /// The answers that are right, any of them; none if the context has no answer.
    pub answers: Vec<QaSpan>,
}

/// An answer as a part of its context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QaSpan {
    /// The words, exactly as they stand in the context.
    pub text: String,
    /// The first character of the context that belongs to it, from 0; `None` where that is not
    /// known. Such an answer is compared with those that are given, and is learnt as none.
    pub start: Option<usize>,
}

impl QaExample {
    /// A question without a known answer.
    pub fn new(
        id: impl Into<String>,
        question: impl Into<String>,
        context: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            id: id.into(),
            question: question.into(),
            context: context.into(),
            answers: Vec::new(),
        }
    }

    /// The same with an answer that begins at the character `start`.
    pub fn with_answer(mut self, text: impl Into<String>, start: usize) -> Self {
        self.answers.push(QaSpan {
            text: text.into(),
            start: Some(start),
        });
        self
    }

    /// Says why the question cannot be used, if it cannot.
    pub(crate) fn problem(&self) -> Option<String> {
        let starts = character_starts(&self.context);
        let misplaced = |answer: &QaSpan| answer.problem(&self.context, &starts);
        self.text_problem()
            .or_else(|| self.answers.iter().find_map(misplaced))
    }

    /// The same, but for where its answers stand.
    pub(super) fn text_problem(&self) -> Option<String> {
        if self.question.trim().is_empty() {
            return Some("the question is empty".to_owned());
        }
        if self.context.trim().is_empty() {
            return Some("the context is empty".to_owned());
        }
        None
    }
}

/// The bytes at which the characters of a context begin: questions on the same context share
/// them, so that it is walked through once.
pub(super) fn character_starts(context: &str) -> Vec<usize> {
    context.char_indices().map(|(byte, _)| byte).collect()
}

impl QaSpan {
    fn problem(&self, context: &str, starts: &[usize]) -> Option<String> {
        if self.text.is_empty() {
            return Some("an answer is empty".to_owned());
        }
        let start = self.start?;
        match stands_at(context, starts, &self.text, start) {
            true => None,
            false => {
                let place = nearest(context, starts, &self.text, start);
                Some(misplaced(&self.text, &start.to_string(), place))
            }
        }
    }
}

/// Whether a text stands at a character of the context.
pub(super) fn stands_at(context: &str, starts: &[usize], text: &str, start: usize) -> bool {
    let byte = starts.get(start);
    byte.is_some_and(|&byte| context[byte..].starts_with(text))
}

/// The character at which a text stands that is nearest to another: the one that was
/// probably meant. `None` where it does not stand in the context.
pub(super) fn nearest(context: &str, starts: &[usize], text: &str, start: usize) -> Option<usize> {
    let found = context.match_indices(text);
    let characters = found.map(|(byte, _)| starts.partition_point(|&start| start < byte));
    characters.min_by_key(|place| place.abs_diff(start))
}

/// What is wrong with an answer that stands elsewhere, or nowhere.
pub(super) fn misplaced(text: &str, start: &str, place: Option<usize>) -> String {
    let text = shown(text);
    match place {
        Some(place) => {
            format!("the answer `{text}` does not stand at character {start}, but at {place}")
        }
        None => format!("the answer `{text}` does not stand in the context"),
    }
}
