//! The classes of a task, as the command line names them.

use std::path::Path;

use bertfit::{Labels, Result};
use clap::Args;

/// The flag of recipes whose model has classes.
#[derive(Args, Clone)]
pub struct LabelArgs {
    /// Classes in the order of their ids, between commas, or a file with one a line; files may then
    /// have ids instead of names. Default the classes of --train and --dev
    #[arg(long, value_name = "A,B,C|FILE")]
    labels: Option<String>,
}

/// The flags of recipes whose model has a head with dropout before it.
#[derive(Args, Clone)]
pub struct HeadArgs {
    /// Give a fitted model a new head, for the labels of --train
    #[arg(long, requires = "train")]
    pub fresh_head: bool,
    /// Dropout before the head; default as the model has it
    #[arg(long)]
    pub dropout: Option<f64>,
}

impl LabelArgs {
    /// The classes that are named, if any.
    ///
    /// # Errors
    /// When the file cannot be read, or a name is empty or stands there twice.
    pub fn labels(&self) -> Result<Option<Labels>> {
        let Some(given) = &self.labels else {
            return Ok(None);
        };
        let labels = match Path::new(given) {
            path if path.is_file() => Labels::from_file(path),
            _ => Labels::new(given.split(',').map(str::trim)),
        };
        Ok(Some(labels?.or_ids()))
    }
}

/// The settings that the builders of tasks with such a head have.
macro_rules! with_head {
    ($head:expr, $builder:expr) => {{
        let builder = match $head.dropout {
            Some(dropout) => $builder.dropout(dropout),
            None => $builder,
        };
        match $head.fresh_head {
            true => builder.fresh_head(),
            false => builder,
        }
    }};
}
#[allow(unused_imports)] // Some tasks have another head.
pub(crate) use with_head;
