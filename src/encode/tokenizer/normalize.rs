//! BERT's cleaning of text: control characters go, white space becomes a
//! space, CJK ideographs get spaces around them, accents go, capitals become
//! small. In goes a text, out comes the cleaned text and, for each byte of it,
//! the character of the user's text that it came from. Splitting into words
//! is not done here.
//!
//! The Unicode tables are those of the reference implementation (Hugging Face
//! tokenizers), down to their age: a character newer than these tables is
//! handled here as it is there.

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UnicodeNormalization;

/// A cleaned text and where each byte of it came from.
#[derive(Debug, Default)]
pub(super) struct Normalized {
    /// The cleaned text.
    pub(super) text: String,
    /// For each byte of `text`, the index of a character of the user's text.
    pub(super) sources: Vec<usize>,
    /// Characters that wait until it is known what follows them.
    run: Vec<(char, usize)>,
}

impl Normalized {
    fn push(&mut self, c: char, source: usize) {
        self.text.push(c);
        self.sources.resize(self.text.len(), source);
    }
}

/// The settings of the cleaning, with what they do to ASCII worked out.
#[derive(Debug, Clone)]
pub(super) struct Normalizer {
    lowercase: bool,
    strip_accents: bool,
    space_out_cjk: bool,
    /// What an ASCII character becomes; 0 if it is removed.
    ascii: [u8; 128],
}

impl Normalizer {
    pub(super) fn new(lowercase: bool, strip_accents: bool, space_out_cjk: bool) -> Self {
        let ascii = std::array::from_fn(|code| {
            let byte = code as u8;
            match byte {
                b'\t' | b'\n' | b'\r' => b' ',
                0..0x20 | 0x7f => 0,
                _ if lowercase => byte.to_ascii_lowercase(),
                _ => byte,
            }
        });
        Self {
            lowercase,
            strip_accents,
            space_out_cjk,
            ascii,
        }
    }

    /// Replaces the content of `out` by the cleaned `text`, whose first
    /// character has the index `first`; returns the index after its last.
    pub(super) fn run(&self, text: &str, first: usize, out: &mut Normalized) -> usize {
        out.text.clear();
        out.sources.clear();
        out.text.reserve(text.len());
        out.sources.reserve(text.len());
        let mut source = first;
        for c in text.chars() {
            if c.is_ascii() {
                let byte = self.ascii[c as usize];
                // A character that is removed does not part those around it.
                if byte != 0 {
                    self.flush(out);
                    out.push(char::from(byte), source);
                }
            } else if !is_removed(c) {
                if c.is_whitespace() {
                    self.flush(out);
                    out.push(' ', source);
                } else if self.space_out_cjk && is_cjk(c) {
                    self.flush(out);
                    out.push(' ', source);
                    out.run.push((c, source));
                    self.flush(out);
                    out.push(' ', source);
                } else {
                    out.run.push((c, source));
                }
            }
            source += 1;
        }
        self.flush(out);
        source
    }

    /// Moves the waiting characters to the cleaned text.
    ///
    /// Decomposition (NFD) reorders marks, but never across an ASCII character,
    /// so that a run of others can be taken by itself.
    fn flush(&self, out: &mut Normalized) {
        if out.run.is_empty() {
            return;
        }
        let run = std::mem::take(&mut out.run);
        if self.strip_accents {
            let mut taken = 0;
            for (c, added) in run.iter().map(|&(c, _)| c).nfd() {
                // The reference aligns by position: the n-th character that is
                // not an addition stands for the n-th source, even where marks
                // changed places.
                if added == 0 {
                    taken += 1;
                }
                if !c.is_mark_nonspacing() {
                    self.push_cased(c, run[taken - 1].1, out);
                }
            }
        } else {
            for &(c, source) in &run {
                self.push_cased(c, source, out);
            }
        }
        out.run = run;
        out.run.clear();
    }

    fn push_cased(&self, c: char, source: usize, out: &mut Normalized) {
        if self.lowercase {
            c.to_lowercase().for_each(|c| out.push(c, source));
        } else {
            out.push(c, source);
        }
    }
}

/// Whether a character above ASCII is dropped: Cc, Cf, Co and U+FFFD.
fn is_removed(c: char) -> bool {
    c == '\u{fffd}' || c.is_other()
}

/// Whether BERT sees a Chinese character in it. The reference begins one range
/// at U+2B920, where Unicode's extension E begins at U+2B820; so does this.
fn is_cjk(c: char) -> bool {
    matches!(
        c,
        '\u{4e00}'..='\u{9fff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2b81f}'
            | '\u{2b920}'..='\u{2ceaf}'
            | '\u{f900}'..='\u{faff}'
            | '\u{2f800}'..='\u{2fa1f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cleaned text, and the source of each of its characters.
    fn clean(normalizer: &Normalizer, text: &str) -> (String, Vec<usize>) {
        let mut out = Normalized::default();
        let end = normalizer.run(text, 0, &mut out);
        assert_eq!(end, text.chars().count());
        let sources = out
            .text
            .char_indices()
            .map(|(byte, _)| out.sources[byte])
            .collect();
        (out.text, sources)
    }

    #[test]
    fn an_uncased_model_sees_plain_small_letters() {
        let uncased = Normalizer::new(true, true, true);
        let cases: [(&str, &str, &[usize]); 9] = [
            ("Hey", "hey", &[0, 1, 2]),
            ("a\t\u{a0}b", "a  b", &[0, 1, 2, 3]), // white space, also no-break
            ("a\0\u{200d}\u{fffd}b", "ab", &[0, 4]), // control characters go
            ("élan", "elan", &[0, 1, 2, 3]),       // one character: é
            ("e\u{301}lan", "elan", &[0, 2, 3, 4]), // two: e and an accent
            ("İß", "iß", &[0, 1]),                 // no dot above; ß is small
            ("x中y", "x 中 y", &[0, 1, 1, 1, 2]),
            ("각", "\u{1100}\u{1161}\u{11a8}", &[0, 0, 0]), // Hangul falls apart
            ("", "", &[]),
        ];
        for (text, cleaned, sources) in cases {
            assert_eq!(
                clean(&uncased, text),
                (cleaned.to_owned(), sources.to_vec()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_cased_model_sees_accents_and_capitals() {
        let cased = Normalizer::new(false, false, true);
        assert_eq!(clean(&cased, "É\u{301}\r\n").0, "É\u{301}  ");
    }

    #[test]
    fn a_capital_can_become_two_characters() {
        let keeps_accents = Normalizer::new(true, false, true);
        let (text, sources) = clean(&keeps_accents, "aİb");
        assert_eq!((text.as_str(), sources), ("ai\u{307}b", vec![0, 1, 1, 2]));
    }

    #[test]
    fn marks_are_put_in_order_across_removed_characters() {
        // U+302E (class 224) belongs before U+0301 (class 230), which goes.
        let uncased = Normalizer::new(true, true, true);
        let (text, sources) = clean(&uncased, "가\u{301}\0\u{302e}b");
        assert_eq!(text, "\u{1100}\u{1161}\u{302e}b");
        // By position: the mark has the accent's place, as in the reference.
        assert_eq!(sources, [0, 0, 1, 4]);
    }
}
