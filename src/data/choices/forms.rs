//! The forms in which data sets of multiple choice are published: an object comes in, and what a
//! model reads of it goes out.

use serde_json::{Map, Value};

use super::super::records::kind;
use super::ChoiceExample;
use crate::error::{RowProblem, listed, shown};

type Object = Map<String, Value>;

/// What question and endings are about; the first that there is.
const CONTEXTS: [&str; 8] = [
    "context", "article", "passage", "ctx", "sent1", "ctx_a", "premise", "text",
];

/// What an ending follows.
const QUESTIONS: [&str; 6] = [
    "question",
    "sent2",
    "ctx_b",
    "question_stem",
    "goal",
    "sentence",
];

const ENDINGS: [&str; 4] = ["endings", "choices", "options", "answers"];

/// Beginnings of the keys of endings that have one each.
const NUMBERED: [&str; 6] = ["ending", "answer", "choice", "option", "sol", "opt"];

const LABELS: [&str; 3] = ["label", "answer", "answerKey"];

/// Fields that say why the right ending is right, or repeat what is read.
const UNREAD: [&str; 6] = [
    "explanation",
    "explanations",
    "exp",
    "rationale",
    "startphrase",
    "solution",
];

/// The keys that somebody has named.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    pub(super) question: Option<String>,
    /// `Some(None)` where there is to be none.
    pub(super) context: Option<Option<String>>,
    pub(super) endings: Option<String>,
    pub(super) label: Option<String>,
}

/// A question of a file.
pub(super) struct Found {
    /// Without its label.
    pub(super) example: ChoiceExample,
    pub(super) label: Result<usize, RowProblem>,
    /// The label as the file has it.
    pub(super) written: Option<String>,
    pub(super) endings_key: String,
}

/// Endings, and what the file calls them besides.
struct Endings {
    key: String,
    /// Other keys that belong to them.
    keys: Vec<String>,
    texts: Vec<String>,
    names: Option<Vec<String>>,
}

impl Keys {
    pub(super) fn has_label(&self, object: &Object) -> bool {
        self.label_in(object).is_some()
    }

    pub(super) fn find(&self, object: &Object) -> Result<Found, RowProblem> {
        let (question_key, mut question) = self.question(object)?;
        let (context_key, context) = self.context(object, question_key.as_deref())?;
        // HellaSwag's `ctx` has its `ctx_b` already.
        if (context_key.as_deref(), question_key.as_deref()) == (Some("ctx"), Some("ctx_b")) {
            question = None;
        }
        let endings = self.endings(object)?;
        let mut used = endings.keys.clone();
        used.extend(question_key.clone());
        used.extend(context_key);
        let (first, texts) = match (context, question) {
            (Some(context), Some(question)) => {
                let gap = question_key.as_deref() == Some("question") && question.contains('_');
                let after = |ending: &String| match (question.trim(), gap) {
                    (_, true) => question.replace('_', ending),
                    ("", false) => ending.clone(),
                    (_, false) => format!("{question} {ending}"),
                };
                (context, endings.texts.iter().map(after).collect())
            }
            (Some(only), None) | (None, Some(only)) => (only, endings.texts.clone()),
            (None, None) => {
                let key = self.question.as_deref().unwrap_or(QUESTIONS[0]);
                return Err(problem(key, absent(object)));
            }
        };
        if self.context.is_none() {
            self.refuse_unread(object, &used, &first, &texts)?;
        }
        let label = self.label_in(object);
        Ok(Found {
            label: self.label(object, &endings),
            written: label.map(|(_, value)| shown(&value.to_string())),
            example: ChoiceExample {
                question: first,
                endings: texts,
                label: None,
            },
            endings_key: endings.key,
        })
    }

    /// The question, if there is one; some files have it in an object with its choices.
    fn question(&self, object: &Object) -> Result<(Option<String>, Option<String>), RowProblem> {
        let key = match &self.question {
            Some(key) if object.contains_key(key) => Some(key.as_str()),
            Some(key) => return Err(problem(key, absent(object))),
            None => present(object, &QUESTIONS),
        };
        let Some(key) = key else {
            return Ok((None, None));
        };
        let text = match &object[key] {
            Value::Object(inner) => text_of(key, inner.get("stem").unwrap_or(&Value::Null))?,
            value => text_of(key, value)?,
        };
        Ok((Some(key.to_owned()), Some(text)))
    }

