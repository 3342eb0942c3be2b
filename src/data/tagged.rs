//! Sentences as words with a tag each, and the files that hold them: columns of words
//! as in the CoNLL tasks, or JSON lines. Every failure names the file and the line.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::decompress::{Unpack, open, open_rows};
use super::format::{Format, Syntax};
use super::labels::Labels;
use super::lines::Lines;
use super::records::{Record, Records, kind};
use super::tag_kinds::TagKinds;
use crate::error::{Error, Result, RowProblem};

/// A sentence: its words, and what is to be learnt about each of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TaggedWords {
    /// The words, in order.
    pub words: Vec<String>,
    /// The tag of each word, such as `B-PER`, `O` or `NOUN`.
    pub tags: Vec<String>,
}

impl TaggedWords {
    /// The distinct tags of some sentences, sorted as [`Labels::sorted`] does.
    ///
    /// # Errors
    /// When there is no tag, or one is empty.
    pub fn labels(sentences: &[Self]) -> Result<Labels> {
        Labels::sorted(sentences.iter().flat_map(|sentence| &sentence.tags))
    }
}

/// A file of tagged sentences.
///
/// JSON lines (`.jsonl`, `.ndjson`, `.json`) have an object for each sentence, with the
/// lists `words` and `tags` (or `tokens` and `ner_tags`, as on the Hub). Any other file
/// has a word on each line, columns between tabs (if the first line with a word has one)
/// or else between runs of spaces, and blank lines between sentences. Lines that begin
/// with `-DOCSTART-` end a sentence too. Each file may be compressed (`.gz`, `.xz`).
///
/// ```no_run
/// # use bertfit::TaggedFile;
/// let train = TaggedFile::open("train.conll").read()?;
/// assert_eq!(train[0].words.len(), train[0].tags.len());
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TaggedFile {
    path: PathBuf,
    unpack: Unpack,
    words: Place,
    tags: Place,
    known: Option<Labels>,
}

/// Where words or tags are.
#[derive(Debug, Clone)]
struct Place {
    /// Of the columns; counted from the last one if it is `None`.
    column: Option<usize>,
    /// In JSON: the first of these keys that there is.
    keys: Vec<String>,
}

