//! Text from elsewhere as a part of one line.

/// How much of a text a line takes, in characters.
const LENGTH: usize = 300;

/// `text` without control characters, and not too long.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(LENGTH)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if text.chars().nth(LENGTH).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[31m"), "a  b [31m");
        assert_eq!(one_line(&"ä".repeat(400)).chars().count(), LENGTH + 1);
    }
}
