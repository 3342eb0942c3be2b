//! `vocab.txt`: one token a line, the first has the id 0. In go its bytes, or the
//! tokens of a `tokenizer.json`; out comes the map from tokens to ids. What makes
//! a vocabulary unusable is an error with its line or token.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::error::{Error, Result, RowProblem};

/// Tokens with their ids.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) ids: HashMap<String, i64>,
    /// Number of lines, which is the id that transformers gives to the first added token.
    pub(super) len: usize,
}

impl Vocabulary {
    /// How many ids a text can become: every id is below it. An empty token, which the last
    /// line of many files is, can never be found, so that no model needs a row for it.
    pub(super) fn reachable(&self) -> usize {
        let tokens = self.ids.iter().filter(|(token, _)| !token.is_empty());
        tokens.map(|(_, &id)| id as usize + 1).max().unwrap_or(0)
    }

    /// How many tokens have a capital, which a lower-casing tokenizer never finds, and the
    /// one of them with the lowest id. Tokens in brackets, such as `[MASK]` and `[unused1]`,
    /// do not count.
    pub(super) fn with_capitals(&self) -> (usize, Option<&str>) {
        let in_brackets = |token: &str| token.starts_with('[') && token.ends_with(']');
        let capitals = self.ids.iter().filter(|(token, _)| {
            !in_brackets(token) && token.chars().any(|c| !c.to_lowercase().eq([c]))
        });
        let first = capitals.clone().min_by_key(|(_, id)| **id);
        (capitals.count(), first.map(|(token, _)| token.as_str()))
    }
}

/// Most ids of a vocabulary; more is a broken file.
const MOST_IDS: i64 = 1 << 24;

/// The content of the `vocab.txt` of tokens with ids, which need not be in order.
///
/// Ids without a token, as in a `tokenizer.json` whose `vocab.txt` had a token twice, get
/// the last token, whose last line counts; there may be as many as there are tokens.
///
/// # Errors
/// What is wrong with the tokens.
pub(super) fn text_of(ids: &HashMap<String, i64>) -> std::result::Result<String, String> {
    let mut by_id = BTreeMap::new();
    for (token, &id) in ids {
        if token.contains(['\n', '\r']) {
            return Err(format!(
                "the token {token:?} has a line break, which no vocab.txt can hold"
            ));
        }
        if !(0..MOST_IDS).contains(&id) {
            let most = MOST_IDS - 1;
            return Err(format!("the id of {token:?} is {id}: expected 0 to {most}"));
        }
        if let Some(other) = by_id.insert(id, token.as_str()) {
            let (a, b) = (other.min(token), token.as_str().max(other));
            return Err(format!("{a:?} and {b:?} both have the id {id}"));
        }
    }
    let Some((&last, &filler)) = by_id.last_key_value() else {
        return Err("no tokens".to_owned());
    };
    let tokens = by_id.len() as i64;
    if last >= 2 * tokens {
        return Err(format!(
            "its vocabulary has {tokens} tokens and ids up to {last}: most ids have no token"
        ));
    }
    let lines = (0..=last).map(|id| by_id.get(&id).copied().unwrap_or(filler));
    Ok(lines.flat_map(|token| [token, "\n"]).collect())
}

