//! What stands in which column of a file of tagged words, as its first line with a word tells.

use super::lines::Lines;
use super::tagged::TaggedFile;
use crate::error::{Error, Result};

/// What the first line with a word says of all lines.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) tabs: bool,
    pub(super) count: usize,
    /// The columns of words and tags; the latter may not be there.
    pub(super) words: usize,
    pub(super) tags: usize,
    /// Whether the first column numbers words as in CoNLL-U.
    pub(super) numbered: bool,
    /// Whether all lines with words begin with `#`.
    pub(super) hashes: bool,
}

/// A line of a file in columns.
pub(super) enum Fields<'a> {
    Word(Vec<&'a str>),
    /// Between two sentences.
    Break,
}

impl<'a> Fields<'a> {
    pub(super) fn of(line: &'a str, tabs: bool) -> Self {
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

impl Layout {
    pub(super) fn find(file: &TaggedFile, content: &[u8]) -> Result<Option<Self>> {
        let mut lines = Lines::new(content, 1, &file.path);
        let mut first = None;
        while next(file, &mut lines)? {
            let line = lines.content();
            if let Fields::Word(fields) = Fields::of(line, line.contains('\t')) {
                let layout = Self::new(file, line, &fields);
                if !layout.hashes {
                    return Ok(Some(layout));
                }
                first.get_or_insert(layout);
            }
        }
        Ok(first)
    }

    fn new(file: &TaggedFile, line: &str, fields: &[&str]) -> Self {
        let tabs = line.contains('\t');
        let count = fields.len();
        // CoNLL-U and CoNLL-X: ID, FORM, LEMMA, UPOS, …
        let numbered = tabs && count == 10 && ["0", "1"].contains(&before_mark(fields[0]));
        let (words, tags) = if numbered { (1, 3) } else { (0, count - 1) };
        Self {
            tabs,
            count,
            words: file.words.column.unwrap_or(words),
            tags: file.tags.column.unwrap_or(tags),
            numbered,
            hashes: line.starts_with('#'),
        }
    }

    /// A lone column holds words.
    pub(super) fn has_tags(&self, file: &TaggedFile) -> bool {
        match file.tags.column {
            Some(column) => column < self.count,
            None => self.count > 1,
        }
    }
}

/// Goes to the next line that can be read.
pub(super) fn next(file: &TaggedFile, lines: &mut Lines<&[u8]>) -> Result<bool> {
    loop {
        match lines.advance() {
            // Its sentence is listed by who reads that.
            Err(Error::Line { .. }) if file.skipped.is_some() => {}
            read => return read,
        }
    }
}

/// The number of a word, or the first one of a multiword token or an empty node.
pub(super) fn before_mark(id: &str) -> &str {
    id.find(['-', '.']).map_or(id, |mark| &id[..mark])
}
