//! Tables of texts: how they are written, which columns of them are meant, and rows that may lack
//! a label.

use std::path::{Path, PathBuf};

use bertfit::{Example, Format, Quoting, Result, Table};
use clap::Args;

use super::Common;
use super::rows::{TestArgs, first};

/// The flags of recipes that read tables with texts and labels.
#[derive(Args)]
pub struct TableArgs {
    /// Column of the text: name, or index from 0
    #[arg(long, default_value = "text")]
    pub text_column: String,
    /// Column of the second text of a pair
    #[arg(long)]
    pub pair_column: Option<String>,
    /// Column of the label, or of the text to write
    #[arg(long, default_value = "label")]
    pub label_column: String,
    /// The tables have no header; columns are indexes
    #[arg(long)]
    no_header: bool,
    #[command(flatten)]
    pub dialect: Dialect,
}

/// The flags that say how tables are written.
#[derive(Args)]
pub struct Dialect {
    /// What stands between the columns of tables, such as ';' or tab; default tab in .tsv, comma in
    /// .csv
    #[arg(long, value_parser = parse_delimiter)]
    delimiter: Option<char>,
    /// What quotes mean in tables: none, minimal (they hold delimiters and line breaks), or auto:
    /// none between tabs, else minimal
    #[arg(long, default_value = "auto")]
    quoting: Quoting,
}

pub fn parse_delimiter(text: &str) -> std::result::Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some('"' | '\n' | '\r'), None) => Err("a quote or a line end cannot be it".to_owned()),
        (_, Some(delimiter), None) => Ok(delimiter),
        _ => Err("expected one character, or tab".to_owned()),
    }
}

impl Dialect {
    /// A table in a file, if it has columns with this dialect.
    pub fn table(&self, path: &Path, common: &Common) -> Table {
        let mut table = Table::open(path).quoting(self.quoting);
        if let Some(delimiter) = self.delimiter.filter(|_| !is_json(path)) {
            table = table.delimiter(delimiter);
        }
        match common.rows.skipping() {
            Some(skipped) => table.skip_bad_rows(skipped),
            None => table,
        }
    }

    /// What is wrong with these flags, given the files.
    pub fn check(&self, common: &Common) -> std::result::Result<(), String> {
        let flag = match (self.delimiter, self.quoting) {
            (Some(_), _) => "--delimiter",
            (None, Quoting::Auto) => return Ok(()),
            (None, _) => "--quoting",
        };
        let mut files = [&common.train, &common.dev, &common.test]
            .into_iter()
            .flatten();
        match files.all(|path| is_json(path)) {
            true => Err(format!(
                "{flag} is of tables with columns, and none of the files is one"
            )),
            false => Ok(()),
        }
    }
}

fn is_json(path: &Path) -> bool {
    matches!(Format::of(path), Ok(Format::JsonLines))
}

impl TableArgs {
    pub fn table(&self, path: &Path, common: &Common) -> Result<Table> {
        let column = |name: &str| super::column(name, self.no_header);
        let mut table = self.dialect.table(path, common);
        table = table.text(column(&self.text_column)?);
        table = table.label(column(&self.label_column)?);
        if let Some(pair) = &self.pair_column {
            table = table.pair(column(pair)?);
        }
        Ok(match self.no_header {
            true => table.no_header(),
            false => table,
        })
    }
}

/// The rows of a file to predict, with their labels if it has them.
pub struct Test<L> {
    pub texts: Vec<Example<()>>,
    pub labelled: Option<Vec<Example<L>>>,
}

impl<L> Test<L> {
    /// Reads --test, if it is given; `table` opens it, `read` takes the rows with labels.
    pub fn read(
        common: &Common,
        args: &TestArgs,
        table: impl Fn(&PathBuf) -> Result<Table>,
        read: impl Fn(&Table) -> Result<Option<Vec<Example<L>>>>,
    ) -> Result<Option<Self>> {
        let Some(path) = &common.test else {
            return Ok(None);
        };
        let table = table(path)?;
        let most = common.rows.max_predict_samples;
        let texts = first(table.read_texts()?, most);
        let labelled = match !args.no_test_labels && table.has_label()? {
            true => read(&table)?.map(|rows| first(rows, most)),
            false => None,
        };
        Ok(Some(Self { texts, labelled }))
    }
}

pub fn texts<L>(test: &Option<Test<L>>) -> &[Example<()>] {
    test.as_ref().map_or(&[], |test| &test.texts)
}
