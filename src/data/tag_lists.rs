//! Tagged sentences as objects with a list of words and a list of tags: JSON lines, Parquet.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::format::Syntax;
use super::records::{Record, Records, kind};
use super::tag_kinds::TagKinds;
use super::tagged::{Place, Sentence, TaggedFile, TaggedWords};
use crate::error::{Result, RowProblem};

/// A file of objects.
pub(super) struct Lists<'a> {
    file: &'a TaggedFile,
}

impl<'a> Lists<'a> {
    pub(super) fn new(file: &'a TaggedFile) -> Self {
        Self { file }
    }

    fn records(&self) -> Result<Records<impl BufRead + use<>>> {
        let reader = self.file.objects()?;
        Ok(Records::new(reader, Syntax::JsonLines, 1, &self.file.path))
    }

    /// The next object that can be read, with its line.
    fn next<'r>(
        &self,
        records: &'r mut Records<impl BufRead>,
    ) -> Result<Option<(u64, &'r Map<String, Value>)>> {
        let line = loop {
            match records.read() {
                Ok(Some((line, _))) => break line,
                Ok(None) => return Ok(None),
                Err(error) => self.file.leave_out(error)?,
            }
        };
        match records.current() {
            Record::Object(object) => Ok(Some((line, object))),
            Record::Fields(_) => unreachable!("JSON lines are objects"),
        }
    }

    pub(super) fn has_tags(&self) -> Result<bool> {
        let mut records = self.records()?;
        let first = self.next(&mut records)?;
        Ok(first.is_some_and(|(_, object)| self.file.tags.key(object).is_some()))
    }

    pub(super) fn has_usable_tags(&self) -> Result<bool> {
        let usable = |tag: &Value| tag_of(tag).is_ok_and(|tag| self.file.is_usable(&tag));
        let mut records = self.records()?;
        while let Some((_, object)) = self.next(&mut records)? {
            if let Some((_, Value::Array(tags))) = self.file.tags.key(object)
                && tags.iter().any(usable)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All sentences, with tags or without.
    pub(super) fn read(&self, tags: bool) -> Result<Vec<TaggedWords>> {
        let mut sentences = Vec::new();
        let mut kinds = TagKinds::default();
        let mut records = self.records()?;
        while let Some((line, object)) = self.next(&mut records)? {
            let sentence = self.sentence(object, tags);
            match sentence.map_err(|problem| records.error(line, problem)) {
                Ok(content) => {
                    content.tags.iter().for_each(|tag| kinds.see(line, tag));
                    sentences.push(Sentence { line, content });
                }
                Err(error) => self.file.leave_out(error)?,
            }
        }
        let field = &self.file.tags.keys[0];
        let error = |line, problem| records.error(line, problem);
        self.file.leave_out_odd(&kinds, field, sentences, error)
    }

    fn sentence(
        &self,
        object: &Map<String, Value>,
        with_tags: bool,
    ) -> Result<TaggedWords, RowProblem> {
        let word = |value: &Value| {
            let word = value.as_str().map(str::to_owned);
            word.ok_or_else(|| unexpected(value))
        };
        let (_, words) = self.file.words.list(object, word)?;
        if !with_tags {
            let tags = Vec::new();
            return Ok(TaggedWords { words, tags });
        }
        let (key, found) = self.file.tags.list(object, tag_of)?;
        let of = |problem: String| RowProblem::Field {
            field: key.to_owned(),
            problem,
        };
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
            false => self.file.check(tag),
        });
        let tags = tags.collect::<Result<_, _>>()?;
        Ok(TaggedWords { words, tags })
    }
}

/// A tag as it is written; a number is the id of one.
fn tag_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(tag) => Ok(tag.clone()),
        Value::Number(id) => Ok(id.to_string()),
        _ => Err(unexpected(value)),
    }
}

fn unexpected(value: &Value) -> String {
    format!("expected a list of strings, found {} in it", kind(value))
}

impl Place {
    fn key<'a>(&'a self, object: &'a Map<String, Value>) -> Option<(&'a str, &'a Value)> {
        let mut found = self
            .keys
            .iter()
            .filter_map(|key| Some((key.as_str(), object.get(key)?)));
        found.next()
    }

    /// The first key that there is, and the list under it.
    fn list<'a>(
        &'a self,
        object: &'a Map<String, Value>,
        item: impl Fn(&Value) -> Result<String, String>,
    ) -> Result<(&'a str, Vec<String>), RowProblem> {
        let problem = |field: &str, problem: String| RowProblem::Field {
            field: field.to_owned(),
            problem,
        };
        let (key, value) = self
            .key(object)
            .ok_or_else(|| problem(&self.keys[0], "absent".to_owned()))?;
        let Value::Array(values) = value else {
            let found = kind(value);
            return Err(problem(key, format!("expected a list, found {found}")));
        };
        let items = values.iter().map(item);
        let items = items.map(|item| item.map_err(|text| problem(key, text)));
        Ok((key, items.collect::<Result<_, _>>()?))
    }
}
