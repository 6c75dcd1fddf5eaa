//! Text from elsewhere as a part of one line.

/// How much of a text a line takes, in characters.
const LENGTH: usize = 300;

/// `text` without what controls a terminal or the direction and the ends of lines, and not too long.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(LENGTH)
        .map(|char| if is_unprintable(char) { ' ' } else { char })
        .collect();
    if text.chars().nth(LENGTH).is_some() {
        line.push('…');
    }
    line
}

/// Control characters, and those that Unicode has for separating lines and for turning text around.
fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[31m"), "a  b [31m");
        assert_eq!(one_line("a\u{2028}b\u{202e}c\u{2069}d"), "a b c d");
        assert_eq!(one_line(&"ä".repeat(400)).chars().count(), LENGTH + 1);
    }
}
