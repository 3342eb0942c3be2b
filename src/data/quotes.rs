//! Whether a table that is read without quoting was written with it.

use crate::error::shown;

/// Counts the fields of a table that look as if quotes were no part of them.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    rows: u64,
    /// Fields in quotes, by column.
    quoted: Vec<u64>,
    /// Fields in quotes that have doubled ones in them.
    doubled: u64,
    /// Fields with quotes that no writer with quoting leaves so.
    bare: u64,
    first: Option<String>,
}

impl Quotes {
    pub(super) fn see(&mut self, fields: &[String]) {
        self.rows += 1;
        self.quoted.resize(self.quoted.len().max(fields.len()), 0);
        for (field, quoted) in fields.iter().zip(&mut self.quoted) {
            if looks_quoted(field) {
                *quoted += 1;
                self.doubled += u64::from(field.len() > 2 && field[1..].contains("\"\""));
                self.first.get_or_insert_with(|| shown(field));
            } else {
                self.bare += u64::from(field.contains('"'));
            }
        }
    }

    /// A field in quotes, where most fields of a column are, or where all that have quotes have
    /// them as a writer with quoting makes them.
    pub(super) fn example(&self) -> Option<&str> {
        let most = self.quoted.iter().any(|&quoted| 2 * quoted > self.rows);
        let escaped = self.doubled > 0 && self.bare == 0;
        self.first.as_deref().filter(|_| most || escaped)
    }
}

/// Whether a field is one in quotes, with no lone quote in it.
pub(super) fn looks_quoted(field: &str) -> bool {
    let inner = field
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.replace("\"\"", "").contains('"'))
}
