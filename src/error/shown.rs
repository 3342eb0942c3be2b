//! Texts of files in messages: on one line, without what a terminal would obey, and not too long.

/// Characters of a text that a message shows.
const MOST_CHARACTERS: usize = 80;

/// Names that a message lists.
const MOST_NAMES: usize = 20;

/// A text with control characters as escapes, cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (place, character) in text.chars().enumerate() {
        if place == MOST_CHARACTERS {
            shown.push('…');
            break;
        }
        match character {
            // Line separators, and marks that turn the direction of what follows.
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                shown.extend(character.escape_unicode());
            }
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

/// The first of some names, and how many there are where they are many.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(|name| shown(name.as_ref()))
        .collect();
    let shown = shown.join(", ");
    match names.len() > MOST_NAMES {
        true => format!("{shown}, … ({} in all)", names.len()),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(shown("a\u{1b}[31m\n\tb"), "a\\u{1b}[31m\\n\\tb");
        assert_eq!(shown("\u{202e}é e\u{301}"), "\\u{202e}é e\u{301}");
        assert_eq!(shown(&"ü".repeat(81)), format!("{}…", "ü".repeat(80)));
        let many: Vec<String> = (0..21).map(|name| name.to_string()).collect();
        assert!(listed(&many).ends_with("18, 19, … (21 in all)"));
        assert_eq!(listed(&many[..2]), "0, 1");
    }
}