impl TaggedFile {
    /// The file at `path`, with words in the first column and tags in the last. It is
    /// opened when it is read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        let keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            path: path.as_ref().to_owned(),
            unpack: Unpack::default(),
            words: Place {
                column: Some(0),
                keys: keys(&["words", "tokens"]),
            },
            tags: Place {
                column: None,
                keys: keys(&["tags", "ner_tags", "pos_tags", "labels"]),
            },
            known: None,
        }
    }

    /// The column of the words, from 0, or their key in JSON lines.
    pub fn words(mut self, column: impl Into<super::Column>) -> Self {
        self.words.set(column.into());
        self
    }

    /// The column of the tags, from 0, or their key in JSON lines.
    pub fn tags(mut self, column: impl Into<super::Column>) -> Self {
        self.tags.set(column.into());
        self
    }

    /// A tag that is not one of these is an error at its line.
    pub fn known_labels(mut self, labels: &Labels) -> Self {
        self.known = Some(labels.clone());
        self
    }

    /// Lifts the limits of a compressed file, for one that you trust: by default it may not
    /// become more than 64 MiB and 200 times its size, nor ask for more than 256 MiB of memory.
    pub fn unpack_everything(mut self) -> Self {
        self.unpack = Unpack::Everything;
        self
    }

    /// All sentences with their tags, in the order of the file.
    ///
    /// # Errors
    /// - [`Error::Read`]: the file cannot be opened, read or decompressed.
    /// - [`Error::File`]: it has no sentences.
    /// - [`Error::Line`]: a line is not UTF-8 or not an object, has another number of
    ///   columns than the first, or lacks a word or a tag; a sentence has no words, or
    ///   more or fewer tags; a tag is not a known one, or marks no entity where others do.
    pub fn read(&self) -> Result<Vec<TaggedWords>> {
        self.read_with(Some(&self.tags))
    }

    /// All sentences without their tags, for prediction. In JSON lines a sentence may
    /// have no words.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what concerns tags.
    pub fn read_words(&self) -> Result<Vec<Vec<String>>> {
        let sentences = self.read_with(None)?;
        Ok(sentences
            .into_iter()
            .map(|sentence| sentence.words)
            .collect())
    }

    /// Whether the file has tags, as its first sentence tells; a file to predict may
    /// lack them.
    ///
    /// # Errors
    /// When the file cannot be opened, read or decompressed.
    pub fn has_tags(&self) -> Result<bool> {
        if self.is_json() {
            let reader = open_rows(&self.path, self.unpack, Syntax::JsonLines)?;
            let mut records = Records::new(reader, Syntax::JsonLines, 1, &self.path);
            return Ok(match records.read()? {
                Some((_, Record::Object(object))) => self.tags.key(object).is_some(),
                _ => false,
            });
        }
        let reader = open(&self.path, self.unpack)?;
        let mut lines = Lines::new(reader, 1, &self.path);
        while lines.advance()? {
            let fields = Fields::of(lines.content(), lines.content().contains('\t'));
            if let Fields::Word(fields) = fields {
                let least = self
                    .words
                    .column
                    .unwrap_or(0)
                    .max(self.tags.column.unwrap_or(1));
                return Ok(fields.len() > least);
            }
        }
        Ok(false)
    }

    fn is_json(&self) -> bool {
        matches!(Format::of(&self.path), Ok(Format::JsonLines))
    }

    fn read_with(&self, tags: Option<&Place>) -> Result<Vec<TaggedWords>> {
        let sentences = match self.is_json() {
            true => {
                let reader = open_rows(&self.path, self.unpack, Syntax::JsonLines)?;
                self.read_objects(reader, tags)?
            }
            false => self.read_columns(open(&self.path, self.unpack)?, tags)?,
        };
        if sentences.is_empty() {
            return Err(Error::File {
                path: self.path.clone(),
                problem: "there are no sentences".to_owned(),
            });
        }
        Ok(sentences)
    }

    fn read_columns(&self, reader: impl BufRead, tags: Option<&Place>) -> Result<Vec<TaggedWords>> {
        let mut sentences = Vec::new();
        let mut sentence = TaggedWords::default();
        let mut lines = Lines::new(reader, 1, &self.path);
        // Of the first line with a word: whether it has tabs, and its number of columns.
        let mut layout = None;
        let mut kinds = TagKinds::default();
        while lines.advance()? {
            let line = lines.content();
            let tabs = layout.map_or_else(|| line.contains('\t'), |(tabs, _)| tabs);
            let fields = match Fields::of(line, tabs) {
                Fields::Word(fields) => fields,
                Fields::Break => {
                    if !sentence.words.is_empty() {
                        sentences.push(std::mem::take(&mut sentence));
                    }
                    continue;
                }
            };
            let (_, expected) = *layout.get_or_insert((tabs, fields.len()));
            let mut add = || {
                if fields.len() != expected {
                    let found = fields.len();
                    return Err(RowProblem::Columns { expected, found });
                }
                sentence.words.push(self.words.field(&fields, "the word")?);
                if let Some(tags) = tags {
                    let tag = tags.field(&fields, "the tag")?;
                    kinds.see(lines.number(), &tag);
                    sentence.tags.push(self.check(tag)?);
                }
                Ok(())
            };
            add().map_err(|problem| lines.error(lines.number(), problem))?;
        }
        if !sentence.words.is_empty() {
            sentences.push(sentence);
        }
        let columns = layout.map_or(1, |(_, columns)| columns);
        let column = tags.and_then(|tags| tags.column).unwrap_or(columns - 1);
        match kinds.odd_one(&column.to_string()) {
            Some((line, problem)) => Err(lines.error(line, problem)),
            None => Ok(sentences),
        }
    }

    fn read_objects(&self, reader: impl BufRead, tags: Option<&Place>) -> Result<Vec<TaggedWords>> {
        let mut sentences = Vec::new();
        let mut kinds = TagKinds::default();
        let mut records = Records::new(reader, Syntax::JsonLines, 1, &self.path);
        while let Some((line, record)) = records.read()? {
            let Record::Object(object) = record else {
                unreachable!("JSON lines are objects");
            };
            let sentence = self.sentence(object, tags);
            let sentence = sentence.map_err(|problem| records.error(line, problem))?;
            sentence.tags.iter().for_each(|tag| kinds.see(line, tag));
            sentences.push(sentence);
        }
        match kinds.odd_one(&self.tags.keys[0]) {
            Some((line, problem)) => Err(records.error(line, problem)),
            None => Ok(sentences),
        }
    }

    fn sentence(
        &self,
        object: &Map<String, Value>,
        tags: Option<&Place>,
    ) -> Result<TaggedWords, RowProblem> {
        let words = self
            .words
            .list(object, |value| value.as_str().map(str::to_owned))?;
        let Some(tags) = tags else {
            let tags = Vec::new();
            return Ok(TaggedWords { words, tags });
        };
        let of = |problem: String| RowProblem::Field {
            field: tags.keys[0].clone(),
            problem,
        };
        let found = tags.list(object, |value| match value {
            Value::String(tag) => Some(tag.clone()),
            // Ids of classes whose names are elsewhere.
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        })?;
        if words.is_empty() {
            return Err(of("the sentence has no words".to_owned()));
        }
        if words.len() != found.len() {
            return Err(of(format!(
                "{} tags for {} words",
                found.len(),
                words.len()
            )));
        }
        let tags = found.into_iter().map(|tag| match tag.is_empty() {
            true => Err(of("a tag is empty".to_owned())),
            false => self.check(tag),
        });
        let tags = tags.collect::<Result<_, _>>()?;
        Ok(TaggedWords { words, tags })
    }

    /// The tag, if it is one of those that are known.
    fn check(&self, label: String) -> Result<String, RowProblem> {
        match &self.known {
            Some(known) if known.get(&label).is_none() => {
                let known = known.names().to_vec();
                Err(RowProblem::UnknownLabel { label, known })
            }
            _ => Ok(label),
        }
    }
}

