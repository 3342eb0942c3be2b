//! Tables of texts: which columns of them are meant, and rows that may lack a label.

use std::path::{Path, PathBuf};

use bertfit::{Example, Result, Table};
use clap::Args;

/// The flags of recipes that read tables.
#[derive(Args)]
pub struct TableArgs {
    /// Column of the text: name, or index from 0
    #[arg(long, default_value = "text")]
    text_column: String,
    /// Column of the second text of a pair
    #[arg(long)]
    pub pair_column: Option<String>,
    /// Column of the label, or of the text to write
    #[arg(long, default_value = "label")]
    label_column: String,
    /// The tables have no header; columns are indexes
    #[arg(long)]
    no_header: bool,
}

impl TableArgs {
    pub fn table(&self, path: &Path) -> Result<Table> {
        let column = |name: &str| super::column(name, self.no_header);
        let mut table = Table::open(path).text(column(&self.text_column)?);
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
    pub fn read(
        args: &TableArgs,
        path: Option<&PathBuf>,
        read: impl Fn(&PathBuf) -> Result<Vec<Example<L>>>,
    ) -> Result<Option<Self>> {
        let Some(path) = path else {
            return Ok(None);
        };
        let table = args.table(path)?;
        let texts = table.read_texts()?;
        let labelled = table.has_label()?.then(|| read(path)).transpose()?;
        Ok(Some(Self { texts, labelled }))
    }
}

pub fn texts<L>(test: &Option<Test<L>>) -> &[Example<()>] {
    test.as_ref().map_or(&[], |test| &test.texts)
}
