//! What a tagger answers: tags of words, and entities with their places in a text.

use crate::encode::Encoding;
use crate::metrics::{TagSpan, tag_spans};

/// The tag of a word.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WordTag {
    /// The tag's name.
    pub label: String,
    /// Its probability.
    pub score: f32,
}

/// Some words of a text that belong together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entity {
    /// The type, such as `PER`.
    pub label: String,
    /// The words as they stand in the text.
    pub text: String,
    /// The first character, from 0; characters are Unicode code points.
    pub start: usize,
    /// The character after the last one.
    pub end: usize,
    /// The mean of the words' scores.
    pub score: f32,
}

/// The entities that the tags of a text's words mark.
pub(super) fn entities_of(text: &str, whole: &Encoding, tags: &[WordTag]) -> Vec<Entity> {
    // The characters of each word.
    let mut words: Vec<Option<(usize, usize)>> = vec![None; tags.len()];
    for (word, &(start, end)) in whole.word_ids.iter().zip(&whole.offsets) {
        if let Some(word) = *word {
            let (first, last) = words[word].unwrap_or((start, end));
            words[word] = Some((first.min(start), last.max(end)));
        }
    }
    let labels: Vec<&str> = tags.iter().map(|tag| tag.label.as_str()).collect();
    // The byte at which each character begins.
    let bytes: Vec<usize> = text
        .char_indices()
        .map(|(byte, _)| byte)
        .chain([text.len()])
        .collect();
    let entity = |span: TagSpan| {
        let places = words[span.start..span.end].iter().flatten();
        let start = places.clone().map(|place| place.0).min()?;
        let end = places.map(|place| place.1).max()?;
        let scores = tags[span.start..span.end].iter().map(|tag| tag.score);
        let count = scores.len() as f32;
        Some(Entity {
            label: span.label,
            text: text[bytes[start]..bytes[end]].to_owned(),
            start,
            end,
            score: scores.sum::<f32>() / count,
        })
    };
    tag_spans(&labels).into_iter().filter_map(entity).collect()
}
