//! The JSON of questions in all the forms that are in use: SQuAD's own, in which paragraphs
//! hold questions, and rows that hold everything, in a list or one after another. What does
//! not matter here is passed over; what is read is not judged.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

/// A value at the top of a file.
#[derive(Debug)]
pub(super) enum Top {
    /// An object with the key `data`.
    Data(Vec<Part<Item>>),
    List(Vec<Part<Item>>),
    One(Part<Item>),
}

/// A part of a file, or why it is none, so that one that cannot be used says nothing of the
/// others.
#[derive(Debug)]
pub(super) struct Part<T>(pub(super) Result<T, String>);

/// An element of a list.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Fields")]
pub(super) enum Item {
    Article(Vec<Part<Paragraph>>),
    Row(Box<Row>),
}

/// A question with its context.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) context: String,
    pub(super) question: Question,
}

#[derive(Debug, Deserialize)]
pub(super) struct Paragraph {
    pub(super) context: String,
    pub(super) qas: Vec<Part<Question>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Question {
    pub(super) id: Id,
    pub(super) question: String,
    /// `None` without the key.
    #[serde(default, deserialize_with = "given")]
    pub(super) answers: Option<Answers>,
    pub(super) is_impossible: Option<bool>,
}

/// A text, or a whole number as the text that writes it.
#[derive(Debug)]
pub(super) struct Id(pub(super) String);

/// Answers as an object for each or as two lists; `null` is none.
#[derive(Debug, Default)]
pub(super) struct Answers(pub(super) Vec<RawAnswer>);

#[derive(Debug, Deserialize)]
pub(super) struct RawAnswer {
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) answer_start: Start,
}

impl RawAnswer {
    /// An empty text is no answer.
    pub(super) fn has_text(&self) -> bool {
        let text = self.text.as_deref();
        text.is_some_and(|text| !text.trim().is_empty())
    }
}

/// A place, which some files give as -1 or `null` where there is no answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start(pub(super) Option<i64>);

/// All keys of an object that matter, wherever it stands.
#[derive(Deserialize)]
#[serde(expecting = "an object with questions")]
struct Fields {
    paragraphs: Option<Vec<Part<Paragraph>>>,
    context: Option<String>,
    id: Option<Id>,
    question: Option<String>,
    #[serde(default, deserialize_with = "given")]
    answers: Option<Answers>,
    is_impossible: Option<bool>,
}

/// What stands under a key that is there, `null` too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Answers>, D::Error> {
    Answers::deserialize(deserializer).map(Some)
}

impl TryFrom<Fields> for Item {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        if let Some(paragraphs) = fields.paragraphs {
            return Ok(Self::Article(paragraphs));
        }
        let row = [
            ("id", fields.id.is_some()),
            ("context", fields.context.is_some()),
            ("question", fields.question.is_some()),
        ];
        if let (Some(id), Some(context), Some(question)) =
            (fields.id, fields.context, fields.question)
        {
            return Ok(Self::Row(Box::new(Row {
                context,
                question: Question {
                    id,
                    question,
                    answers: fields.answers,
                    is_impossible: fields.is_impossible,
                },
            })));
        }
        let absent = row.iter().find(|(_, there)| !there);
        Err(match absent {
            Some((absent, _)) if row.iter().any(|(_, there)| *there) => {
                format!("missing field `{absent}`")
            }
            _ => "expected `paragraphs`, as in SQuAD's own form, or a row with `id`, `context`, \
                  `question` and `answers`"
                .to_owned(),
        })
    }
}

impl<T: DeserializeOwned> Part<T> {
    fn of(value: Value) -> Self {
        Self(T::deserialize(value).map_err(|error| error.to_string()))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::of)
    }
}

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Top;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with questions or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Top, A::Error> {
                let list = de::value::SeqAccessDeserializer::new(list);
                Vec::deserialize(list).map(Top::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
                let (mut data, mut fields) = (None, Map::new());
                while let Some(key) = map.next_key::<String>()? {
                    if key == "data" {
                        data = Some(map.next_value()?);
                    } else {
                        fields.insert(key, map.next_value()?);
                    }
                }
                Ok(match data {
                    Some(data) => Top::Data(data),
                    None => Top::One(Part::of(Value::Object(fields))),
                })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id: a string or a whole number")
            }

            fn visit_str<E: Error>(self, id: &str) -> Result<Id, E> {
                Ok(Id(id.to_owned()))
            }

            fn visit_u64<E: Error>(self, id: u64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }

            fn visit_i64<E: Error>(self, id: i64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;
        impl Visitor<'_> for Place {
            type Value = Start;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a character's number")
            }

            fn visit_u64<E: Error>(self, start: u64) -> Result<Start, E> {
                Ok(Start(Some(i64::try_from(start).unwrap_or(i64::MAX))))
            }

            fn visit_i64<E: Error>(self, start: i64) -> Result<Start, E> {
                Ok(Start(Some(start)))
            }

            /// As data frames write numbers where some are absent.
            fn visit_f64<E: Error>(self, start: f64) -> Result<Start, E> {
                match start.fract() == 0.0 {
                    true => Ok(Start(Some(start as i64))),
                    false => Err(E::invalid_value(de::Unexpected::Float(start), &self)),
                }
            }

            fn visit_unit<E: Error>(self) -> Result<Start, E> {
                Ok(Start(None))
            }
        }
        deserializer.deserialize_any(Place)
    }
}

/// Answers as the lists of their texts and places.
#[derive(Deserialize)]
struct Lists {
    text: Option<Vec<Option<String>>>,
    answer_start: Option<Vec<Start>>,
}

impl Lists {
    fn answers<E: Error>(self) -> Result<Answers, E> {
        let texts = self.text.unwrap_or_default();
        let unknown = || vec![Start(None); texts.len()];
        let starts = self.answer_start.unwrap_or_else(unknown);
        if texts.len() != starts.len() {
            return Err(E::custom(format!(
                "`answers` has {} in `text`, but {} in `answer_start`",
                texts.len(),
                starts.len()
            )));
        }
        let pairs = texts.into_iter().zip(starts);
        let answer = |(text, answer_start)| RawAnswer { text, answer_start };
        Ok(Answers(pairs.map(answer).collect()))
    }
}

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;
        impl<'de> Visitor<'de> for AnyForm {
            type Value = Answers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("answers: objects, or lists of `text` and `answer_start`")
            }

            fn visit_unit<E: Error>(self) -> Result<Answers, E> {
                Ok(Answers::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Answers, A::Error> {
                let list = de::value::SeqAccessDeserializer::new(list);
                Vec::deserialize(list).map(Answers)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Answers, A::Error> {
                Lists::deserialize(MapAccessDeserializer::new(map))?.answers()
            }
        }
        deserializer.deserialize_any(AnyForm)
    }
}
