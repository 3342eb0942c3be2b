//! Texts that are compared with each other, for a model of embeddings to learn from,
//! and how tables hold them.

use super::columns::{Column, Columns, Row};
use super::table::Table;
use crate::error::{Error, Result, RowProblem};

/// Two texts, or three, and what is known of how alike they are.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingExample {
    /// The first text, the anchor of the others.
    pub text: String,
    /// What it is compared with: a text of the same meaning where there is no score.
    pub pair: String,
    /// A text that is unlike both.
    pub negative: Option<String>,
    /// How alike text and pair are.
    pub score: Option<f32>,
}

impl EmbeddingExample {
    /// Two texts of the same meaning.
    pub fn pair(text: impl Into<String>, pair: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            pair: pair.into(),
            negative: None,
            score: None,
        }
    }

    /// Two texts, and how alike they are.
    pub fn scored(text: impl Into<String>, pair: impl Into<String>, score: f32) -> Self {
        let score = Some(score);
        Self {
            score,
            ..Self::pair(text, pair)
        }
    }

    /// Two texts of the same meaning, and one of another.
    pub fn triplet(
        text: impl Into<String>,
        pair: impl Into<String>,
        negative: impl Into<String>,
    ) -> Self {
        let negative = Some(negative.into());
        Self {
            negative,
            ..Self::pair(text, pair)
        }
    }
}

impl Table {
    /// All pairs of texts that are alike, and of each row a third text that is unlike both
    /// where a column of such texts is named. The label column is not looked for.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what concerns labels; [`Error::Config`] when no
    /// [`pair`](Self::pair) column is named.
    pub fn read_pairs(&self, negative: Option<&Column>) -> Result<Vec<EmbeddingExample>> {
        self.embedding_examples(negative, false)
    }

    /// The same with a number in the label column that says how alike the texts are.
    ///
    /// # Errors
    /// As [`read_pairs`](Self::read_pairs); [`Error::Line`] where the number is none or not
    /// finite, or there are several.
    pub fn read_scored_pairs(&self, negative: Option<&Column>) -> Result<Vec<EmbeddingExample>> {
        self.embedding_examples(negative, true)
    }

    /// The scored pairs of a file to predict, which may have none: `None` where no row has a score
    /// that can be used, with a warning that says why.
    ///
    /// # Errors
    /// As [`read_scored_pairs`](Self::read_scored_pairs), also where only some rows have a score.
    pub fn read_scored_pairs_if_labelled(
        &self,
        negative: Option<&Column>,
    ) -> Result<Option<Vec<EmbeddingExample>>> {
        let columns = self.embedding_columns(negative, true)?;
        let missing = |row: &EmbeddingExample| row.score == Some(-1.0);
        self.rows_if_labelled(&columns, |row| self.embedding_example(row), missing)
    }

    fn embedding_examples(
        &self,
        negative: Option<&Column>,
        scored: bool,
    ) -> Result<Vec<EmbeddingExample>> {
        let columns = self.embedding_columns(negative, scored)?;
        self.rows(&columns, |row| self.embedding_example(row))
    }

    fn embedding_columns(&self, negative: Option<&Column>, scored: bool) -> Result<Columns> {
        let columns = match scored {
            true => self.labelled_columns(),
            false => self.text_columns().clone(),
        };
        if columns.pair.is_none() {
            let rule = "named, since texts are compared with each other";
            return Err(Error::config("pair column", rule, "none"));
        }
        Ok(Columns {
            negative: negative.cloned(),
            ..columns
        })
    }

    fn embedding_example(&self, row: Row) -> Result<EmbeddingExample, RowProblem> {
        let (separator, _) = self.between_labels();
        let score = |mut numbers: Vec<f32>| match numbers.len() {
            1 => Ok(numbers.remove(0)),
            several => {
                let rule = "a decimal comma must be a point";
                Err(format!("expected one number, found {several}: {rule}"))
            }
        };
        let number = row.label.transpose()?;
        let number = number.map(|label| label.numbers(separator).and_then(score));
        Ok(EmbeddingExample {
            text: row.text,
            pair: row.pair.expect("the layout has a pair column"),
            negative: row.negative,
            score: number
                .transpose()
                .map_err(|problem| self.label_problem(problem))?,
        })
    }
}
