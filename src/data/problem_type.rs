//! What the labels of a table look like, and whether they are written as they are meant.

use super::columns::Layout;
use super::labels::number;
use super::raw_label::{ONE_HOT, RawLabel, listed_as_text};
use super::table::Table;
use crate::error::{Error, Result, shown};

/// Rows that are looked at.
const LOOKED_AT: usize = 1000;

impl Table {
    /// What the labels look like, by Hugging Face's names: `multi_label_classification`
    /// if the first one is a list, or one of the first 1,000 has the
    /// [delimiter](Self::label_delimiter) that was named; `regression` if the first 1,000 are all
    /// numbers and some are no integers by how they are written (`0.5`, `5.0`); else
    /// `single_label_classification`.
    ///
    /// # Errors
    /// As [`read`](Self::read), for the rows that are looked at, but for what concerns labels;
    /// [`Error::File`] where labels are several numbers in a text, which may be meant as one with
    /// a decimal comma, as numbers or as classes.
    pub fn problem_type(&self) -> Result<&'static str> {
        let (separator, named) = self.between_labels();
        let labels = self.first_labels()?;
        if matches!(labels.first(), Some(RawLabel::List(_))) {
            return Ok("multi_label_classification");
        }
        let several = |label: &RawLabel| match label {
            RawLabel::Text(text) => text.contains(separator),
            _ => false,
        };
        let all_numbers = labels.iter().all(|label| match label {
            RawLabel::Text(text) => text
                .split(separator)
                .all(|part| number(part.trim()).is_some()),
            RawLabel::Float(_) => true,
            RawLabel::List(_) => false,
        });
        let list = labels.iter().find_map(|label| match label {
            RawLabel::Text(text) => listed_as_text(text),
            _ => None,
        });
        if let Some(problem) = list {
            let path = self.path().to_owned();
            return Err(Error::File { path, problem });
        }
        match labels.iter().find(|label| several(label)) {
            Some(RawLabel::Text(text)) if all_numbers && !named => {
                let text = shown(text);
                return Err(Error::File {
                    path: self.path().to_owned(),
                    problem: format!(
                        "labels such as `{text}` may be numbers with a decimal comma (write a \
                         point), several numbers, or classes: say which it is (--problem-type)"
                    ),
                });
            }
            Some(_) if named && !all_numbers => return Ok("multi_label_classification"),
            _ => {}
        }
        let fraction = |label: &RawLabel| match label {
            RawLabel::Float(_) => true,
            RawLabel::Text(text) => text.contains(['.', 'e', 'E']),
            RawLabel::List(_) => false,
        };
        Ok(match all_numbers && labels.iter().any(fraction) {
            true => "regression",
            false => "single_label_classification",
        })
    }

    /// The labels of the first rows, as far as they can be read.
    fn first_labels(&self) -> Result<Vec<RawLabel>> {
        let (mut records, header) = self.records()?;
        let columns = self.labelled_columns();
        let mut layout = None;
        let mut labels = Vec::new();
        while labels.len() < LOOKED_AT {
            let (line, record) = match records.read() {
                Ok(None) => break,
                Ok(Some(record)) => record,
                Err(Error::Line { .. }) if self.skipped.is_some() && layout.is_some() => continue,
                Err(error) => return Err(error),
            };
            let layout = match &layout {
                Some(layout) => layout,
                None => {
                    let found = layout.insert(Layout::new(&columns, record, header, self.path())?);
                    if header {
                        continue;
                    }
                    found
                }
            };
            match layout.pick(record).and_then(|row| row.label.transpose()) {
                Ok(label) => labels.extend(label),
                Err(_) if self.skipped.is_some() => {}
                Err(problem) => return Err(records.error(line, problem)),
            }
        }
        Ok(labels)
    }

    /// An error where all rows have a 0 and a 1 in their lists: each of them would have the same
    /// two classes. With more than two, one of them stands there twice, which is an error of its
    /// row.
    pub(super) fn refuse_one_hot(&self, one_hot: bool) -> Result<()> {
        match one_hot {
            true => Err(Error::File {
                path: self.path().to_owned(),
                problem: ONE_HOT.to_owned(),
            }),
            false => Ok(()),
        }
    }

    /// Says how many numbers each row has, where they stand between commas in a text.
    pub(super) fn warn_of_commas(&self, numbers: usize) {
        let (_, named) = self.between_labels();
        if numbers > 1 && !named {
            log::warn!(
                "{}: each row has {numbers} numbers as its label, since a comma stands between \
                 them; if it is a decimal comma, write a point",
                self.path().display()
            );
        }
    }
}
