//! What every text for people keeps to.

/// Put where secrets are in seeds; no text may show it.
pub(crate) const SECRET: &str = "s3cr3tN33dl3";

/// That `text` says something in one line, and does nothing else to a terminal.
pub(crate) fn is_a_line(text: &str) {
    assert!(!text.is_empty());
    let moves = |char: char| {
        char.is_control()
            || ('\u{200e}'..='\u{200f}').contains(&char)
            || ('\u{2028}'..='\u{202e}').contains(&char)
            || ('\u{2066}'..='\u{2069}').contains(&char)
    };
    assert!(!text.contains(moves), "{}", text.escape_debug());
}

/// That `text` has at most so many characters, whatever a server sends.
pub(crate) fn is_no_longer_than(limit: usize, text: &str) {
    let length = text.chars().count();
    assert!(length <= limit, "{length} characters: {text}");
}

pub(crate) fn is_without_secrets(text: &str) {
    assert!(!text.contains(SECRET), "{text}");
}
