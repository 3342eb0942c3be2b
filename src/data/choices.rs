//! Questions with some endings of which one is right, in JSON lines.

mod forms;
mod passage;

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::forms::{Found, Keys};
use super::decompress::{Unpack, open_rows};
use super::format::{Format, Syntax};
use super::records::{Record, Records};
use super::skipped::SkippedRows;
use crate::error::{Error, Result, RowProblem};

/// A question (or the beginning of a text) and what may follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChoiceExample {
    /// The question, or the text that question and endings are about.
    pub question: String,
    /// What it may be followed by, two at least.
    pub endings: Vec<String>,
    /// Which of them is right, from 0; `None` where it is to be predicted.
    pub label: Option<usize>,
}

impl ChoiceExample {
    /// Says why the question cannot be used, if it cannot.
    pub(crate) fn problem(&self) -> Option<String> {
        let endings = self.endings.len();
        match self.label {
            _ if endings < 2 => Some(format!("expected at least 2 endings, found {endings}")),
            Some(label) if label >= endings => Some(format!(
                "label {label} of {endings} endings, the first is 0"
            )),
            _ => None,
        }
    }
}

/// A file of JSON lines, a list of objects, or Parquet, with an object for each question, as the
/// usual data sets are published: SWAG, HellaSwag, RACE, CommonsenseQA, ARC, ReClor, CosmosQA,
/// SocialIQA, PIQA and their like.
///
/// - The text is `context`, `article`, `passage`, `ctx`, `sent1`, `ctx_a` or `premise`, the
///   question `question`, `sent2`, `ctx_b`, `question_stem`, `goal` or `sentence`. Where there are
///   both, the text is the first of the pair that the model reads, and the question with an ending
///   after it the second, as in transformers' `run_swag.py`; an ending stands in the place of a
///   gap (`_`) in `question`, as in RACE's scripts. Another field that looks like a text is an
///   error, unless [`context`](Self::context) says which is meant.
/// - The endings are a list in `endings`, `choices`, `options` or `answers`, or in fields of
///   their own: `ending0`, `ending1`, …; `answer0`, …; `answerA`, …; `choice1`, …; `sol1`, ….
/// - The right one is `label`, `answer` or `answerKey`: its index from 0, its letter, the name
///   that the list has for it, or its text. A file to predict may lack it.
#[derive(Debug, Clone)]
pub struct ChoiceFile {
    path: PathBuf,
    unpack: Unpack,
    keys: Keys,
    skipped: Option<SkippedRows>,
}

