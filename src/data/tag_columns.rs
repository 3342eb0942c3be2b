//! Tagged sentences in columns, as in the CoNLL tasks: a word on each line. What a line that
//! begins with `#` is depends on the lines that do not.

use std::collections::BTreeSet;
use std::io::Read;

use super::lines::Lines;
use super::tag_kinds::TagKinds;
use super::tag_layout::{Fields, Layout, before_mark, next};
use super::tagged::{Sentence, TaggedFile, TaggedWords};
use crate::error::{Error, PathContext, Result, RowProblem, shown};

/// A file in columns.
pub(super) struct Columns<'a> {
    file: &'a TaggedFile,
    content: Vec<u8>,
    layout: Layout,
}

impl<'a> Columns<'a> {
    /// The columns of a file; `None` if it has no words.
    ///
    /// # Errors
    /// When it cannot be opened, read or decompressed, or a line before the first word is not
    /// UTF-8.
    pub(super) fn new(file: &'a TaggedFile) -> Result<Option<Self>> {
        let mut content = Vec::new();
        file.lines()?
            .read_to_end(&mut content)
            .reading(&file.path)?;
        let layout = Layout::find(file, &content)?;
        Ok(layout.map(|layout| Self {
            file,
            content,
            layout,
        }))
    }

    fn lines(&self) -> Lines<&[u8]> {
        Lines::new(self.content.as_slice(), 1, &self.file.path)
    }

    pub(super) fn has_tags(&self) -> bool {
        self.layout.has_tags(self.file)
    }

    pub(super) fn has_usable_tags(&self) -> Result<bool> {
        if !self.has_tags() {
            return Ok(false);
        }
        let mut lines = self.lines();
        while next(self.file, &mut lines)? {
            if let Fields::Word(fields) = Fields::of(lines.content(), self.layout.tabs)
                && fields.len() == self.layout.count
                && let Some(tag) = fields.get(self.layout.tags)
                && self.file.is_usable(tag)
                && !self.says_nothing(tag)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What CoNLL-U writes where there is no tag.
    fn says_nothing(&self, tag: &str) -> bool {
        self.layout.numbered && tag == "_"
    }

    /// All sentences, with tags or without.
    pub(super) fn read(&self, tags: bool) -> Result<Vec<TaggedWords>> {
        let mut lines = self.lines();
        let mut reading = Reading {
            columns: self,
            with_tags: tags,
            sentences: Vec::new(),
            open: None,
            doubts: Vec::new(),
            sure: BTreeSet::new(),
            kinds: TagKinds::default(),
        };
        loop {
            match lines.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    reading.fail(lines.number(), error)?;
                    continue;
                }
            }
            let number = lines.number();
            match Fields::of(lines.content(), self.layout.tabs) {
                Fields::Break => reading.end_sentence()?,
                Fields::Word(fields) => {
                    if let Err(problem) = reading.line(number, &fields) {
                        reading.fail(number, lines.error(number, problem))?;
                    }
                }
            }
        }
        reading.end_sentence()?;
        reading.finish(|line, problem| lines.error(line, problem))
    }
}

/// What lines become, as they are read.
struct Reading<'a> {
    columns: &'a Columns<'a>,
    with_tags: bool,
    sentences: Vec<Sentence>,
    /// The sentence that the next word belongs to.
    open: Option<Open>,
    /// Lines before the words of sentences that are words or comments.
    doubts: Vec<Doubt>,
    /// The tags of all other words.
    sure: BTreeSet<String>,
    kinds: TagKinds,
}

struct Open {
    sentence: Sentence,
    /// The first line of it that cannot be used.
    error: Option<Error>,
}

/// A line that has all columns, but begins with `#` and stands before the words of a sentence.
struct Doubt {
    /// Of the sentences that are kept.
    sentence: usize,
    line: u64,
    word: String,
    tag: String,
}

