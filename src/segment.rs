//! Texts that are one segment of a path, for every server and proxy on the way.
//!
//! A proxy may percent-decode a path before it forwards it, resolve dot segments and strip path
//! parameters (nginx with a path in `proxy_pass`, Tomcat). So a text is judged by its complete
//! decoding: decoding is repeated until it changes nothing.

use std::borrow::Cow;
use std::fmt;

/// The reason why a text can't be a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing precedes the first `;`.
    Empty,
    /// `.` or `..` precedes the first `;` (RFC 3986, sections 3.3 and 5.2.4).
    Dots,
    /// It contains one of `/ \ ? #`, or a control character.
    Character(char),
    /// It contains a byte sequence that lenient decoders read as an ASCII character.
    Overlong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::Dots => f.write_str("is a dot segment"),
            Self::Character(char) => write!(f, "contains {char:?}"),
            Self::Overlong => f.write_str("contains an overlong encoding"),
        }
    }
}

/// Checks that `text` stays one segment, and the same one, if it is percent-decoded any number of times.
pub(crate) fn check(text: &str) -> Result<(), Fault> {
    let decoded = decode_completely(text);
    let mut before = None;
    for &byte in &*decoded {
        if byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'?' | b'#') {
            return Err(Fault::Character(char::from(byte)));
        }
        match (before, byte) {
            // U+0080 to U+009F, the control characters outside of ASCII.
            (Some(0xc2), 0x80..=0x9f) => return Err(Fault::Character(char::from(byte))),
            // No byte sequence like these is valid UTF-8 (RFC 3629, section 3): each is a longer form
            // of a character that has a shorter one, such as C0 AF for the slash.
            (_, 0xc0 | 0xc1)
            | (Some(0xe0), 0x80..=0x9f)
            | (Some(0xf0), 0x80..=0x8f)
            | (Some(0xf8), 0x80..=0x87)
            | (Some(0xfc), 0x80..=0x83) => return Err(Fault::Overlong),
            _ => before = Some(byte),
        }
    }
    let name = decoded.split(|byte| *byte == b';').next();
    match name.unwrap_or_default() {
        b"" => Err(Fault::Empty),
        b"." | b".." => Err(Fault::Dots),
        _ => Ok(()),
    }
}

/// Percent-decodes `text` until that changes nothing, in one pass.
///
/// Two encodings never overlap, so the order of decoding makes no difference; and `decoded` never ends
/// within a complete encoding, so only its end has to be looked at.
fn decode_completely(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut decoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        decoded.push(byte);
        while let [.., b'%', high, low] = *decoded
            && let Some(byte) = hex(high, low)
        {
            decoded.truncate(decoded.len() - 3);
            decoded.push(byte);
        }
    }
    Cow::Owned(decoded)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_judged_by_its_complete_decoding() {
        for (text, fault) in [
            ("", Fault::Empty),
            (";", Fault::Empty),
            ("%3bx", Fault::Empty),
            (".", Fault::Dots),
            ("%2e%2E", Fault::Dots),
            (".%252e", Fault::Dots),
            ("..;x", Fault::Dots),
            ("%2e;x;y", Fault::Dots),
            ("..%3Bx", Fault::Dots),
            ("a/b", Fault::Character('/')),
            ("a%2fb", Fault::Character('/')),
            ("a%25252Fb", Fault::Character('/')),
            ("a%%32fb", Fault::Character('/')),
            ("a%2%66b", Fault::Character('/')),
            ("a\\b", Fault::Character('\\')),
            ("a%5cb", Fault::Character('\\')),
            ("a?b", Fault::Character('?')),
            ("a%3f", Fault::Character('?')),
            ("#a", Fault::Character('#')),
            ("%23a", Fault::Character('#')),
            ("a\n", Fault::Character('\n')),
            ("a%00", Fault::Character('\0')),
            ("a%7f", Fault::Character('\u{7f}')),
            ("a\u{85}", Fault::Character('\u{85}')),
            ("a%c2%9f", Fault::Character('\u{9f}')),
            ("..%c0%af", Fault::Overlong),
            ("%c0%ae%c0%ae", Fault::Overlong),
            ("%C1%9C", Fault::Overlong),
            ("%e0%80%af", Fault::Overlong),
            ("%f0%80%80%af", Fault::Overlong),
            ("%f8%80%80%80%af", Fault::Overlong),
            ("%fc%80%80%80%80%af", Fault::Overlong),
        ] {
            assert_eq!(check(text), Err(fault), "{text:?}");
        }
        for text in [
            "usr_1",
            "auth0|123",
            "100%",
            "%",
            "%2",
            "%zz",
            "a%20b",
            "a%252",
            "user@host",
            "a;b",
            "a;..",
            "...",
            ".a",
            "..a",
            "a..",
            "%2e%2e%2e",
            " ",
            "%ff",
            "%c3%a9",
            "é",
            "\u{a0}",
            "ユーザー",
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn a_deep_encoding_takes_one_pass() {
        let deep = |end| format!("%{}{end}", "25".repeat(1_000_000));
        assert_eq!(check(&deep("2f")), Err(Fault::Character('/')));
        assert_eq!(check(&deep("41")), Ok(()));
    }
}
