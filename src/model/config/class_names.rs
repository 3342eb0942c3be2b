//! What a configuration says about the classes of a head: how many there are, and their names.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{BertConfig, bad, short};
use crate::error::Result;

const NUM_LABELS: &str = "num_labels";
/// More classes than this are believed only if they have names.
const MOST_UNNAMED: usize = 1 << 16;

impl BertConfig {
    /// How many outputs a head on whole texts or on tokens has: as many as `id2label` has
    /// names, or else `num_labels`, or else 2, as transformers counts them.
    ///
    /// One output gives a number, where no `problem_type` says otherwise.
    pub fn num_labels(&self) -> usize {
        let given = self.other.get(NUM_LABELS).and_then(Value::as_u64);
        match self.id2label.as_ref().and_then(Value::as_object) {
            Some(names) => names.len(),
            None => given.map_or(2, |given| usize::try_from(given).unwrap_or(usize::MAX)),
        }
    }

    /// The class names in the order of their ids, where the file has them. A name that is a
    /// number or a boolean is written as Python shows it: `0`, `True`.
    ///
    /// # Errors
    /// When the ids are not 0, 1, 2, … or a name is something else, empty or there twice; `path` is the
    /// file to name in the error.
    pub fn class_names(&self, path: &Path) -> Result<Option<Vec<String>>> {
        let Some(id2label) = &self.id2label else {
            return Ok(None);
        };
        let count = id2label.as_object().map_or(0, Map::len);
        let names = (0..count).map(|id| name(id2label.get(id.to_string())?));
        match names.collect::<Option<Vec<_>>>() {
            Some(names) if id2label.is_object() => {
                let mut seen = BTreeSet::new();
                match names
                    .iter()
                    .find(|name| name.is_empty() || !seen.insert(*name))
                {
                    Some(name) => {
                        let rule = "distinct names that are not empty";
                        Err(bad(
                            path,
                            "id2label",
                            rule,
                            format!("`{}`", name.escape_debug()),
                        ))
                    }
                    None => Ok(Some(names)),
                }
            }
            _ => {
                let rule = "names numbered from 0 without gaps";
                Err(bad(path, "id2label", rule, short(id2label)))
            }
        }
    }

    /// The class names of a head that is used: those of the file, or `LABEL_0`, `LABEL_1`, …
    /// as transformers calls them.
    ///
    /// # Errors
    /// As [`class_names`](Self::class_names).
    pub(crate) fn head_names(&self, path: &Path) -> Result<Vec<String>> {
        let unnamed = || (0..self.num_labels()).map(|id| format!("LABEL_{id}"));
        let names = self.class_names(path)?;
        Ok(names.unwrap_or_else(|| unnamed().collect()))
    }

    /// Sets the class names, in the order of their ids.
    pub fn set_class_names(&mut self, names: &[String]) {
        let id2label = names.iter().enumerate();
        self.id2label = Some(
            id2label
                .map(|(id, name)| (id.to_string(), &name[..]))
                .collect(),
        );
        let label2id = names.iter().enumerate();
        self.label2id = Some(label2id.map(|(id, name)| (name.clone(), id)).collect());
        // transformers warns where it is another number.
        self.other.shift_remove(NUM_LABELS);
    }

    /// Checks the number of classes that have no names; `path` is named in the error.
    pub(super) fn check_num_labels(&self, path: &Path) -> Result<()> {
        match self.num_labels() {
            count if count > MOST_UNNAMED && self.id2label.is_none() => {
                let rule = format!("at most {MOST_UNNAMED}");
                Err(bad(path, NUM_LABELS, rule, count))
            }
            _ => Ok(()),
        }
    }

    /// Forgets the class names and how many there are.
    pub(crate) fn clear_class_names(&mut self) {
        (self.id2label, self.label2id) = (None, None);
        self.other.shift_remove(NUM_LABELS);
    }
}

/// A class name in `id2label`.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