impl Place {
    fn set(&mut self, column: super::Column) {
        match column {
            super::Column::Name(name) => self.keys = vec![name],
            super::Column::Index(index) => self.column = Some(index),
        }
    }

    /// The column of a line; not empty.
    fn field(&self, fields: &[&str], what: &str) -> Result<String, RowProblem> {
        let column = self.column.unwrap_or(fields.len() - 1);
        let problem = |problem: String| RowProblem::Field {
            field: column.to_string(),
            problem,
        };
        match fields.get(column) {
            Some(&"") => Err(problem(format!("{what} is empty"))),
            // A lone column holds words.
            Some(_) if self.column.is_none() && fields.len() < 2 => {
                Err(problem(format!("{what} is absent, there is one column")))
            }
            Some(&field) => Ok(field.to_owned()),
            None => {
                let count = fields.len();
                Err(problem(format!(
                    "{what} is absent, there are {count} columns"
                )))
            }
        }
    }

    fn key<'a>(&self, object: &'a Map<String, Value>) -> Option<(&str, &'a Value)> {
        let mut found = self
            .keys
            .iter()
            .filter_map(|key| Some((key.as_str(), object.get(key)?)));
        found.next()
    }

    /// The list under the first key that there is.
    fn list(
        &self,
        object: &Map<String, Value>,
        item: impl Fn(&Value) -> Option<String>,
    ) -> Result<Vec<String>, RowProblem> {
        let problem = |field: &str, problem: String| RowProblem::Field {
            field: field.to_owned(),
            problem,
        };
        let (key, value) = self
            .key(object)
            .ok_or_else(|| problem(&self.keys[0], "absent".to_owned()))?;
        let Value::Array(values) = value else {
            return Err(problem(
                key,
                format!("expected a list, found {}", kind(value)),
            ));
        };
        let items = values.iter().map(|value| {
            let refused = || {
                problem(
                    key,
                    format!("expected a list of strings, found {} in it", kind(value)),
                )
            };
            item(value).ok_or_else(refused)
        });
        items.collect()
    }
}

/// A line of a file in columns.
enum Fields<'a> {
    Word(Vec<&'a str>),
    /// Between two sentences.
    Break,
}

impl<'a> Fields<'a> {
    fn of(line: &'a str, tabs: bool) -> Self {
        // Other white space may be a word's.
        let blank = |c: char| c == ' ' || c == '\t';
        let fields: Vec<&str> = match tabs {
            true => line.split('\t').collect(),
            false => line
                .split(blank)
                .filter(|field| !field.is_empty())
                .collect(),
        };
        match fields.first() {
            None | Some(&"-DOCSTART-") => Self::Break,
            Some(_) if line.chars().all(blank) => Self::Break,
            Some(_) => Self::Word(fields),
        }
    }
}
