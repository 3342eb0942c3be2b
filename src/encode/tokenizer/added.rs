//! Tokens that are found in a text as they stand, before it is cleaned and
//! split: the special tokens (`[SEP]`, `[MASK]`, …) and those that were added
//! to a vocabulary. In goes a text, out come its parts: text between tokens,
//! and tokens.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_categories::UnicodeCategories;

use super::normalize::{Normalized, Normalizer};

/// A token that is matched as a whole, as in `added_tokens_decoder`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AddedTokenObject")]
pub struct AddedToken {
    /// The text of the token.
    pub content: String,
    /// Whether it swallows the white space before it. Default false.
    pub lstrip: bool,
    /// Whether it is matched in the cleaned text, itself cleaned: `[ent]` then
    /// matches `[ENT]` in a lower-casing tokenizer. By default the opposite of
    /// `special`.
    pub normalized: bool,
    /// Whether it swallows the white space after it. Default false.
    pub rstrip: bool,
    /// Whether it is matched only where no letter, digit or underscore touches
    /// it. Default false.
    pub single_word: bool,
    /// Whether decoding leaves it out when asked to skip special tokens.
    /// Default false.
    pub special: bool,
}

/// An [`AddedToken`] in a file, where all but the text may be left out.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct AddedTokenObject {
    pub(super) content: String,
    #[serde(default)]
    pub(super) lstrip: bool,
    pub(super) normalized: Option<bool>,
    #[serde(default)]
    pub(super) rstrip: bool,
    #[serde(default)]
    pub(super) single_word: bool,
    #[serde(default)]
    pub(super) special: bool,
}

impl From<AddedTokenObject> for AddedToken {
    fn from(file: AddedTokenObject) -> Self {
        Self {
            content: file.content,
            lstrip: file.lstrip,
            normalized: file.normalized.unwrap_or(!file.special),
            rstrip: file.rstrip,
            single_word: file.single_word,
            special: file.special,
        }
    }
}

impl AddedToken {
    /// A special token, matched in the text as the user wrote it.
    pub fn special(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            lstrip: false,
            normalized: false,
            rstrip: false,
            single_word: false,
            special: true,
        }
    }

    /// A token that is not special, matched in the cleaned text.
    pub fn word(content: impl Into<String>) -> Self {
        Self {
            normalized: true,
            special: false,
            ..Self::special(content)
        }
    }
}

/// All added tokens with their ids, ready to be found.
#[derive(Debug)]
pub(super) struct AddedTokens {
    by_id: BTreeMap<i64, AddedToken>,
    ids: HashMap<String, i64>,
    /// Those that are matched in the text as the user wrote it.
    pub(super) in_text: Matcher,
    /// Those that are matched in the cleaned text.
    pub(super) in_cleaned: Matcher,
}

impl AddedTokens {
    /// With `split_special`, special tokens in a text are text.
    pub(super) fn new(
        by_id: BTreeMap<i64, AddedToken>,
        normalizer: &Normalizer,
        split_special: bool,
    ) -> Self {
        let mut in_text = Vec::new();
        let mut in_cleaned = Vec::new();
        for (&id, token) in &by_id {
            let mut target = Target {
                id,
                text: token.content.clone(),
                token: token.clone(),
            };
            if token.normalized {
                let mut cleaned = Normalized::default();
                normalizer.run(&token.content, 0, &mut cleaned);
                target.text = cleaned.text;
                in_cleaned.push(target);
            } else {
                in_text.push(target);
            }
        }
        Self {
            ids: by_id
                .iter()
                .map(|(&id, token)| (token.content.clone(), id))
                .collect(),
            in_text: Matcher::new(in_text, split_special),
            in_cleaned: Matcher::new(in_cleaned, split_special),
            by_id,
        }
    }

    pub(super) fn id(&self, content: &str) -> Option<i64> {
        self.ids.get(content).copied()
    }

    pub(super) fn get(&self, id: i64) -> Option<&AddedToken> {
        self.by_id.get(&id)
    }

    /// The largest id among them.
    pub(super) fn last_id(&self) -> Option<i64> {
        self.by_id.keys().next_back().copied()
    }
}

/// A token to look for.
#[derive(Debug)]
struct Target {
    id: i64,
    /// What is looked for: the content, or the cleaned content.
    text: String,
    token: AddedToken,
}

/// Finds tokens in a text, the leftmost first, and of these the longest.
#[derive(Debug)]
pub(super) struct Matcher {
    /// The longest first.
    targets: Vec<Target>,
    /// Whether a target begins with this byte.
    begins: [bool; 256],
    split_special: bool,
}

