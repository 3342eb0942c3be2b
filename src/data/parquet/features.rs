//! What the data sets of the Hugging Face Hub say of their columns: `datasets` writes it as JSON
//! into the description of each Parquet file.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use super::caught;
use crate::data::labels::Labels;
use crate::error::{PathContext, Result};

/// Key of the file's description.
const KEY: &str = "huggingface";

/// Whether a file is called a Parquet file.
pub(in crate::data) fn is_one(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// The names of the classes whose ids stand in a column, or in its lists, in the order of the
/// ids; the column is the first of `columns` that the file describes. `None` where it names
/// none.
///
/// # Errors
/// When the file cannot be opened, or is not Parquet.
pub(in crate::data) fn class_names(path: &Path, columns: &[String]) -> Result<Option<Labels>> {
    let file = File::open(path).reading(path)?;
    let reader = caught(|| SerializedFileReader::new(file)).reading(path)?;
    let described = reader.metadata().file_metadata().key_value_metadata();
    let described = described.into_iter().flatten();
    let mut described = described.filter(|entry| entry.key == KEY);
    let text = described.next().and_then(|entry| entry.value.as_deref());
    // Others may write what they like under this key.
    let Some(Ok(described)) = text.map(serde_json::from_str::<Value>) else {
        return Ok(None);
    };
    let features = &described["info"]["features"];
    let column = columns.iter().find_map(|column| features.get(column));
    let names = column.and_then(names_in);
    Ok(names.and_then(|names| Labels::new(names).ok()))
}

/// The names of the classes of a feature, or of what stands in its lists.
fn names_in(feature: &Value) -> Option<Vec<String>> {
    match feature {
        Value::Object(object) => match object.get("names") {
            Some(Value::Array(names)) => {
                let names = names.iter().map(|name| name.as_str().map(str::to_owned));
                names.collect()
            }
            _ => object.get("feature").and_then(names_in),
        },
        // A list was once written as one.
        Value::Array(list) => list.first().and_then(names_in),
        _ => None,
    }
}
