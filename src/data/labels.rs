//! The names of a task's classes and their ids: what a model's `config.json`
//! calls `label2id` and `id2label`. Ids count from 0 without gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::whole_file;

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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels {
    names: Vec<String>,
    ids: BTreeMap<String, i64>,
    /// Whether files may have ids instead of names.
    or_ids: bool,
}

/// Whether the names are those that transformers gives to classes without names: `LABEL_0`,
/// `LABEL_1`, …
pub(crate) fn is_unnamed(names: &[String]) -> bool {
    let numbers = names.iter().map(|name| name.strip_prefix("LABEL_"));
    numbers
        .zip(0..)
        .all(|(number, id): (_, usize)| number == Some(id.to_string().as_str()))
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Labels {}

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
        let or_ids = is_unnamed(&names);
        Ok(Self { names, ids, or_ids })
    }

    /// The distinct names among `names` in sorted order: as numbers where all are
    /// numbers (`2` before `10`), else by code points.
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
        let numbers: Option<Vec<f64>> = distinct.iter().map(|name| number(name)).collect();
        match numbers {
            Some(numbers) => {
                let mut numbered: Vec<_> = numbers.into_iter().zip(distinct).collect();
                // Stable: those that are equal stay in the order of text.
                numbered.sort_by(|(a, _), (b, _)| a.total_cmp(b));
                Self::new(numbered.into_iter().map(|(_, name)| name))
            }
            None => Self::new(distinct),
        }
    }

    /// The classes but for -1, where they are the ids 0, 1, 2 and so on besides: Hugging Face's
    /// `datasets` marks rows without a gold label by -1, as in SNLI. `None` where that is not so,
    /// and where the ids are 0 and 1 alone, beside which -1 may be a class.
    pub fn without_missing(&self) -> Option<Self> {
        let ids = || self.names.iter().filter(|name| *name != "-1");
        let are_ids = ids()
            .zip(0..)
            .all(|(name, id)| number(name) == Some(f64::from(id)));
        let missing = self.names.len() > ids().count();
        let gold = (missing && are_ids && ids().count() > 2).then(|| Self::new(ids().cloned()));
        gold?.ok()
    }

    /// The names in a file, one a line, in the order of their ids. Spaces around a name and blank
    /// lines are no part of them.
    ///
    /// # Errors
    /// When the file cannot be read, has no name, or has one twice.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refuse = |problem| Error::File {
            path: path.to_owned(),
            problem,
        };
        let text = whole_file::read(path)?;
        let text = String::from_utf8(text).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        Self::new(lines.filter(|name| !name.is_empty())).map_err(|error| refuse(error.to_string()))
    }

    /// The same classes, of which a file may have the ids where none of the names is a number: `2`
    /// then stands for the third. Of `LABEL_0`, `LABEL_1`, …, as transformers calls classes without
    /// names, it always may.
    pub fn or_ids(self) -> Self {
        Self {
            or_ids: true,
            ..self
        }
    }

    /// The name that a label of a file stands for: the same text, the same number (`1.0` for
    /// `1`), the same truth value (`true` for `True`), or the class of this id where
    /// [`or_ids`](Self::or_ids) holds. `None` if there is no such class.
    pub fn resolve(&self, label: &str) -> Option<&str> {
        if let Some((name, _)) = self.ids.get_key_value(label) {
            return Some(name);
        }
        let mut names = self.names.iter();
        if let Some(truth) = truth(label) {
            return names
                .find(|name| self::truth(name) == Some(truth))
                .map(String::as_str);
        }
        let number = number(label)?;
        if let Some(name) = names.find(|name| self::number(name) == Some(number)) {
            return Some(name);
        }
        let named = self.names.iter().any(|name| self::number(name).is_some());
        let id = number as usize;
        let is_id = self.or_ids
            && !named
            && [id.to_string(), format!("{id}.0")].contains(&label.to_owned());
        let name = is_id.then(|| self.names.get(id)).flatten();
        name.map(String::as_str)
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

    /// The id of the class that a label stands for, as [`resolve`](Self::resolve) finds it; `None`
    /// for an unknown one.
    pub fn get(&self, label: &str) -> Option<i64> {
        self.ids.get(self.resolve(label)?).copied()
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

/// JSON's and Python's words for truth values.
fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    }
}

/// A finite number in decimal digits.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.filter(|number: &f64| number.is_finite())
}
