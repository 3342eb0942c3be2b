//! Objects with several questions about one text, as RACE is published: `article`, and lists of
//! `questions`, `options` and `answers`.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::RowProblem;

type Object = Map<String, Value>;

/// Lists with an item for each question, and the fields that an item is in an object with one.
const LISTS: [(&str, &str); 3] = [
    ("questions", "question"),
    ("options", "options"),
    ("answers", "answer"),
];

/// An object for each question: itself where it has one.
pub(super) fn questions(object: &Object) -> Result<Vec<Cow<'_, Object>>, RowProblem> {
    let list = |key| object.get(key).and_then(Value::as_array);
    let (Some(questions), Some(options)) = (list("questions"), list("options")) else {
        return Ok(vec![Cow::Borrowed(object)]);
    };
    let lengths = [Some(options), list("answers")].into_iter().flatten();
    if lengths
        .map(Vec::len)
        .any(|length| length != questions.len())
    {
        return Err(RowProblem::Field {
            field: "questions".to_owned(),
            problem: "expected as many as there are `options` and `answers`".to_owned(),
        });
    }
    let question = |place: usize| {
        let mut one = object.clone();
        for (many, single) in LISTS {
            if let Some(Value::Array(mut items)) = one.remove(many) {
                one.insert(single.to_owned(), items.swap_remove(place));
            }
        }
        Cow::Owned(one)
    };
    Ok((0..questions.len()).map(question).collect())
}
