//! Finds secrets in texts.

use std::collections::{HashMap, HashSet};

use crate::writing;

/// How many characters of a secret in a row give it away.
const PART: usize = 8;

/// By how many bytes a part is looked up; all are at least as long.
const START: usize = 6;
const START_MASK: u64 = (1 << (8 * START)) - 1;

/// What to search for: all parts of secrets, in all ways that they may be written.
///
/// White space does not count, so that nothing is hidden by the lines that a text is broken into.
pub(crate) struct Search {
    /// By how they start.
    parts: HashMap<u64, Vec<(Vec<u8>, String)>>,
    /// Whether there may be a part that starts like this: to be quick where there is none.
    filter: Vec<bool>,
    known: HashSet<String>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            parts: HashMap::new(),
            filter: vec![false; 1 << 20],
            known: HashSet::new(),
        }
    }
}

impl Search {
    /// Searches for `secret` from now on, which messages call `name`.
    pub(crate) fn add(&mut self, name: &str, secret: &str) {
        if !self.known.insert(secret.to_owned()) {
            return;
        }
        let chars: Vec<char> = secret.chars().collect();
        assert!(chars.len() >= PART, "{name} is too short to be found");
        for part in chars.windows(PART) {
            for written in writing::all(&String::from_iter(part)) {
                let counts = |byte: &u8| !byte.is_ascii_whitespace();
                let written: Vec<u8> = written.bytes().filter(counts).collect();
                assert!(
                    written.len() >= START,
                    "{name} has too little to be found by"
                );
                let start = written[..START]
                    .iter()
                    .fold(0, |start, byte| start << 8 | u64::from(*byte));
                self.filter[slot(start)] = true;
                let alike = self.parts.entry(start).or_default();
                alike.push((written, name.to_owned()));
            }
        }
    }

    /// The name of a secret that is in `text`, and what is around it.
    pub(crate) fn find(&self, text: &str) -> Option<(&str, String)> {
        // Written so that it is quick without optimisation too.
        let mut counting = vec![0; text.len()];
        let mut length = 0;
        let mut start = 0;
        let mut candidates = Vec::new();
        for &byte in text.as_bytes() {
            if matches!(byte, b' ' | b'\n' | b'\t' | b'\r' | b'\x0c') {
                continue;
            }
            counting[length] = byte;
            length += 1;
            start = (start << 8 | byte as u64) & START_MASK;
            if self.filter[slot(start)] && length >= START {
                candidates.push((start, length - START));
            }
        }
        counting.truncate(length);
        candidates.into_iter().find_map(|(start, position)| {
            let mut alike = self.parts.get(&start)?.iter();
            let (_, name) = alike.find(|(part, _)| counting[position..].starts_with(part))?;
            let around = position.saturating_sub(200)..counting.len().min(position + 100);
            let around = String::from_utf8_lossy(&counting[around]);
            Some((name.as_str(), around.into_owned()))
        })
    }
}

/// Where the filter has a start, spread by Fibonacci hashing.
fn slot(start: u64) -> usize {
    (start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as usize
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use bytes::Bytes;
    use http::HeaderValue;
    use serde_json::json;

    use super::Search;
    use crate::secrets;

    const SECRET: &str = secrets::PASSWORD;

    fn finds(text: &str) -> bool {
        let mut search = Search::default();
        search.add("it", SECRET);
        search.find(text).is_some()
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let bytes = SECRET.as_bytes();
        let json = json!({"password": SECRET, "more": 1}).to_string();
        let ascii: String = json.replace('é', "\\u00e9").replace('ß', "\\u00df");
        let percent =
            percent_encoding::utf8_percent_encode(SECRET, percent_encoding::NON_ALPHANUMERIC);
        let form: String = form_urlencoded::byte_serialize(bytes).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = HeaderValue::from_bytes(&bytes[..bytes.len() - 6]).expect("a header");
        for text in [
            SECRET.to_owned(),
            format!("before{SECRET}after"),
            format!("{SECRET:?}"),
            format!("{:#?}", Some(SECRET)),
            format!("{json:?}"),
            json.clone(),
            ascii.clone(),
            format!("{ascii:?}"),
            json!({"body": json}).to_string(),
            json.replace('/', "\\/"),
            percent.to_string(),
            percent.to_string().to_lowercase(),
            format!("https://a.example/?p={form}"),
            bytes.escape_ascii().to_string(),
            format!("{:?}", Bytes::from_static(bytes)),
            format!("{:?}", format!("{:?}", Bytes::from_static(bytes))),
            format!("{header:?}"),
            format!("{bytes:?}"),
            format!("{bytes:x?}"),
            format!("{bytes:#x?}"),
            format!("{bytes:#?}"),
            format!("{:?}", http_body_util::Full::new(Bytes::from_static(bytes))),
            json!(bytes).to_string(),
            hex.to_uppercase(),
            format!("0x{hex}"),
        ] {
            assert!(finds(&text), "{text}");
        }
        for before in ["", "x", "xy", "Bearer ", "user:", "abcd"] {
            let whole = format!("{before}{SECRET}xyz");
            for engine in [&STANDARD, &URL_SAFE] {
                let text = engine.encode(&whole);
                assert!(finds(&text), "{text}");
            }
        }
    }

    #[test]
    fn a_part_of_a_secret_is_found() {
        let chars: Vec<char> = SECRET.chars().collect();
        for part in chars.windows(super::PART) {
            let part = String::from_iter(part);
            assert!(finds(&format!("…{part}…")), "{part}");
            assert!(finds(&json!([part]).to_string()), "{part}");
            assert!(finds(&format!("{:?}", part.as_bytes())), "{part}");
        }
        assert!(finds(&SECRET.replace('a', "a\n        ")));
    }

    #[test]
    fn all_secrets_are_found_and_named() {
        let mut search = Search::default();
        for (name, secret) in secrets::ALL {
            search.add(name, secret);
        }
        for (name, secret) in secrets::ALL {
            let text = format!("{{\"a\":{secret:?}}}");
            assert_eq!(search.find(&text).map(|found| found.0), Some(name));
        }
    }

    #[test]
    fn what_is_no_secret_is_not_found() {
        for text in [
            "",
            "idk_",
            "[REDACTED]",
            include_str!("../../README.md"),
            include_str!("../wire/responses.jsonl"),
        ] {
            assert!(!finds(text));
        }
    }
}
