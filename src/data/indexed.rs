//! A table that stays in its file: rows that were all checked once, and are read again
//! when they are asked for. What is kept in memory is a place for every few kilobytes
//! of the file, and the names of the labels.

use std::collections::BTreeSet;
use std::fs::File;

use super::blocks::{Blocks, Start, Summed};
use super::columns::Layout;
use super::dataset::Dataset;
use super::decompress::open_twice;
use super::example::Example;
use super::format::Syntax;
use super::labels::Labels;
use super::records::Records;
use super::table::Table;
use crate::error::{Error, PathContext, Result, RowProblem};

/// The rows of a [`Table`] by index, read from its file one by one; made by
/// [`Table::index`]. The rows are those of [`Table::read`].
///
/// The file is held open: it may be moved, deleted, or replaced by another of its name.
/// A row where the file itself was changed is an [`Error::Line`] with
/// [`RowProblem::Changed`] when it is asked for, never another row.
///
/// A `.gz` or `.xz` file is unpacked once, into a file without a name in the folder for
/// temporary files (`TMPDIR`), which needs room for it and goes with this value. The
/// same is done to what is no regular file, such as a pipe.
///
/// ```
/// # use bertfit::{Dataset, Table};
/// let train = Table::open("examples/data/train.tsv").text("sentence").index()?;
/// assert_eq!(train.len(), 2403);
/// assert_eq!(train.labels().names(), ["0", "1"]);
/// assert_eq!(train.get(2)?.label, "1");
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug)]
pub struct IndexedTable {
    table: Table,
    syntax: Syntax,
    header: bool,
    layout: Layout,
    file: File,
    blocks: Blocks,
    rows: usize,
    /// Of each record that is no row since it cannot be used, the rows before it.
    skipped: Vec<usize>,
    labels: Labels,
}

impl IndexedTable {
    pub(super) fn new(table: &Table) -> Result<Self> {
        let (syntax, header) = table.written()?;
        let (stream, file) = open_twice(table.path(), table.unpack(), syntax)?;
        let mut records = Records::new(Summed::new(stream), syntax, 1, table.path());
        let mut blocks = Blocks::new();
        let mut labels = BTreeSet::new();
        let mut rows = 0;
        let (mut skipped, mut next_record) = (Vec::new(), usize::from(header));
        let columns = table.labelled_columns();
        let layout = table.scan(&mut records, header, &columns, |records, _, row| {
            let label = table.labelled(row)?.label;
            if !labels.contains(&label) {
                labels.insert(label);
            }
            rows += 1;
            let record = records.begun() - 1;
            skipped.extend((next_record..record).map(|_| rows - 1));
            next_record = record + 1;
            if let Some(offset) = records.bytes_read().filter(|&end| blocks.is_full(end)) {
                let line = records.lines_read() + 1;
                let next = Start {
                    offset,
                    line,
                    row: rows,
                };
                blocks.push(next, records.reader_mut().take_sum());
            }
            Ok(())
        })?;
        let end = Start {
            offset: records.bytes_read().unwrap_or_default(),
            line: records.lines_read() + 1,
            row: rows,
        };
        blocks.push(end, records.reader_mut().take_sum());
        Ok(Self {
            table: table.clone(),
            syntax,
            header,
            layout,
            file,
            blocks,
            rows,
            skipped,
            labels: Labels::sorted(labels)?,
        })
    }

    /// The place of a row among the records of the file.
    fn record(&self, row: usize) -> usize {
        let skipped = self.skipped.partition_point(|&before| before <= row);
        usize::from(self.header) + row + skipped
    }

    /// The labels that rows have, in the order of [`Labels::sorted`].
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Dataset for IndexedTable {
    type Item = Example;

    fn len(&self) -> usize {
        self.rows
    }

    fn get(&self, index: usize) -> Result<Example> {
        assert!(
            index < self.rows,
            "index out of bounds: the table has {} rows, but the index is {index}",
            self.rows
        );
        let path = self.table.path();
        let (start, bytes) = self.blocks.read(&self.file, index).reading(path)?;
        let changed = || Error::Line {
            path: path.to_owned(),
            line: start.line,
            problem: RowProblem::Changed,
        };
        let bytes = bytes.ok_or_else(changed)?;
        let mut records = Records::new(&bytes[..], self.syntax, start.line, path);
        // A block begins after a row.
        let first = match start.row {
            0 => 0,
            row => self.record(row - 1) + 1,
        };
        for _ in first..self.record(index) {
            records.skip()?;
        }
        let (line, record) = records.read()?.ok_or_else(changed)?;
        let row = self.layout.pick(record);
        row.and_then(|row| self.table.labelled(row))
            .map_err(|problem| records.error(line, problem))
    }
}