    fn context(
        &self,
        object: &Object,
        question: Option<&str>,
    ) -> Result<(Option<String>, Option<String>), RowProblem> {
        let key = match &self.context {
            Some(None) => None,
            Some(Some(key)) if object.contains_key(key) => Some(key.as_str()),
            Some(Some(key)) => return Err(problem(key, absent(object))),
            None => {
                let others: Vec<&str> = CONTEXTS
                    .into_iter()
                    .filter(|&key| Some(key) != question)
                    .collect();
                present(object, &others)
            }
        };
        match key {
            Some(key) => Ok((Some(key.to_owned()), Some(text_of(key, &object[key])?))),
            None => Ok((None, None)),
        }
    }

    fn endings(&self, object: &Object) -> Result<Endings, RowProblem> {
        let key = match &self.endings {
            Some(key) if object.contains_key(key) => Some(key.as_str()),
            Some(key) => return Err(problem(key, absent(object))),
            None => present(object, &ENDINGS),
        };
        if let Some(key) = key {
            return listed_endings(key, &object[key]);
        }
        if let Some(endings) = numbered(object)? {
            return Ok(endings);
        }
        match object
            .get("question")
            .and_then(|question| question.get("choices"))
        {
            Some(choices) => listed_endings("choices", choices),
            None => Err(problem(ENDINGS[0], absent(object))),
        }
    }

    fn label_in<'a>(&self, object: &'a Object) -> Option<(String, &'a Value)> {
        let given = self.label.iter().map(String::as_str);
        let usual = LABELS.into_iter().filter(|_| self.label.is_none());
        // A list of answers is one of endings.
        let mut found = given
            .chain(usual)
            .filter_map(|key| Some((key.to_owned(), object.get(key)?)));
        found.find(|(_, value)| !value.is_array())
    }

    /// The index of the right ending.
    fn label(&self, object: &Object, endings: &Endings) -> Result<usize, RowProblem> {
        let Some((key, value)) = self.label_in(object) else {
            let key = self.label.as_deref().unwrap_or(LABELS[0]);
            return Err(problem(key, absent(object)));
        };
        let found = match value {
            Value::Number(number) => {
                let whole = number
                    .as_f64()
                    .filter(|number| number.fract() == 0.0 && *number >= 0.0);
                number.as_u64().or(whole.map(|number| number as u64))
            }
            Value::String(text) => endings.place(text.trim(), &key),
            _ => None,
        };
        let refused = || {
            let value = shown(&value.to_string());
            problem(&key, format!("expected an index, found {value}"))
        };
        found.map(|index| index as usize).ok_or_else(refused)
    }

    /// An error where a text would not be read that the question may need.
    fn refuse_unread(
        &self,
        object: &Object,
        used: &[String],
        first: &str,
        endings: &[String],
    ) -> Result<(), RowProblem> {
        let read = [first]
            .into_iter()
            .chain(endings.iter().map(String::as_str));
        let read: Vec<String> = read.map(plain).collect();
        for (key, value) in object {
            let label = self
                .label_in(object)
                .is_some_and(|(label, _)| label == *key);
            if label || used.contains(key) || UNREAD.contains(&key.as_str()) {
                continue;
            }
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Array(parts) => {
                    let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                    parts.join(" ")
                }
                _ => continue,
            };
            let part = plain(&text);
            if is_passage(&text) && !read.iter().any(|read| read.contains(&part)) {
                let rule = "it looks like a text that the question is about, but would not be \
                            read: name it as the `context` (--context-column), or say that there is \
                            none (--context-column none)";
                return Err(problem(key, rule.to_owned()));
            }
        }
        Ok(())
    }
}

impl Endings {
    /// The index that a word for the right ending stands for.
    fn place(&self, word: &str, key: &str) -> Option<u64> {
        let position = |names: &[String]| names.iter().position(|name| name == word);
        // Two data sets count from 1: `answerA` with `label` 1, `option1` with `answer` 1.
        let from_one = match self.key.as_str() {
            "answerA" => key == "label",
            "option1" => key == "answer",
            _ => false,
        };
        let letter = match word.as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => {
                let place = usize::from(letter.to_ascii_lowercase() - b'a');
                Some(place).filter(|&place| place < self.texts.len())
            }
            _ => None,
        };
        let number = word.parse::<u64>().ok();
        if let Some(place) = self.names.as_deref().and_then(position) {
            return Some(place as u64);
        }
        match (number, letter) {
            (Some(number), _) if from_one => number.checked_sub(1),
            (Some(number), _) => Some(number),
            (None, Some(letter)) => Some(letter as u64),
            (None, None) => position(&self.texts).map(|place| place as u64),
        }
    }
}