impl ChoiceFile {
    /// The file at `path`, which may be compressed (`.gz`, `.xz`). It is opened when it is
    /// read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            unpack: Unpack::default(),
            keys: Keys::default(),
            skipped: None,
        }
    }

    /// The key of the question.
    pub fn question(mut self, key: impl Into<String>) -> Self {
        self.keys.question = Some(key.into());
        self
    }

    /// The key of the text that the question is about, or `None` where there is none, whatever
    /// other fields hold.
    pub fn context(mut self, key: Option<&str>) -> Self {
        self.keys.context = Some(key.map(str::to_owned));
        self
    }

    /// The key of the endings.
    pub fn endings(mut self, key: impl Into<String>) -> Self {
        self.keys.endings = Some(key.into());
        self
    }

    /// The key of the label; default `label`, `answer` or `answerKey`.
    pub fn label(mut self, key: impl Into<String>) -> Self {
        self.keys.label = Some(key.into());
        self
    }

    /// Leaves out questions that cannot be used, and adds them to `skipped`; by default the first
    /// of them is an error.
    pub fn skip_bad_rows(mut self, skipped: &SkippedRows) -> Self {
        self.skipped = Some(skipped.clone());
        self
    }

    /// Lifts the limits of a compressed file, for one that you trust: by default it may not
    /// become more than 64 MiB and 200 times its size, nor ask for more than 256 MiB of memory.
    pub fn unpack_everything(mut self) -> Self {
        self.unpack = Unpack::Everything;
        self
    }

    /// All questions with their labels, in the order of the file.
    ///
    /// # Errors
    /// - [`Error::Read`]: the file cannot be opened, read or decompressed.
    /// - [`Error::File`]: it has no questions.
    /// - [`Error::Line`]: a line is not UTF-8 or not an object, lacks the question, the
    ///   endings or the label, has fewer than two endings, a label that is none of them, or a text
    ///   that would not be read.
    pub fn read(&self) -> Result<Vec<ChoiceExample>> {
        self.read_with(|found| {
            let label = found.label?;
            Ok(ChoiceExample {
                label: Some(label),
                ..found.example
            })
        })
    }

    /// All questions without their labels, for prediction.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what concerns labels.
    pub fn read_questions(&self) -> Result<Vec<ChoiceExample>> {
        self.read_with(|found| Ok(found.example))
    }

    /// All questions of a file to predict, and whether they have their labels: not where no
    /// question has one that can be used (each is absent, empty, null, -1, or none of the
    /// endings), with a warning that says why.
    ///
    /// # Errors
    /// As [`read`](Self::read), also where only some questions have a label.
    pub fn read_if_labelled(&self) -> Result<(Vec<ChoiceExample>, bool)> {
        let mut example = None;
        let labelled = self.read_with(|found| {
            let endings = found.example.endings.len();
            let label = found.label.ok().filter(|&label| label < endings);
            example = example.take().or(found.written);
            Ok(ChoiceExample {
                label,
                ..found.example
            })
        })?;
        if labelled.iter().any(|question| question.label.is_some()) {
            return Ok((self.read()?, true));
        }
        if let Some(label) = example {
            log::warn!(
                "{}: no row has a label that can be used (the first is {label}), so the rows are \
                 predicted and not evaluated",
                self.path.display()
            );
        }
        Ok((labelled, false))
    }

    /// Whether the file has labels, as its first line tells; a file to predict may lack them.
    ///
    /// # Errors
    /// When the file cannot be opened, read or decompressed, or its first line is no object.
    pub fn has_label(&self) -> Result<bool> {
        Ok(match self.records()?.read()? {
            Some((_, Record::Object(object))) => {
                let questions = passage::questions(object).unwrap_or_default();
                questions
                    .first()
                    .is_some_and(|question| self.keys.has_label(question))
            }
            _ => false,
        })
    }

    fn records(&self) -> Result<Records<impl BufRead + use<>>> {
        if let Ok(Format::Csv | Format::Tsv) = Format::of(&self.path) {
            return Err(Error::File {
                path: self.path.clone(),
                problem: "tables have no lists of endings: write it as JSON lines, a list of \
                          objects, or Parquet"
                    .to_owned(),
            });
        }
        let content = open_rows(&self.path, self.unpack, Syntax::JsonLines)?;
        Ok(Records::new(content, Syntax::JsonLines, 1, &self.path))
    }

    fn read_with(
        &self,
        mut take: impl FnMut(Found) -> Result<ChoiceExample, RowProblem>,
    ) -> Result<Vec<ChoiceExample>> {
        let mut records = self.records()?;
        let mut examples = Vec::new();
        let mut skipped = 0;
        loop {
            let read = match records.read() {
                Ok(None) => break,
                Ok(Some((line, Record::Object(object)))) => {
                    let examples = self.examples(object, &mut take).into_iter();
                    let located = |example: Result<_, _>| {
                        example.map_err(|problem| records.error(line, problem))
                    };
                    examples.map(located).collect()
                }
                Ok(Some(_)) => unreachable!("JSON lines are objects"),
                Err(error) => vec![Err(error)],
            };
            for example in read {
                match (example, &self.skipped) {
                    (Ok(example), _) => examples.push(example),
                    (Err(error), Some(list)) => {
                        list.take(error)?;
                        skipped += 1;
                    }
                    (Err(error), None) => return Err(error),
                }
            }
        }
        let problem = match (examples.is_empty(), skipped) {
            (false, _) => return Ok(examples),
            (true, 0) => "there are no questions",
            (true, _) => "no question can be used",
        };
        Err(Error::File {
            path: self.path.clone(),
            problem: problem.to_owned(),
        })
    }

    fn examples(
        &self,
        object: &Map<String, Value>,
        take: &mut impl FnMut(Found) -> Result<ChoiceExample, RowProblem>,
    ) -> Vec<Result<ChoiceExample, RowProblem>> {
        match passage::questions(object) {
            Ok(questions) => questions
                .iter()
                .map(|question| self.example(question, take))
                .collect(),
            Err(problem) => vec![Err(problem)],
        }
    }

    fn example(
        &self,
        object: &Map<String, Value>,
        take: &mut impl FnMut(Found) -> Result<ChoiceExample, RowProblem>,
    ) -> Result<ChoiceExample, RowProblem> {
        let found = self.keys.find(object)?;
        let key = found.endings_key.clone();
        let example = take(found)?;
        match example.problem() {
            Some(problem) => Err(RowProblem::Field {
                field: key,
                problem,
            }),
            None => Ok(example),
        }
    }
}