impl Matcher {
    fn new(mut targets: Vec<Target>, split_special: bool) -> Self {
        // A token that cleaning leaves nothing of cannot be found.
        targets.retain(|target| !target.text.is_empty());
        targets.sort_by_key(|target| std::cmp::Reverse(target.text.len()));
        let mut begins = [false; 256];
        for target in &targets {
            begins[usize::from(target.text.as_bytes()[0])] = true;
        }
        Self {
            targets,
            begins,
            split_special,
        }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Hands the parts of `text`, in order, to `emit`: byte ranges, with the
    /// id if the part is a token.
    pub(super) fn split(&self, text: &str, mut emit: impl FnMut(Range<usize>, Option<i64>)) {
        let mut done = 0;
        let mut at = 0;
        while let Some((found, target)) = self.find(text, at.max(done)) {
            at = found.end;
            let token = &target.token;
            if (self.split_special && token.special)
                || (token.single_word && touches_word(text, &found))
            {
                continue;
            }
            let Range { mut start, mut end } = found;
            if token.lstrip {
                start = text[..start].trim_end().len().max(done);
            }
            if token.rstrip {
                end = text.len() - text[end..].trim_start().len();
            }
            if done < start {
                emit(done..start, None);
            }
            emit(start..end, Some(target.id));
            done = end;
        }
        if done < text.len() {
            emit(done..text.len(), None);
        }
    }

    /// The first token at or after byte `from`.
    fn find(&self, text: &str, from: usize) -> Option<(Range<usize>, &Target)> {
        if self.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            at += bytes[at..]
                .iter()
                .position(|&byte| self.begins[usize::from(byte)])?;
            let rest = &bytes[at..];
            let target = self
                .targets
                .iter()
                .find(|one| rest.starts_with(one.text.as_bytes()));
            match target {
                Some(target) => return Some((at..at + target.text.len(), target)),
                None => at += 1,
            }
        }
    }
}

/// Whether a word character stands right before or right after.
fn touches_word(text: &str, found: &Range<usize>) -> bool {
    text[..found.start]
        .chars()
        .next_back()
        .is_some_and(is_word_char)
        || text[found.end..].chars().next().is_some_and(is_word_char)
}

/// The class `\w` of regular expressions: UTS #18, annex C. Marks and digits
/// that are newer than Unicode 8 are not known here.
fn is_word_char(c: char) -> bool {
    c.is_alphabetic()
        || c.is_mark()
        || c.is_number_decimal_digit()
        || c.is_punctuation_connector()
        || matches!(c, '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(tokens: &[AddedToken], text: &str) -> Vec<String> {
        let by_id = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (id as i64, token.clone()));
        let added = AddedTokens::new(by_id.collect(), &Normalizer::new(true, true, true), false);
        let mut parts = Vec::new();
        added.in_text.split(text, |range, id| {
            let part = &text[range];
            parts.push(id.map_or(part.to_owned(), |id| format!("{id}:{part}")));
        });
        parts
    }

    #[test]
    fn tokens_are_found_verbatim_and_the_longest_wins() {
        let tokens = ["[A]", "[A][B]", "é"].map(AddedToken::special);
        assert_eq!(
            parts(&tokens, "x[A][A][B]y"),
            ["x", "0:[A]", "1:[A][B]", "y"]
        );
        assert_eq!(parts(&tokens, "[a] [ A] [A"), ["[a] [ A] [A"]);
        assert_eq!(parts(&tokens, "caféé"), ["caf", "2:é", "2:é"]);
        assert_eq!(parts(&tokens, ""), [""; 0]);
    }

    #[test]
    fn a_token_can_swallow_space_or_stand_alone_only() {
        let strips = AddedToken {
            lstrip: true,
            rstrip: true,
            ..AddedToken::special("[A]")
        };
        assert_eq!(
            parts(&[strips], "x \t[A] \u{3000}y"),
            ["x", "0: \t[A] \u{3000}", "y"]
        );
        // The space is swallowed already, whoever else begins with it.
        let after = |token: AddedToken| AddedToken {
            lstrip: true,
            rstrip: true,
            ..token
        };
        let both = ["[A]", " "].map(|content| after(AddedToken::special(content)));
        assert_eq!(
            parts(&both, "x[A]   y z"),
            ["x", "0:[A]   ", "y", "1: ", "z"]
        );
        let alone = AddedToken {
            single_word: true,
            ..AddedToken::special("no")
        };
        assert_eq!(parts(&[alone], "no, nod _no"), ["0:no", ", nod _no"]);
    }
}
