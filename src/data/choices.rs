//! Questions with some endings of which one is right, in JSON lines.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::decompress::{Unpack, open};
use super::format::Format;
use super::records::{Record, Records, kind};
use crate::error::{Error, Result, RowProblem};

/// A question (or the beginning of a text) and what may follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChoiceExample {
    /// The question.
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

/// A file of JSON lines, an object for each question: `question` (or `sent1`, or
/// `context`), the list `endings` (or `choices`), and `label`, the index of the right one
/// from 0, which a file to predict may lack.
#[derive(Debug, Clone)]
pub struct ChoiceFile {
    path: PathBuf,
    unpack: Unpack,
    question: Vec<String>,
    endings: Vec<String>,
    label: String,
}

impl ChoiceFile {
    /// The file at `path`, which may be compressed (`.gz`, `.xz`). It is opened when it is
    /// read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        let keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            path: path.as_ref().to_owned(),
            unpack: Unpack::default(),
            question: keys(&["question", "sent1", "context"]),
            endings: keys(&["endings", "choices"]),
            label: "label".to_owned(),
        }
    }

    /// The key of the question.
    pub fn question(mut self, key: impl Into<String>) -> Self {
        self.question = vec![key.into()];
        self
    }

    /// The key of the endings.
    pub fn endings(mut self, key: impl Into<String>) -> Self {
        self.endings = vec![key.into()];
        self
    }

    /// The key of the label; default `label`.
    pub fn label(mut self, key: impl Into<String>) -> Self {
        self.label = key.into();
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
    ///   endings or the label, has fewer than two endings, or a label that is none of them.
    pub fn read(&self) -> Result<Vec<ChoiceExample>> {
        self.read_with(true)
    }

    /// All questions without their labels, for prediction.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what concerns labels.
    pub fn read_questions(&self) -> Result<Vec<ChoiceExample>> {
        self.read_with(false)
    }

    /// Whether the file has labels, as its first line tells; a file to predict may lack them.
    ///
    /// # Errors
    /// When the file cannot be opened, read or decompressed, or its first line is no object.
    pub fn has_label(&self) -> Result<bool> {
        Ok(match self.records()?.read()? {
            Some((_, Record::Object(object))) => object.contains_key(&self.label),
            _ => false,
        })
    }

    fn records(&self) -> Result<Records<impl BufRead + use<>>> {
        let content = open(&self.path, self.unpack)?;
        Ok(Records::new(content, Format::JsonLines, 1, &self.path))
    }

    fn read_with(&self, labels: bool) -> Result<Vec<ChoiceExample>> {
        let mut records = self.records()?;
        let mut examples = Vec::new();
        while let Some((line, record)) = records.read()? {
            let Record::Object(object) = record else {
                unreachable!("JSON lines are objects");
            };
            let example = self.example(object, labels);
            examples.push(example.map_err(|problem| records.error(line, problem))?);
        }
        match examples.is_empty() {
            true => Err(Error::File {
                path: self.path.clone(),
                problem: "there are no questions".to_owned(),
            }),
            false => Ok(examples),
        }
    }

    fn example(
        &self,
        object: &Map<String, Value>,
        labels: bool,
    ) -> Result<ChoiceExample, RowProblem> {
        let problem = |field: &str, problem: String| RowProblem::Field {
            field: field.to_owned(),
            problem,
        };
        let found = |keys: &[String]| {
            let mut values = keys
                .iter()
                .filter_map(|key| Some((key.clone(), object.get(key)?)));
            values
                .next()
                .ok_or_else(|| problem(&keys[0], "absent".to_owned()))
        };
        let (key, value) = found(&self.question)?;
        let Value::String(question) = value else {
            let found = kind(value);
            return Err(problem(&key, format!("expected a string, found {found}")));
        };
        let (key, value) = found(&self.endings)?;
        let Value::Array(values) = value else {
            let found = kind(value);
            let rule = format!("expected a list of strings, found {found}");
            return Err(problem(&key, rule));
        };
        let text = |value: &Value| {
            let rule = || format!("expected a list of strings, found {} in it", kind(value));
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| problem(&key, rule()))
        };
        let endings = values.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let index = |value: &Value| {
            // Some files have the index as a string.
            let text = value.as_str().and_then(|text| text.parse::<u64>().ok());
            let index = value.as_u64().or(text);
            let refused = || problem(&self.label, format!("expected an index, found {value}"));
            index.map(|index| index as usize).ok_or_else(refused)
        };
        let label = match (labels, object.get(&self.label)) {
            (false, _) => None,
            (true, Some(label)) => Some(index(label)?),
            (true, None) => return Err(problem(&self.label, "absent".to_owned())),
        };
        let example = ChoiceExample {
            question: question.clone(),
            endings,
            label,
        };
        match example.problem() {
            Some(text) => Err(problem(&key, text)),
            None => Ok(example),
        }
    }
}
