//! Texts to words, as the metrics of machine translation count them: the tokenization 13a
//! of NIST's `mteval-v13a.pl` as sacrebleu has it.

/// What Python's `split` takes for a space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words of a text with one space between them.
pub(super) fn tokenize_13a(text: &str) -> String {
    let mut text = text.replace("<skipped>", "");
    text = text.replace("-\n", "").replace('\n', " ");
    for (from, to) in [
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ] {
        text = text.replace(from, to);
    }
    let mut chars: Vec<char> = format!(" {text} ").chars().collect();
    chars = chars
        .into_iter()
        .flat_map(|c| match is_symbol(c) {
            true => vec![' ', c, ' '],
            false => vec![c],
        })
        .collect();
    // One rule after the other, since each sees the spaces of those before it.
    let is_digit = |c: char| c.is_ascii_digit();
    let is_mark = |c: char| matches!(c, '.' | ',');
    chars = split_pairs(
        &chars,
        |a, b| !is_digit(a) && is_mark(b),
        |a, b| [a, ' ', b, ' '],
    );
    chars = split_pairs(
        &chars,
        |a, b| is_mark(a) && !is_digit(b),
        |a, b| [' ', a, ' ', b],
    );
    chars = split_pairs(
        &chars,
        |a, b| is_digit(a) && b == '-',
        |a, b| [a, ' ', b, ' '],
    );
    let text: String = chars.into_iter().collect();
    let words: Vec<&str> = text
        .split(is_space)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// ASCII punctuation but for `'`, `,`, `-` and `.`.
fn is_symbol(c: char) -> bool {
    matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/')
}

/// Replaces pairs of neighbours; the second of one is not the first of another.
fn split_pairs(
    chars: &[char],
    is_pair: impl Fn(char, char) -> bool,
    spaced: impl Fn(char, char) -> [char; 4],
) -> Vec<char> {
    let mut all = Vec::with_capacity(chars.len() + 8);
    let mut rest = chars;
    while let [first, after @ ..] = rest {
        match after {
            [second, after @ ..] if is_pair(*first, *second) => {
                all.extend(spaced(*first, *second));
                rest = after;
            }
            _ => {
                all.push(*first);
                rest = after;
            }
        }
    }
    all
}
