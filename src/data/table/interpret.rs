//! What the row of a table means: a record's columns come in, an example goes out, whose label is a
//! class, several classes or numbers.

use super::Table;
use crate::data::columns::Row;
use crate::data::example::Example;
use crate::data::raw_label::{RawLabel, is_one_hot};
use crate::error::RowProblem;

impl Table {
    /// What stands between several labels of a row, and whether somebody has said so.
    pub(in crate::data) fn between_labels(&self) -> (char, bool) {
        let given = self.label_delimiter;
        (given.unwrap_or(','), given.is_some())
    }

    /// A row of these columns, if its label is a known one.
    pub(in crate::data) fn labelled(&self, row: Row) -> Result<Example, RowProblem> {
        let row = self.interpreted(row, RawLabel::name)?;
        let label = self.known_name(row.label)?;
        Ok(Example { label, ..row })
    }

    /// The same with any number of labels. `one_hot` stays true while all rows have a 0 or 1 for
    /// each class.
    pub(in crate::data) fn listed(
        &self,
        row: Row,
        one_hot: &mut bool,
    ) -> Result<Example<Vec<String>>, RowProblem> {
        let (separator, _) = self.between_labels();
        let row = self.interpreted(row, |label| label.names(separator))?;
        *one_hot &= is_one_hot(&row.label);
        let names = row.label.into_iter().map(|label| self.known_name(label));
        let label = names.collect::<Result<Vec<_>, _>>()?;
        // Two ways of writing may stand for one class.
        let label = RawLabel::List(label).names(separator);
        let label = label.map_err(|problem| self.label_problem(problem))?;
        Ok(Example {
            text: row.text,
            pair: row.pair,
            label,
        })
    }

    /// The same with as many numbers as `expected`, if that is known already.
    pub(in crate::data) fn numbered(
        &self,
        row: Row,
        expected: &mut Option<usize>,
    ) -> Result<Example<Vec<f32>>, RowProblem> {
        let (separator, _) = self.between_labels();
        let row = self.interpreted(row, |label| label.numbers(separator))?;
        let found = row.label.len();
        match *expected.get_or_insert(found) {
            expected if expected == found => Ok(row),
            expected => {
                let hint = match (separator, expected, found) {
                    (',', 1, 2) | (',', 2, 1) => ": a decimal comma must be a point",
                    _ => "",
                };
                let whose = match self.count {
                    Some(_) => "the model",
                    None => "the first row",
                };
                let problem = format!("{found} numbers, {whose} has {expected}{hint}");
                Err(self.label_problem(problem))
            }
        }
    }

    /// A row with its label as `interpret` reads it.
    fn interpreted<L>(
        &self,
        row: Row,
        interpret: impl Fn(RawLabel) -> Result<L, String>,
    ) -> Result<Example<L>, RowProblem> {
        let Row {
            text, pair, label, ..
        } = row;
        let label = interpret(label.expect("the layout has a label column")?);
        let label = label.map_err(|problem| self.label_problem(problem))?;
        Ok(Example { text, pair, label })
    }

    pub(in crate::data) fn label_problem(&self, problem: String) -> RowProblem {
        RowProblem::Field {
            field: self.label.to_string(),
            problem,
        }
    }

    /// The name of the class that a label stands for.
    fn known_name(&self, label: String) -> Result<String, RowProblem> {
        let Some(known) = &self.known else {
            return Ok(label);
        };
        match known.resolve(&label) {
            Some(name) if name == label => Ok(label),
            Some(name) => Ok(name.to_owned()),
            None => {
                let known = known.names().to_vec();
                Err(RowProblem::UnknownLabel { label, known })
            }
        }
    }
}
