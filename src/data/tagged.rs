//! Sentences as words with a tag each, and the files that hold them. How the files are
//! written is known to `tag_columns` and `tag_lists`; every failure names the file and the line.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::class_names::class_names;
use super::decompress::{Unpack, open, open_rows};
use super::format::{Format, Syntax};
use super::labels::Labels;
use super::skipped::SkippedRows;
use super::tag_columns::Columns;
use super::tag_kinds::{TagKinds, odd_of};
use super::tag_lists::Lists;
use crate::error::{Error, Result, RowProblem};

/// A sentence: its words, and what is to be learnt about each of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TaggedWords {
    /// The words, in order. One that is empty has a tag like any other, but no tokens, so that
    /// nothing is learnt of it.
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
/// JSON lines (`.jsonl`, `.ndjson`, `.json`) and Parquet have an object for each sentence, with
/// the lists `words` and `tags` (or `tokens` and `ner_tags`, as on the Hub). Tags may be ids:
/// they become names where the file has them, as Parquet files of the Hub do
/// ([`class_names`](Self::class_names)), or where ids may stand for the
/// [`known_labels`](Self::known_labels) ([`Labels::or_ids`]).
///
/// Any other file has a word on each line, columns between tabs (if the first line with a word
/// has one) or else between runs of spaces, and blank lines between sentences. Lines that begin
/// with `-DOCSTART-` end a sentence too. A file with ten columns between tabs of which the first
/// numbers the words is CoNLL-U (or CoNLL-X): by default its words are in column 1 and its tags
/// (UPOS) in column 3, and lines of multiword tokens (`1-2`) and empty nodes (`1.1`) are left
/// out.
///
/// A line before the words of a sentence that begins with `#` is a comment if it has another
/// number of columns than the words, or a tag that no word has (a warning counts the latter).
/// Any other line with `#` is a word, such as a hashtag.
///
/// Each file may be compressed (`.gz`, `.xz`).
///
/// ```no_run
/// # use bertfit::TaggedFile;
/// let train = TaggedFile::open("train.conll").read()?;
/// assert_eq!(train[0].words.len(), train[0].tags.len());
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TaggedFile {
    pub(super) path: PathBuf,
    unpack: Unpack,
    pub(super) words: Place,
    pub(super) tags: Place,
    pub(super) known: Option<Labels>,
    pub(super) skipped: Option<SkippedRows>,
}

/// Where words or tags are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Of the columns; `None` where the file decides.
    pub(super) column: Option<usize>,
    /// In JSON: the first of these keys that there is.
    pub(super) keys: Vec<String>,
}

/// A sentence as it was read.
pub(super) struct Sentence {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    pub(super) content: TaggedWords,
}

impl TaggedFile {
    /// The file at `path`, with words in the first column and tags in the last. It is
    /// opened when it is read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        let place = |names: &[&str]| Place {
            column: None,
            keys: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Self {
            path: path.as_ref().to_owned(),
            unpack: Unpack::default(),
            words: place(&["words", "tokens"]),
            tags: place(&["tags", "ner_tags", "pos_tags", "labels"]),
            known: None,
            skipped: None,
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

    /// A tag that is not one of these, nor the id of one where [`Labels::or_ids`] allows it, is
    /// an error at its line.
    pub fn known_labels(mut self, labels: &Labels) -> Self {
        self.known = Some(labels.clone());
        self
    }

    /// Leaves out sentences that cannot be used and adds them to `skipped`, instead of ending
    /// with an error at the first one.
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

    /// All sentences with their tags, in the order of the file.
    ///
    /// # Errors
    /// - [`Error::Read`]: the file cannot be opened, read or decompressed.
    /// - [`Error::File`]: it has no sentences, or its first column numbers the words and no
    ///   other was asked for.
    /// - [`Error::Line`]: a line is not UTF-8 or not an object, has another number of
    ///   columns than the first, or lacks a word or a tag; a sentence has no words, or
    ///   more or fewer tags; a tag is not a known one, or marks no entity where others do.
    pub fn read(&self) -> Result<Vec<TaggedWords>> {
        let sentences = self.read_with(true)?;
        let words = sentences.iter().flat_map(|sentence| &sentence.words);
        match words.filter(|word| word.is_empty()).count() {
            0 => {}
            empty => log::warn!(
                "{}: empty words: {empty}; nothing is learnt of their tags",
                self.path.display()
            ),
        }
        Ok(sentences)
    }

    /// All sentences without their tags, for prediction. In JSON lines a sentence may
    /// have no words.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what concerns tags.
    pub fn read_words(&self) -> Result<Vec<Vec<String>>> {
        let sentences = self.read_with(false)?.into_iter();
        Ok(sentences.map(|sentence| sentence.words).collect())
    }

    /// Whether the file has a place for tags, as its first sentence tells; a file to predict may
    /// lack it.
    ///
    /// # Errors
    /// When the file cannot be opened, read or decompressed.
    pub fn has_tags(&self) -> Result<bool> {
        match self.is_json() {
            true => Lists::new(self).has_tags(),
            false => Ok(Columns::new(self)?.is_some_and(|columns| columns.has_tags())),
        }
    }

    /// Whether any word has a tag that says something: one of the
    /// [`known_labels`](Self::known_labels), or, where these are not set, one that is no
    /// placeholder (empty, `null`, `-1` or `_`).
    ///
    /// # Errors
    /// When the file cannot be opened, read or decompressed, or is not what its name says.
    pub fn has_usable_tags(&self) -> Result<bool> {
        match self.is_json() {
            true => Lists::new(self).has_usable_tags(),
            false => match Columns::new(self)? {
                Some(columns) => columns.has_usable_tags(),
                None => Ok(false),
            },
        }
    }

    /// The names of the tags whose ids stand in the file, in the order of the ids, where the
    /// file says them, as Parquet files of the Hugging Face Hub do.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn class_names(&self) -> Result<Option<Labels>> {
        for column in &self.tags.keys {
            if let Some(names) = class_names(&self.path, column)? {
                return Ok(Some(names));
            }
        }
        Ok(None)
    }

