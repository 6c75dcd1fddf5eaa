//! The ways that a text may be written in logs.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use form_urlencoded::byte_serialize;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `part`, which is a part of a longer text, in every way.
pub(crate) fn all(part: &str) -> Vec<String> {
    let bytes = part.as_bytes();
    let mut all = vec![
        part.to_owned(),
        json(part),
        json_in_ascii(part),
        json(part).replace('/', "\\/"),
        debug(part),
        bytes.escape_ascii().to_string(),
        bytes_literal(bytes),
        header_value(bytes),
    ];
    // What is text in a text is escaped once more.
    let nested: Vec<_> = all
        .iter()
        .flat_map(|text| [debug(text), json(text)])
        .collect();
    all.extend(nested);
    for percent in [
        percent_encode(bytes, NON_ALPHANUMERIC).to_string(),
        percent_encode(bytes, RESERVED).to_string(),
        byte_serialize(bytes).collect(),
    ] {
        all.push(lower_percent(&percent));
        all.push(percent);
    }
    for before in 0..3 {
        all.push(base64(&STANDARD_NO_PAD, before, bytes));
        all.push(base64(&URL_SAFE_NO_PAD, before, bytes));
    }
    all.push(each(bytes, "", |byte| format!("{byte:02x}")));
    all.push(each(bytes, "", |byte| format!("{byte:02X}")));
    for separator in [",", " ", ":"] {
        all.push(each(bytes, separator, u8::to_string));
        all.push(each(bytes, separator, |byte| format!("{byte:x}")));
        all.push(each(bytes, separator, |byte| format!("{byte:02X}")));
        all.push(each(bytes, separator, |byte| format!("{byte:#x}")));
    }
    all
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

/// As writers of JSON do it that keep to ASCII.
fn json_in_ascii(text: &str) -> String {
    let mut written = String::new();
    for char in json(text).chars() {
        if char.is_ascii() {
            written.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(written, "\\u{unit:04x}").expect("a String takes all");
            }
        }
    }
    written
}

fn debug(text: &str) -> String {
    let quoted = format!("{text:?}");
    quoted[1..quoted.len() - 1].to_owned()
}

/// As the `Debug` of `Bytes` has it.
fn bytes_literal(bytes: &[u8]) -> String {
    let quoted = format!("{:?}", bytes::Bytes::copy_from_slice(bytes));
    quoted[2..quoted.len() - 1].to_owned()
}

/// As the `Debug` of a header's value has it.
fn header_value(bytes: &[u8]) -> String {
    let written = |byte: &u8| match byte {
        b'"' => String::from("\\\""),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:x}"),
    };
    bytes.iter().map(written).collect()
}

fn lower_percent(text: &str) -> String {
    let mut digits = 0;
    text.chars()
        .map(|char| match char {
            '%' => {
                digits = 2;
                char
            }
            char if digits > 0 => {
                digits -= 1;
                char.to_ascii_lowercase()
            }
            char => char,
        })
        .collect()
}

/// What is the same in base64 whatever comes before and after, where so many bytes come before the
/// first that begins a group.
fn base64(engine: &impl Engine, before: usize, bytes: &[u8]) -> String {
    let mut padded = vec![0; before];
    padded.extend(bytes);
    let encoded = engine.encode(&padded);
    let first = (before * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    encoded[first..end].to_owned()
}

fn each(bytes: &[u8], separator: &str, write: impl Fn(&u8) -> String) -> String {
    bytes.iter().map(write).collect::<Vec<_>>().join(separator)
}
