//! What stands in the column of the label: the name of a class, several names, or
//! numbers, as the caller asks for.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::records::kind;
use crate::error::shown;

/// The content of a label column, not yet interpreted.
#[derive(Debug, Clone)]
pub(super) enum RawLabel {
    Text(String),
    /// A number that JSON has as `1.0` or `1e0`, as a class is called by it.
    Float(String),
    /// A list of JSON.
    List(Vec<String>),
}

impl RawLabel {
    /// In JSON also a number or a boolean, and a list of these.
    pub(super) fn of(value: &Value) -> Result<Self, String> {
        let one = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(decimal(number)),
            // Python's words, which are the classes of a model that transformers has fitted.
            Value::Bool(true) => Ok("True".to_owned()),
            Value::Bool(false) => Ok("False".to_owned()),
            other => Err(format!(
                "expected a string, a number or a boolean, found {}",
                kind(other)
            )),
        };
        match value {
            Value::Array(values) => Ok(Self::List(
                values.iter().map(one).collect::<Result<_, _>>()?,
            )),
            Value::Number(number) if number.is_f64() => Ok(Self::Float(decimal(number))),
            value => one(value).map(Self::Text),
        }
    }

    /// The name of one class.
    pub(super) fn name(self) -> Result<String, String> {
        match self {
            Self::Text(name) if name.is_empty() => Err("the label is empty".to_owned()),
            Self::Text(name) | Self::Float(name) => Ok(name),
            Self::List(_) => {
                Err("expected a string, a number or a boolean, found an array".to_owned())
            }
        }
    }

    /// The names of any number of classes; in a text they stand between separators.
    pub(super) fn names(self, separator: char) -> Result<Vec<String>, String> {
        let names: Vec<String> = match self {
            Self::List(names) => names,
            Self::Float(name) => vec![name],
            Self::Text(text) if text.trim().is_empty() => Vec::new(),
            Self::Text(text) => {
                if let Some(problem) = listed_as_text(&text) {
                    return Err(problem);
                }
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
                let problem = format!("the label `{}` stands there twice", shown(name));
                return Err(match is_one_hot(&names) {
                    true => format!("{problem}: {ONE_HOT}"),
                    false => problem,
                });
            }
        }
        Ok(names)
    }

    /// One number or several; in a text they stand between separators.
    pub(super) fn numbers(self, separator: char) -> Result<Vec<f32>, String> {
        let texts: Vec<String> = match self {
            Self::List(numbers) => numbers,
            Self::Float(number) => vec![number],
            Self::Text(text) => text.split(separator).map(str::to_owned).collect(),
        };
        let number = |text: &String| match text.trim().parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => {
                let point = text.trim().replacen(',', ".", 1);
                let hint = match text.contains(',') && point.parse::<f32>().is_ok() {
                    true => ": write a decimal point for the comma",
                    false => "",
                };
                let text = shown(text);
                Err(format!("expected a finite number, found `{text}`{hint}"))
            }
        };
        match texts.is_empty() {
            true => Err("expected at least one number, found none".to_owned()),
            false => texts.iter().map(number).collect(),
        }
    }
}

/// What is said of labels that look like a column of numbers for each class.
pub(super) const ONE_HOT: &str = "labels that are 0 or 1 for each class are not read; write the \
                                  names of the classes that the row has, such as [\"a\", \"c\"]";

/// Whether these are 0 or 1, of several classes.
pub(super) fn is_one_hot<S: AsRef<str>>(names: &[S]) -> bool {
    let is_one = |name: &S| matches!(name.as_ref(), "0" | "1" | "False" | "True");
    names.len() > 1 && names.iter().all(is_one)
}

/// What is said of a list of Python or JSON that stands in a text, as data frames are saved: its
/// names would have brackets and quotes.
pub(super) fn listed_as_text(text: &str) -> Option<String> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let is_list = inside.trim().is_empty() || inside.contains([',', '\'', '"']);
    is_list.then(|| {
        format!(
            "`{}` is a list that is written as text: write the names with a delimiter between \
             them, or the table as JSON lines",
            shown(text)
        )
    })
}

/// A number as a class is called by it: `1.0` is the same as `1`.
fn decimal(number: &Number) -> String {
    // Up to here each whole number is a double.
    const MOST: f64 = (1_u64 << 53) as f64;
    match number.as_f64() {
        Some(whole) if number.is_f64() && whole.fract() == 0.0 && whole.abs() <= MOST => {
            format!("{}", whole as i64)
        }
        _ => number.to_string(),
    }
}
