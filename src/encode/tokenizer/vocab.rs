//! `vocab.txt`: one token a line, the first has the id 0. In go its bytes, out
//! comes the map from tokens to ids; what makes the file unusable is an error
//! with its line.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result, RowProblem};

/// Tokens with their ids, and how many ids there are.
pub(super) struct Vocabulary {
    pub(super) ids: HashMap<String, i64>,
    pub(super) len: usize,
}

/// Reads the lines of a vocabulary as Python reads a text file: a line ends in
/// `\n`, `\r\n` or `\r`, and nothing is trimmed.
///
/// A token that stands there twice has the later id, as in transformers: such
/// models exist, and their earlier row is simply never used. A warning is
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
    let mut len = 0;
    for (id, token) in text
        .strip_suffix('\n')
        .unwrap_or(text)
        .split('\n')
        .enumerate()
    {
        if let Some(earlier) = ids.insert(token.to_owned(), id as i64) {
            log::warn!(
                "{}:{}: `{token}` is also on line {}; the later one counts",
                path.display(),
                id + 1,
                earlier + 1
            );
        }
        len = id + 1;
    }
    Ok(Vocabulary { ids, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        parse(Path::new("vocab.txt"), bytes)
            .err()
            .expect("bad")
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
