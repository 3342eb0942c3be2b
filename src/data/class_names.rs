//! The names of classes that Hugging Face's `datasets` writes into Parquet files, whose columns
//! have ids.

#[cfg(feature = "parquet")]
use std::fs::File;
use std::path::Path;

#[cfg(feature = "parquet")]
use serde_json::Value;

use super::labels::Labels;
use crate::error::Result;

/// The classes of a column, in the order of their ids, if a file says them: a column of ids, or of
/// lists of ids, such as those of tags. The file's rows are read with these names.
///
/// # Errors
/// When the file cannot be read, or is no Parquet file despite its name.
#[cfg(feature = "parquet")]
pub(super) fn class_names(path: &Path, column: &str) -> Result<Option<Labels>> {
    use crate::error::PathContext;

    let parquet = path.extension();
    if !parquet.is_some_and(|ending| ending.eq_ignore_ascii_case("parquet")) {
        return Ok(None);
    }
    let file = File::open(path).reading(path)?;
    let features = super::parquet::features(file).reading(path)?;
    let names = features
        .as_ref()
        .and_then(|features| names_of(features.get(column)?));
    names.map(Labels::new).transpose()
}

/// No file without Parquet says them.
#[cfg(not(feature = "parquet"))]
pub(super) fn class_names(_: &Path, _: &str) -> Result<Option<Labels>> {
    Ok(None)
}

/// The names of a feature, as `datasets` describes it: a `ClassLabel`, or a list of one.
#[cfg(feature = "parquet")]
pub(super) fn names_of(feature: &Value) -> Option<Vec<String>> {
    match feature {
        // Lists in lists are not deeper than the parser lets them be.
        Value::Array(features) => names_of(features.first()?),
        Value::Object(fields) if fields.get("_type")? == "ClassLabel" => {
            let names = fields.get("names")?.as_array()?.iter();
            names.map(|name| name.as_str().map(str::to_owned)).collect()
        }
        Value::Object(fields) => names_of(fields.get("feature")?),
        _ => None,
    }
}

/// A value of a column with these names, where it is an id of one of them or a list of such. What
/// has no name, such as -1 for none, stays as it is.
#[cfg(feature = "parquet")]
pub(super) fn named(value: Value, names: &[String]) -> Value {
    match value {
        Value::Array(values) => values
            .into_iter()
            .map(|value| named(value, names))
            .collect(),
        Value::Number(number) => {
            let id = number.as_u64().and_then(|id| usize::try_from(id).ok());
            match id.and_then(|id| names.get(id)) {
                Some(name) => Value::String(name.clone()),
                None => Value::Number(number),
            }
        }
        other => other,
    }
}