impl Reading<'_> {
    fn open(&mut self, line: u64) -> &mut Open {
        self.open.get_or_insert_with(|| Open {
            sentence: Sentence {
                line,
                content: TaggedWords::default(),
            },
            error: None,
        })
    }

    /// Ends the reading with the error of a line, or keeps it for its sentence, which is left
    /// out.
    fn fail(&mut self, line: u64, error: Error) -> Result<()> {
        if self.columns.file.skipped.is_none() || !matches!(error, Error::Line { .. }) {
            return Err(error);
        }
        self.open(line).error.get_or_insert(error);
        Ok(())
    }

    fn line(&mut self, line: u64, fields: &[&str]) -> Result<(), RowProblem> {
        let Columns { file, layout, .. } = self.columns;
        let open = self.open.as_ref();
        let first = open.is_none_or(|open| open.sentence.content.words.is_empty());
        let may_be_comment = first && fields[0].starts_with('#') && !layout.hashes;
        let (expected, found) = (layout.count, fields.len());
        let other = layout.numbered && (may_be_comment || before_mark(fields[0]) != fields[0]);
        match found == expected {
            false if may_be_comment => return Ok(()),
            false => return Err(RowProblem::Columns { expected, found }),
            true if other => return Ok(()),
            true => {}
        }
        let word = fields.get(layout.words);
        let word = word.ok_or_else(|| absent(layout.words, "the word", found))?;
        let tag = layout.has_tags(file).then(|| fields[layout.tags]);
        match tag {
            Some(tag) if may_be_comment => {
                // Only a sentence with words is counted.
                self.doubts.push(Doubt {
                    sentence: self.sentences.len(),
                    line,
                    word: (*word).to_owned(),
                    tag: tag.to_owned(),
                });
                self.open(line);
                return Ok(());
            }
            Some(tag) if !self.sure.contains(tag) => {
                self.sure.insert(tag.to_owned());
            }
            _ => {}
        }
        let tag = match (self.with_tags, tag) {
            (false, _) => None,
            (true, None) => return Err(absent(layout.tags, "the tag", found)),
            (true, Some(tag)) => Some(self.tag(line, tag)?),
        };
        let content = &mut self.open(line).sentence.content;
        content.words.push((*word).to_owned());
        content.tags.extend(tag);
        Ok(())
    }

    /// The name of a word's tag.
    fn tag(&mut self, line: u64, tag: &str) -> Result<String, RowProblem> {
        let problem = match tag {
            "" => "the tag is empty",
            _ if self.columns.says_nothing(tag) => "the tag is `_`, which says nothing",
            _ => {
                self.kinds.see(line, tag);
                return self.columns.file.check(tag.to_owned());
            }
        };
        Err(field(self.columns.layout.tags, problem))
    }

    fn end_sentence(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let Some(error) = open.error else {
            self.sentences.push(open.sentence);
            return Ok(());
        };
        let here = self.sentences.len();
        while self.doubts.pop_if(|doubt| doubt.sentence == here).is_some() {}
        self.columns.file.leave_out(error)
    }

    fn finish(mut self, error: impl Fn(u64, RowProblem) -> Error) -> Result<Vec<TaggedWords>> {
        let Columns { file, layout, .. } = self.columns;
        self.settle_doubts(&error)?;
        self.sentences
            .retain(|sentence| !sentence.content.words.is_empty());
        self.refuse_numbers()?;
        file.leave_out_odd(&self.kinds, &layout.tags.to_string(), self.sentences, error)
    }

    /// Tells words from comments: they have the tags of others.
    fn settle_doubts(&mut self, error: impl Fn(u64, RowProblem) -> Error) -> Result<()> {
        let file = self.columns.file;
        let known = |tag: &str| {
            let known = file.known.as_ref();
            known.is_some_and(|known| known.get(tag).is_some())
        };
        let (mut comments, mut first) = (0, None);
        let doubts = std::mem::take(&mut self.doubts);
        for doubts in doubts.chunk_by(|a, b| a.sentence == b.sentence) {
            let mut before = TaggedWords::default();
            let mut failed = None;
            for Doubt {
                line, word, tag, ..
            } in doubts
            {
                if !self.sure.is_empty() && !self.sure.contains(tag) && !known(tag) {
                    comments += 1;
                    first.get_or_insert((*line, tag.clone()));
                    continue;
                }
                before.words.push(word.clone());
                if self.with_tags {
                    match self.tag(*line, tag) {
                        Ok(tag) => before.tags.push(tag),
                        Err(problem) => failed = failed.or(Some(error(*line, problem))),
                    }
                }
            }
            let content = &mut self.sentences[doubts[0].sentence].content;
            match failed {
                Some(error) => {
                    file.leave_out(error)?;
                    *content = TaggedWords::default();
                }
                None => {
                    content.words.splice(0..0, before.words);
                    content.tags.splice(0..0, before.tags);
                }
            }
        }
        if let Some((line, tag)) = first {
            log::warn!(
                "{}: {comments} lines begin with # and have a tag that no word has; they are left \
                 out as comments, the first in line {line} (`{}`)",
                file.path.display(),
                shown(&tag)
            );
        }
        Ok(())
    }

    /// Refuses words that are 1, 2, 3, … in each sentence, if their column was not asked for.
    fn refuse_numbers(&self) -> Result<()> {
        let Columns { file, layout, .. } = self.columns;
        if layout.numbered || layout.count < 2 || file.words.column.is_some() {
            return Ok(());
        }
        let contents = || {
            self.sentences
                .iter()
                .map(|sentence| &sentence.content.words)
        };
        let counts = |words: &Vec<String>| {
            let mut numbers = words.iter().zip(1..);
            numbers.all(|(word, number): (_, u64)| *word == number.to_string())
        };
        match contents().any(|words| words.len() > 1) && contents().all(counts) {
            true => Err(file.refuse(
                "the first column numbers the words of each sentence: name the column of the \
                 words (--text-column)",
            )),
            false => Ok(()),
        }
    }
}

fn field(column: usize, problem: impl Into<String>) -> RowProblem {
    RowProblem::Field {
        field: column.to_string(),
        problem: problem.into(),
    }
}

fn absent(column: usize, what: &str, columns: usize) -> RowProblem {
    match columns {
        1 => field(column, format!("{what} is absent, there is one column")),
        _ => field(
            column,
            format!("{what} is absent, there are {columns} columns"),
        ),
    }
}
