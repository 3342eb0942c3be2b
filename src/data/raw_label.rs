//! What stands in the column of the label: the name of a class, several names, or
//! numbers, as the caller asks for.

use std::collections::BTreeSet;

use serde_json::Value;

use super::records::kind;

/// The content of a label column, not yet interpreted.
#[derive(Debug, Clone)]
pub(super) enum RawLabel {
    Text(String),
    /// A list of JSON.
    List(Vec<String>),
}

impl RawLabel {
    /// In JSON also a number or a boolean, as JSON writes it, and a list of these.
    pub(super) fn of(value: &Value) -> Result<Self, String> {
        let one = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(value.to_string()),
            other => Err(format!(
                "expected a string, a number or a boolean, found {}",
                kind(other)
            )),
        };
        match value {
            Value::Array(values) => Ok(Self::List(
                values.iter().map(one).collect::<Result<_, _>>()?,
            )),
            value => one(value).map(Self::Text),
        }
    }

    /// The name of one class.
    pub(super) fn name(self) -> Result<String, String> {
        match self {
            Self::Text(name) if name.is_empty() => Err("the label is empty".to_owned()),
            Self::Text(name) => Ok(name),
            Self::List(_) => {
                Err("expected a string, a number or a boolean, found an array".to_owned())
            }
        }
    }

    /// The names of any number of classes; in a text they stand between separators.
    pub(super) fn names(self, separator: char) -> Result<Vec<String>, String> {
        let names: Vec<String> = match self {
            Self::List(names) => names,
            Self::Text(text) if text.trim().is_empty() => Vec::new(),
            Self::Text(text) => {
                let names = text.split(separator);
                names.map(|name| name.trim().to_owned()).collect()
            }
        };
        let mut seen = BTreeSet::new();
        for name in &names {
            if name.is_empty() {
                return Err("a label is empty".to_owned());
            }
            if !seen.insert(name) {
                return Err(format!("the label `{name}` stands there twice"));
            }
        }
        Ok(names)
    }

    /// One number or several; in a text they stand between commas.
    pub(super) fn numbers(self) -> Result<Vec<f32>, String> {
        let texts: Vec<String> = match self {
            Self::List(numbers) => numbers,
            Self::Text(text) => text.split(',').map(str::to_owned).collect(),
        };
        let number = |text: &String| match text.trim().parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("expected a finite number, found `{text}`")),
        };
        match texts.is_empty() {
            true => Err("expected at least one number, found none".to_owned()),
            false => texts.iter().map(number).collect(),
        }
    }
}
