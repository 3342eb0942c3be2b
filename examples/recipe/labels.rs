//! The classes of a task, as the command line names them.

use std::collections::BTreeSet;
use std::path::Path;

use bertfit::{BertConfig, Labels, Result};
use clap::Args;

/// The flag of recipes whose model has classes.
#[derive(Args, Clone)]
pub struct LabelArgs {
    /// Classes in the order of their ids, between commas, or a file with one a line; files may then
    /// have ids instead of names. Default the classes of --train and --dev
    #[arg(long, value_name = "A,B,C|FILE", value_parser = parse_labels)]
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

fn parse_labels(given: &str) -> std::result::Result<String, String> {
    let looks_like_path = given.contains(['/', '\\', '.']) && !given.contains(',');
    match Path::new(given).is_file() {
        true => Ok(given.to_owned()),
        false if looks_like_path => Err("there is no such file".to_owned()),
        false => named_labels(given)
            .map(|_| given.to_owned())
            .map_err(|error| error.chain()),
    }
}

fn named_labels(given: &str) -> Result<Labels> {
    Labels::new(given.split(',').map(str::trim))
}

impl LabelArgs {
    /// Whether there are any.
    pub fn given(&self) -> bool {
        self.labels.is_some()
    }

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
            _ => named_labels(given),
        };
        Ok(Some(labels?.or_ids()))
    }
}

/// The classes of a fitted model; transformers leaves its default names of two out.
pub fn saved_labels(model: &Path) -> Result<Labels> {
    let names = BertConfig::from_dir(model)?.class_names(&model.join("config.json"))?;
    match names {
        Some(names) => Labels::new(names),
        None => Labels::new(["LABEL_0", "LABEL_1"]),
    }
}

/// The classes of --train and those that --dev has besides, of which it warns. Where -1 marks rows
/// without a gold label, it is no class.
pub fn with_labels_of_dev(train: &Labels, dev: impl IntoIterator<Item = String>) -> Result<Labels> {
    let gold = train.without_missing();
    let classes = gold.as_ref().unwrap_or(train);
    if gold.is_none() && train.get("-1").is_some() && train.get("1").is_some() {
        eprintln!(
            "warning: -1 is a class of --train; if it marks rows without a gold label, name the \
             others in --labels"
        );
    }
    let of_dev: BTreeSet<String> = dev.into_iter().collect();
    let is_id = |name: &String| name.parse::<u64>().is_ok();
    let ids = classes.names().iter().all(is_id);
    let unknown = |label: &String| classes.resolve(label).is_none() && !(ids && label == "-1");
    let of_dev: Vec<String> = of_dev.into_iter().filter(unknown).collect();
    if of_dev.is_empty() {
        return Ok(classes.clone());
    }
    eprintln!(
        "warning: no row of --train has the classes {} of --dev, so that the model cannot learn \
         them; --labels names the classes that it is to have",
        of_dev.join(", ").escape_debug()
    );
    Labels::sorted(classes.names().iter().chain(&of_dev))
}

/// The settings that the builders of tasks with such a head have.
#[allow(unused_macros)] // Some tasks have another head.
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
#[allow(unused_imports)]
pub(crate) use with_head;
