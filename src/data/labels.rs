//! The names of a task's classes and their ids: what a model's `config.json`
//! calls `label2id` and `id2label`. Ids count from 0 without gaps.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The classes of a task: names in the order of their ids.
///
/// Serialized as the list of names.
///
/// ```
/// # use bertfit::Labels;
/// let labels = Labels::new(["negative", "positive"])?;
/// assert_eq!(labels.id("positive")?, 1);
/// assert_eq!(labels.name(0), Some("negative"));
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels {
    names: Vec<String>,
    ids: BTreeMap<String, i64>,
}

/// Whether the names are those that transformers gives to classes without names: `LABEL_0`,
/// `LABEL_1`, …
pub(crate) fn is_unnamed(names: &[String]) -> bool {
    let numbers = names.iter().map(|name| name.strip_prefix("LABEL_"));
    numbers
        .zip(0..)
        .all(|(number, id): (_, usize)| number == Some(id.to_string().as_str()))
}

impl Labels {
    /// The classes in the order given: the first has id 0.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no name, or one is empty or occurs twice.
    pub fn new(names: impl IntoIterator<Item: Into<String>>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let refuse = |rule: &str, got: String| Err(Error::config("labels", rule, got));
        if names.is_empty() {
            return refuse("at least one name", "none".to_owned());
        }
        let mut ids = BTreeMap::new();
        for (name, id) in names.iter().zip(0..) {
            if name.is_empty() {
                return refuse(
                    "names that are not empty",
                    format!("an empty one with id {id}"),
                );
            }
            if ids.insert(name.clone(), id).is_some() {
                return refuse("distinct names", format!("`{name}` twice"));
            }
        }
        Ok(Self { names, ids })
    }

    /// The distinct names among `names` in sorted order: as numbers where all are
    /// integers (`2` before `10`), else by code points.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no name, or one is empty.
    pub fn sorted(names: impl IntoIterator<Item: AsRef<str>>) -> Result<Self> {
        let mut distinct = BTreeSet::new();
        for name in names {
            if !distinct.contains(name.as_ref()) {
                distinct.insert(name.as_ref().to_owned());
            }
        }
        let numbers: Option<Vec<i64>> = distinct.iter().map(|name| name.parse().ok()).collect();
        match numbers {
            Some(numbers) => {
                let mut numbered: Vec<_> = numbers.into_iter().zip(distinct).collect();
                numbered.sort();
                Self::new(numbered.into_iter().map(|(_, name)| name))
            }
            None => Self::new(distinct),
        }
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no classes: never, by construction.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All names, in the order of their ids.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a class; `None` for an id that no class has.
    pub fn name(&self, id: i64) -> Option<&str> {
        let index = usize::try_from(id).ok()?;
        self.names.get(index).map(String::as_str)
    }

    /// The id of a name; `None` for an unknown one.
    ///
    /// Classes without names, `LABEL_0`, `LABEL_1`, … as transformers calls them, may be
    /// named by their ids: `0`, `1`, …. A boolean of JSON, `true`, also finds Python's `True`.
    pub fn get(&self, name: &str) -> Option<i64> {
        let id = self.ids.get(name).copied();
        id.or_else(|| match name {
            "true" => self.ids.get("True").copied(),
            "false" => self.ids.get("False").copied(),
            _ => {
                let id = name.parse::<usize>().ok()?;
                let is_id = id < self.len() && id.to_string() == name && is_unnamed(&self.names);
                is_id.then_some(id as i64)
            }
        })
    }

    /// The id of a name that should be known.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`] with all names that are known.
    pub fn id(&self, name: &str) -> Result<i64> {
        self.get(name).ok_or_else(|| Error::UnknownLabel {
            label: name.to_owned(),
            known: self.names.clone(),
        })
    }
}

impl TryFrom<Vec<String>> for Labels {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        Self::new(names)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.names
    }
}