    fn is_json(&self) -> bool {
        matches!(Format::of(&self.path), Ok(Format::JsonLines))
    }

    fn read_with(&self, tags: bool) -> Result<Vec<TaggedWords>> {
        let sentences = match self.is_json() {
            true => Lists::new(self).read(tags)?,
            false => match Columns::new(self)? {
                Some(columns) => columns.read(tags)?,
                None => Vec::new(),
            },
        };
        match sentences.is_empty() {
            true => Err(self.refuse("there are no sentences")),
            false => Ok(sentences),
        }
    }

    /// The lines of columns.
    pub(super) fn lines(&self) -> Result<impl BufRead + use<>> {
        open(&self.path, self.unpack)
    }

    /// The objects of JSON lines, of a list or of Parquet, one a line.
    pub(super) fn objects(&self) -> Result<impl BufRead + use<>> {
        open_rows(&self.path, self.unpack, Syntax::JsonLines)
    }

    pub(super) fn refuse(&self, problem: impl Into<String>) -> Error {
        Error::File {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    /// The name of a tag, if it is one of those that are known.
    pub(super) fn check(&self, label: String) -> Result<String, RowProblem> {
        let Some(known) = &self.known else {
            return Ok(label);
        };
        match known.resolve(&label) {
            Some(name) => Ok(name.to_owned()),
            None => {
                let known = known.names().to_vec();
                Err(RowProblem::UnknownLabel { label, known })
            }
        }
    }

    /// Whether a tag says something.
    pub(super) fn is_usable(&self, tag: &str) -> bool {
        match &self.known {
            Some(known) => known.resolve(tag).is_some(),
            None => !["", "_", "-1"].contains(&tag),
        }
    }

    /// Takes the error of a sentence that is to be left out.
    ///
    /// # Errors
    /// The error itself, if none is, or it is not about a single sentence.
    pub(super) fn leave_out(&self, error: Error) -> Result<()> {
        match &self.skipped {
            Some(skipped) => skipped.take(error),
            None => Err(error),
        }
    }

    /// The sentences without those that have a tag which marks no entity where others do.
    ///
    /// # Errors
    /// That of the first such tag, if none is to be left out.
    pub(super) fn leave_out_odd(
        &self,
        kinds: &TagKinds,
        field: &str,
        mut sentences: Vec<Sentence>,
        error: impl Fn(u64, RowProblem) -> Error,
    ) -> Result<Vec<TaggedWords>> {
        if let Some((line, problem)) = kinds.odd_one(field) {
            if self.skipped.is_none() {
                return Err(error(line, problem));
            }
            let mut kept = Vec::with_capacity(sentences.len());
            for sentence in sentences {
                match odd_of(&sentence.content.tags, field) {
                    Some(problem) => self.leave_out(error(sentence.line, problem))?,
                    None => kept.push(sentence),
                }
            }
            sentences = kept;
        }
        let contents = sentences.into_iter().map(|sentence| sentence.content);
        Ok(contents.collect())
    }
}

impl Place {
    fn set(&mut self, column: super::Column) {
        match column {
            super::Column::Name(name) => self.keys = vec![name],
            super::Column::Index(index) => self.column = Some(index),
        }
    }
}