/// The endings of a list of texts, or of objects or lists with their names.
fn listed_endings(key: &str, value: &Value) -> Result<Endings, RowProblem> {
    let rule = |found: &str| problem(key, format!("expected a list of strings, found {found}"));
    let texts = |value: &Value| -> Result<Vec<String>, RowProblem> {
        let values = value.as_array().ok_or_else(|| rule(kind(value)))?;
        let text = |value: &Value| {
            let text = value.as_str().or_else(|| value.get("text")?.as_str());
            text.map(str::to_owned)
                .ok_or_else(|| rule(&format!("{} in it", kind(value))))
        };
        values.iter().map(text).collect()
    };
    let name = |value: &Value| value.get("label")?.as_str().map(str::to_owned);
    let (texts, names) = match value {
        // Letters with their texts.
        Value::Object(texts) if !texts.is_empty() && texts.values().all(Value::is_string) => {
            let endings = texts.values().filter_map(Value::as_str);
            let endings = endings.map(str::to_owned).collect();
            (endings, Some(texts.keys().cloned().collect()))
        }
        Value::Object(lists) => {
            let of = |key| texts(lists.get(key).unwrap_or(&Value::Null));
            (of("text")?, of("label").ok())
        }
        value => {
            let names = value.as_array().into_iter().flatten().map(name).collect();
            (texts(value)?, names)
        }
    };
    Ok(Endings {
        key: key.to_owned(),
        keys: vec![key.to_owned()],
        names: names.filter(|names: &Vec<String>| names.len() == texts.len()),
        texts,
    })
}

/// Endings with a field each: `ending0`, `ending1`, …
fn numbered(object: &Object) -> Result<Option<Endings>, RowProblem> {
    const ENDS: [[&str; 8]; 3] = [
        ["0", "1", "2", "3", "4", "5", "6", "7"],
        ["1", "2", "3", "4", "5", "6", "7", "8"],
        ["A", "B", "C", "D", "E", "F", "G", "H"],
    ];
    for (prefix, ends) in NUMBERED
        .iter()
        .flat_map(|prefix| ENDS.map(|ends| (prefix, ends)))
    {
        let keys = ends.iter().map(|end| format!("{prefix}{end}"));
        let keys: Vec<String> = keys.take_while(|key| object.contains_key(key)).collect();
        if keys.len() > 1 {
            // A question may have fewer than others of its table.
            let filled = keys.iter().filter(|key| !object[*key].is_null());
            let texts = filled.map(|key| text_of(key, &object[key]));
            return Ok(Some(Endings {
                key: keys[0].clone(),
                texts: texts.collect::<Result<_, _>>()?,
                keys,
                names: None,
            }));
        }
    }
    Ok(None)
}

/// The first of some keys that has a value.
fn present<'a>(object: &Object, keys: &[&'a str]) -> Option<&'a str> {
    let has_value = |key: &&&str| object.get(**key).is_some_and(|value| !value.is_null());
    keys.iter().find(has_value).copied()
}

fn text_of(key: &str, value: &Value) -> Result<String, RowProblem> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(problem(
            key,
            format!("expected a string, found {}", kind(other)),
        )),
    }
}

/// Whether a text is more than a name or an address.
fn is_passage(text: &str) -> bool {
    let unspaced = |c: &char| !c.is_ascii() && c.is_alphanumeric();
    text.split_whitespace().count() > 5 || text.chars().filter(unspaced).count() > 20
}

/// A text for comparison.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

fn absent(object: &Object) -> String {
    let keys: Vec<String> = object
        .keys()
        .map(|key| format!("`{}`", shown(key)))
        .collect();
    format!("absent, the object has {}", listed(&keys))
}

fn problem(field: &str, problem: String) -> RowProblem {
    RowProblem::Field {
        field: field.to_owned(),
        problem,
    }
}