/// Reads the lines of a vocabulary as Python reads a text file: a line ends in
/// `\n`, `\r\n` or `\r`, and nothing is trimmed.
///
/// A token that stands there twice has the later id, as in transformers: such
/// models exist, and their earlier row is simply never used. One warning is
/// logged, since in a file made by hand it is a mistake.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vocabulary> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        Error::Line {
            path: path.to_owned(),
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64,
            problem: RowProblem::Utf8 {
                byte: before.len() - line_start,
            },
        }
    })?;
    if text.starts_with('\u{feff}') {
        let problem = RowProblem::Syntax("a byte order mark, which would be in the token".into());
        return Err(Error::Line {
            path: path.to_owned(),
            line: 1,
            problem,
        });
    }
    if text.is_empty() {
        return Err(Error::File {
            path: path.to_owned(),
            problem: "no tokens".to_owned(),
        });
    }
    let unix;
    let text = if text.contains('\r') {
        unix = text.replace("\r\n", "\n").replace('\r', "\n");
        &unix
    } else {
        text
    };
    let mut ids = HashMap::new();
    let (mut len, mut twice) = (0, 0);
    let mut first_twice = None;
    for (id, token) in text
        .strip_suffix('\n')
        .unwrap_or(text)
        .split('\n')
        .enumerate()
    {
        if let Some(earlier) = ids.insert(token.to_owned(), id as i64) {
            twice += 1;
            first_twice.get_or_insert((id + 1, token, earlier + 1));
        }
        len = id + 1;
    }
    if let Some((line, token, earlier)) = first_twice {
        let others = match twice {
            1 => String::new(),
            _ => format!(", and so for {} others", twice - 1),
        };
        log::warn!(
            "{}:{line}: {token:?} is also on line {earlier}; the later one counts{others}",
            path.display(),
        );
    }
    Ok(Vocabulary { ids, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        parse(Path::new("vocab.txt"), bytes)
            .expect_err("bad")
            .to_string()
    }

    #[test]
    fn lines_are_ids_and_nothing_is_trimmed() {
        for text in ["[PAD]\n a \n\n\u{2028}", "[PAD]\r\n a \r\n\r\n\u{2028}\r\n"] {
            let vocabulary = parse(Path::new("vocab.txt"), text.as_bytes()).expect("valid");
            assert_eq!(vocabulary.len, 4);
            let ids = ["[PAD]", " a ", "", "\u{2028}"].map(|token| vocabulary.ids[token]);
            assert_eq!(ids, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn of_a_token_that_stands_twice_the_later_counts() {
        let vocabulary = parse(Path::new("vocab.txt"), b"a\nb\na\n").expect("valid");
        assert_eq!(
            (vocabulary.ids["a"], vocabulary.ids.len(), vocabulary.len),
            (2, 2, 3)
        );
    }

    #[test]
    fn an_empty_last_line_needs_no_row() {
        let vocabulary = parse(Path::new("vocab.txt"), b"a\nb\n\n").expect("valid");
        assert_eq!((vocabulary.len, vocabulary.reachable()), (3, 2));
    }

    #[test]
    fn tokens_with_ids_become_lines() {
        let text = |ids: &[(&str, i64)]| {
            let ids = ids.iter().map(|&(token, id)| (token.to_owned(), id));
            text_of(&ids.collect())
        };
        assert_eq!(text(&[("b", 1), ("a", 0)]).as_deref(), Ok("a\nb\n"));
        // What stood on the second line stands on the last one too.
        assert_eq!(text(&[("c", 2), ("a", 0)]).as_deref(), Ok("a\nc\nc\n"));
        let refused = [
            (&[][..], "no tokens"),
            (&[("b", 1), ("a", 1)], r#""a" and "b" both have the id 1"#),
            (
                &[("a", -1)],
                r#"the id of "a" is -1: expected 0 to 16777215"#,
            ),
            (
                &[("a", i64::MAX)],
                r#"the id of "a" is 9223372036854775807: expected 0 to 16777215"#,
            ),
            (
                &[("a\n", 0)],
                r#"the token "a\n" has a line break, which no vocab.txt can hold"#,
            ),
            (
                &[("a", 0), ("b", 4)],
                "its vocabulary has 2 tokens and ids up to 4: most ids have no token",
            ),
        ];
        for (ids, problem) in refused {
            assert_eq!(text(ids).expect_err(problem), problem);
        }
    }

    #[test]
    fn capitals_are_found_but_not_in_brackets() {
        let found = |text: &str| {
            let vocabulary = parse(Path::new("vocab.txt"), text.as_bytes()).expect("valid");
            let (count, first) = vocabulary.with_capitals();
            (count, first.map(str::to_owned))
        };
        assert_eq!(found("[UNK]\n[unused1]\na\nß\n中\n##b\n"), (0, None));
        let first = Some("##É".to_owned());
        assert_eq!(found("[UNK]\n##É\nb\nABc\n"), (2, first));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert_eq!(message(b""), "vocab.txt: no tokens");
        assert_eq!(
            message(b"a\nb\xffc\n"),
            "vocab.txt:2: invalid UTF-8 at byte 1 of the line"
        );
        assert_eq!(
            message("\u{feff}[PAD]\n".as_bytes()),
            "vocab.txt:1: a byte order mark, which would be in the token"
        );
    }
}
