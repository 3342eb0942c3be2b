//! Whether tags mark entities or something else, such as parts of speech: the odd one out in a
//! file of entities is a slip.

use crate::error::{RowProblem, shown};

/// The first letters of tags: begin, inside, end, single, last, unit, middle.
const PREFIXES: [u8; 7] = *b"BIESLUM";

/// Whether these are the tags of entities (or of other parts of a sentence): `O`, and
/// prefixes with a type, as in `B-PER` or `B_PER`, or without one, of which one is `B` or `I`.
/// Lone letters without these may mean anything, such as upper and lower case.
pub(crate) fn mark_entities<'a>(tags: impl IntoIterator<Item = &'a str>) -> bool {
    let (mut typed, mut begins, mut bare) = (false, false, false);
    for tag in tags {
        match tag.as_bytes() {
            b"O" => {}
            [prefix, b'-' | b'_', ..] if PREFIXES.contains(prefix) => typed = true,
            [prefix] if PREFIXES.contains(prefix) => {
                bare = true;
                begins |= matches!(prefix, b'B' | b'I');
            }
            _ => return false,
        }
    }
    typed || begins || !bare
}

/// Whether a tag is a prefix, a hyphen and a type.
fn begins_or_goes_on(tag: &str) -> bool {
    matches!(tag.as_bytes(), [prefix, b'-', ..] if PREFIXES.contains(prefix))
}

/// What the tags of a file are.
#[derive(Debug, Default)]
pub(super) struct TagKinds {
    outside: bool,
    entities: bool,
    /// The first one that is neither, with its line.
    other: Option<(u64, String)>,
}

impl TagKinds {
    pub(super) fn see(&mut self, line: u64, tag: &str) {
        match tag {
            "O" => self.outside = true,
            _ if begins_or_goes_on(tag) => self.entities = true,
            _ if self.other.is_none() => self.other = Some((line, tag.to_owned())),
            _ => {}
        }
    }

    /// The line of the tag that marks no entity where others do, and what is wrong with it.
    pub(super) fn odd_one(&self, field: &str) -> Option<(u64, RowProblem)> {
        let other = self.other.as_ref();
        let (line, tag) = other.filter(|_| self.outside && self.entities)?;
        Some((*line, odd(tag, field)))
    }
}

/// What is wrong with the first of some tags that marks no entity, where others do.
pub(super) fn odd_of(tags: &[String], field: &str) -> Option<RowProblem> {
    let mut others = tags
        .iter()
        .filter(|tag| *tag != "O" && !begins_or_goes_on(tag));
    others.next().map(|tag| odd(tag, field))
}

fn odd(tag: &str, field: &str) -> RowProblem {
    RowProblem::Field {
        field: field.to_owned(),
        problem: format!(
            "`{}` marks no entity, as other tags do: expected O, or B-, I-, E-, S-, L-, U- or \
             M- and a type",
            shown(tag)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::mark_entities;

    #[test]
    fn tags_of_entities_are_told_from_other_words() {
        let of = |tags: &str| mark_entities(tags.split(' '));
        for tags in [
            "O B-PER I-PER",
            "O",
            "B-X",
            "B I O",
            "I O",
            "B O",
            "B_PER I_PER O",
            "B-NAME M-NAME E-NAME S-NAME O",
            "B M E S",
            "B I L U O",
            "B E O I S",
            "E-X I-X O",
            "B-X B O",
        ] {
            assert!(of(tags), "{tags}");
        }
        for tags in [
            "NOUN VERB",
            "O NOUN",
            "0 1 2",
            "U L",
            "U L M O",
            "S O",
            "b-per o",
            "PER-B O",
            "B I O X",
            "BE DO",
            "LABEL_0 LABEL_1",
        ] {
            assert!(!of(tags), "{tags}");
        }
    }
}
