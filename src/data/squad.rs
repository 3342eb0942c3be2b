//! SQuAD's JSON files (Rajpurkar et al. 2016, 2018) to questions on contexts. Answers are
//! counted in characters (Unicode code points), and each must stand where the file says.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::decompress::{Unpack, open};
use crate::error::{Error, PathContext, Result};

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct QaSpan {
    /// The words, exactly as they stand in the context.
    pub text: String,
    /// The first character of the context that belongs to it, from 0.
    #[serde(rename = "answer_start")]
    pub start: usize,
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
        let text = text.into();
        self.answers.push(QaSpan { text, start });
        self
    }

    /// Says why the question cannot be used, if it cannot.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem_given(&character_starts(&self.context))
    }

    /// The same, given the bytes at which the context's characters begin: questions on the
    /// same context share them, which is walked through once.
    fn problem_given(&self, starts: &[usize]) -> Option<String> {
        if self.question.trim().is_empty() {
            return Some("the question is empty".to_owned());
        }
        if self.context.trim().is_empty() {
            return Some("the context is empty".to_owned());
        }
        self.answers
            .iter()
            .find_map(|answer| answer.problem(&self.context, starts))
    }
}

fn character_starts(context: &str) -> Vec<usize> {
    context.char_indices().map(|(byte, _)| byte).collect()
}

impl QaSpan {
    fn problem(&self, context: &str, starts: &[usize]) -> Option<String> {
        let Self { text, start } = self;
        if text.is_empty() {
            return Some("an answer is empty".to_owned());
        }
        let byte = starts.get(*start);
        if byte.is_some_and(|&byte| context[byte..].starts_with(&**text)) {
            return None;
        }
        // The place that was probably meant.
        let found = context.match_indices(&**text);
        let characters = found.map(|(byte, _)| starts.partition_point(|&start| start < byte));
        let nearest = characters.min_by_key(|place| place.abs_diff(*start));
        Some(match nearest {
            Some(place) => {
                format!("the answer `{text}` does not stand at character {start}, but at {place}")
            }
            None => format!("the answer `{text}` does not stand in the context"),
        })
    }
}

/// A file in SQuAD's form, version 1.1 or 2.0, plain or compressed (`.gz`, `.xz`).
///
/// ```no_run
/// # use bertfit::SquadFile;
/// let train = SquadFile::open("train-v2.0.json").read()?;
/// println!("{}", train[0].question);
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SquadFile {
    path: PathBuf,
    unpack: Unpack,
}

/// The file as it is written; other fields are passed over.
#[derive(Deserialize)]
struct Content {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    question: String,
    #[serde(default)]
    answers: Vec<QaSpan>,
    is_impossible: Option<bool>,
}

impl SquadFile {
    /// The file at `path`. It is opened when it is read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        let unpack = Unpack::default();
        Self { path, unpack }
    }

    /// Lifts the limits of a compressed file, for one that you trust: by default it may not
    /// become more than 64 MiB and 200 times its size, nor ask for more than 256 MiB of memory.
    pub fn unpack_everything(mut self) -> Self {
        self.unpack = Unpack::Everything;
        self
    }

    /// All questions, in the order of the file.
    ///
    /// # Errors
    /// - [`Error::Read`]: the file cannot be opened, read or decompressed.
    /// - [`Error::Json`]: it is not JSON of this form.
    /// - [`Error::File`]: it has no questions, two have the same id, a question or a
    ///   context is empty, an answer does not stand where it should, or one that is
    ///   impossible has answers.
    pub fn read(&self) -> Result<Vec<QaExample>> {
        let path = &self.path;
        let mut text = Vec::new();
        open(path, self.unpack)?
            .read_to_end(&mut text)
            .reading(path)?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let content: Content = serde_json::from_slice(text).map_err(|source| Error::Json {
            path: path.clone(),
            source,
        })?;
        let refuse = |problem| {
            let path = path.clone();
            Err(Error::File { path, problem })
        };
        let mut examples: Vec<QaExample> = Vec::new();
        let mut ids = HashSet::new();
        for (article, Article { paragraphs }) in content.data.into_iter().enumerate() {
            for (paragraph, Paragraph { context, qas }) in paragraphs.into_iter().enumerate() {
                let context: Arc<str> = context.into();
                let starts = character_starts(&context);
                for (place, question) in qas.into_iter().enumerate() {
                    let Question {
                        id,
                        question,
                        answers,
                        is_impossible,
                    } = question;
                    let example = QaExample {
                        id,
                        question,
                        context: Arc::clone(&context),
                        answers,
                    };
                    let impossible = is_impossible == Some(true) && !example.answers.is_empty();
                    let problem = match impossible {
                        true => Some("it is impossible, but has answers".to_owned()),
                        false if ids.insert(example.id.clone()) => example.problem_given(&starts),
                        false => Some("an earlier question has the same id".to_owned()),
                    };
                    if let Some(problem) = problem {
                        let id = &example.id;
                        return refuse(format!(
                            "data[{article}].paragraphs[{paragraph}].qas[{place}] (`{id}`): {problem}"
                        ));
                    }
                    examples.push(example);
                }
            }
        }
        match examples.is_empty() {
            true => refuse("there are no questions".to_owned()),
            false => Ok(examples),
        }
    }
}
