//! Rows of a file to predict, whose labels may be placeholders: nothing, `null`, -1, or anything
//! that is no class.

use super::columns::{Columns, Row};
use super::example::Example;
use super::table::Table;
use crate::error::{Error, Result, RowProblem};

impl Table {
    /// All rows with their labels, of a file that may have placeholders for them: `None` where no
    /// row has a label that can be used (each is empty, null, -1, or not a
    /// [known](Self::known_labels) one), with a warning that says why.
    ///
    /// # Errors
    /// As [`read`](Self::read), also where only some rows have a label: the error is the first row's
    /// without one, unless [such rows are left out](Self::skip_bad_rows).
    pub fn read_if_labelled(&self) -> Result<Option<Vec<Example>>> {
        let missing = |row: &Example| row.label == "-1";
        self.rows_if_labelled(&self.labelled_columns(), |row| self.labelled(row), missing)
    }

    /// As [`read_if_labelled`](Self::read_if_labelled) with the labels of
    /// [`read_lists`](Self::read_lists).
    ///
    /// # Errors
    /// As [`read_lists`](Self::read_lists), also where only some rows have labels that can be used.
    pub fn read_lists_if_labelled(&self) -> Result<Option<Vec<Example<Vec<String>>>>> {
        let columns = self.labelled_columns();
        let missing = |row: &Example<Vec<String>>| row.label.is_empty() || row.label == ["-1"];
        let mut one_hot = true;
        let of = |row: Row| self.listed(row, &mut one_hot);
        let rows = self.rows_if_labelled(&columns, of, missing)?;
        if rows.is_some() {
            self.refuse_one_hot(one_hot)?;
        }
        Ok(rows)
    }

    /// As [`read_if_labelled`](Self::read_if_labelled) with the numbers of
    /// [`read_numbers`](Self::read_numbers).
    ///
    /// # Errors
    /// As [`read_numbers`](Self::read_numbers), also where only some rows have numbers.
    pub fn read_numbers_if_labelled(&self) -> Result<Option<Vec<Example<Vec<f32>>>>> {
        let mut expected = self.count;
        let missing = |row: &Example<Vec<f32>>| row.label == [-1.0];
        let of = |row: Row| self.numbered(row, &mut expected);
        self.rows_if_labelled(&self.labelled_columns(), of, missing)
    }

    /// The rows as `interpret` reads them, whose problems are those of labels; a label that is
    /// `missing` is one only if no row has another.
    pub(super) fn rows_if_labelled<T>(
        &self,
        columns: &Columns,
        mut interpret: impl FnMut(Row) -> Result<T, RowProblem>,
        missing: impl Fn(&T) -> bool,
    ) -> Result<Option<Vec<T>>> {
        let mut rows = Vec::new();
        let mut bad: Vec<Error> = Vec::new();
        let (mut records, header) = self.records()?;
        self.scan(&mut records, header, columns, |records, line, row| {
            match interpret(row) {
                Ok(row) => rows.push(row),
                // One is enough where they are not listed.
                Err(problem) if self.skipped.is_some() || bad.is_empty() => {
                    bad.push(records.error(line, problem));
                }
                Err(_) => {}
            }
            Ok(())
        })?;
        if rows.iter().all(missing) {
            let path = self.path().display();
            let example = match bad.first() {
                Some(error) => format!("the first: {}", error.chain()),
                None => "all are empty or -1".to_owned(),
            };
            log::warn!(
                "{path}: no row has a label that can be used, so the rows are predicted and not \
                 evaluated ({example})"
            );
            return Ok(None);
        }
        match &self.skipped {
            Some(skipped) => bad.into_iter().try_for_each(|error| skipped.take(error))?,
            None => bad.into_iter().next().map_or(Ok(()), Err)?,
        }
        Ok(Some(rows))
    }
}
