//! Ids become text again: pieces are joined, and some of the spaces that
//! tokenizing made are taken out. The result is not the user's text, for
//! capitals, accents and most spaces are lost; use offsets to get at that.

use super::Tokenizer;
use super::word_piece::CONTINUATION;

/// What transformers replaces, in its order.
const CLEAN_UP: [(&str, &str); 11] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    // This one in each token only, not in the joined text.
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

impl Tokenizer {
    /// The text of some ids, as transformers writes it. Ids without a token
    /// are left out; so are special tokens, if asked.
    pub fn decode(&self, ids: &[i64], skip_special_tokens: bool) -> String {
        let added = &self.inner.added;
        let mut text = String::new();
        let mut first = true;
        for &id in ids {
            if skip_special_tokens && added.get(id).is_some_and(|token| token.special) {
                continue;
            }
            let Some(token) = self.id_to_token(id) else {
                continue;
            };
            let end = text.len();
            match token.strip_prefix(CONTINUATION) {
                Some(rest) if !first => text += rest,
                _ => {
                    if !first {
                        text.push(' ');
                    }
                    text += token;
                }
            }
            first = false;
            clean_up(&mut text, end);
        }
        if self.config().clean_up_tokenization_spaces == Some(true) {
            for (from, to) in CLEAN_UP.into_iter().filter(|(from, _)| *from != " do not") {
                text = text.replace(from, to);
            }
        }
        text
    }
}

/// Takes the spaces out of what was appended to `text` from `start`.
fn clean_up(text: &mut String, start: usize) {
    if !text[start..].contains(' ') {
        return;
    }
    let mut token = text.split_off(start);
    for (from, to) in CLEAN_UP {
        if token.contains(from) {
            token = token.replace(from, to);
        }
    }
    *text += &token;
}
