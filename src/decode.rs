use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use idpflare_layers::Operation;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::json;
use crate::one_line::one_line;

/// Reads a reply's body as JSON, as `serde_json` does.
///
/// A [`Deserialize`](serde::Deserialize) of your own may be asked more than once for the same body: a
/// quick look comes first, and a fault is looked for once more.
///
/// # Errors
///
/// Where the body is not JSON, or of another shape; the error names the place. That of an operation
/// whose reply is [`sensitive`](Operation::sensitive) quotes nothing of the body.
pub fn decode_json<T: DeserializeOwned>(
    reply: &http::Response<Bytes>,
    operation: &Operation,
) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(reply.body()).map_err(|error| {
        DecodeError::new(
            still_encoded(reply)
                .unwrap_or_else(|| format!("it is not UTF-8 from byte {} on", error.valid_up_to())),
        )
    })?;
    // Tracking the path costs as much again as decoding, so that is done once it is known to be of
    // use.
    json::from_str(text).or_else(|_| locate(text, reply, operation))
}

/// Decodes once more, to name the place of the fault.
fn locate<T: DeserializeOwned>(
    text: &str,
    reply: &http::Response<Bytes>,
    operation: &Operation,
) -> Result<T, DecodeError> {
    if text.trim_ascii().is_empty() {
        return Err(DecodeError::new("it is empty"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
    let error = match found {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(DecodeError::new(describe(&error, operation))),
        },
        Err(error) => error,
    };
    let row = error.path().iter().find_map(|segment| match segment {
        Segment::Seq { index } => Some(*index),
        _ => None,
    });
    let path = place(error.path(), operation);
    let mut message = describe(error.inner(), operation);
    let is_json = !(error.inner().is_syntax() || error.inner().is_eof());
    if !is_json && let Some(encoding) = still_encoded(reply) {
        message = encoding;
    } else if !is_json
        && !operation.sensitive
        && let Some(content_type) = reply.headers().get(CONTENT_TYPE)
        && !content_type.as_bytes().starts_with(b"application/json")
    {
        message = format!("it is {content_type:?}: {message}");
    }
    Err(DecodeError {
        path: (!path.is_empty()).then_some(path),
        row,
        message: one_line(&message),
        raw_row: None,
    })
}

/// Decodes a row by itself: the one at `index` in the member `list` of a reply.
pub(crate) fn decode_row<T: DeserializeOwned>(
    raw: &str,
    list: &str,
    index: usize,
    operation: &Operation,
) -> Result<T, DecodeError> {
    json::from_str(raw).or_else(|_| {
        let mut deserializer = serde_json::Deserializer::from_str(raw);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let mut path = format!("{list}[{index}]");
            let inside = place(error.path(), operation);
            if !(inside.is_empty() || inside.starts_with('[')) {
                path.push('.');
            }
            path.push_str(&inside);
            DecodeError {
                path: Some(path),
                row: Some(index),
                message: one_line(&describe(error.inner(), operation)),
                raw_row: (!operation.sensitive).then(|| raw.into()),
            }
        })
    })
}

/// What to say of a body that is still compressed: that there is no layer for it.
fn still_encoded(reply: &http::Response<Bytes>) -> Option<String> {
    // Not quoted as it arrived, because no header's value is.
    const CODINGS: [&str; 4] = ["br", "deflate", "gzip", "zstd"];

    let encoding = reply.headers().get(CONTENT_ENCODING)?.as_bytes();
    let is = |coding: &&str| encoding.eq_ignore_ascii_case(coding.as_bytes());
    (!is(&"identity")).then(|| {
        let coding = CODINGS.iter().find(|coding| is(coding));
        let coding = coding.unwrap_or(&"one of which nothing is known");
        format!(
            "its Content-Encoding is {coding}, and no layer has undone that: one that does belongs inside of collect"
        )
    })
}

/// The path to the fault, such as `users[3].email`. Below an object that belongs to applications its
/// members are not the protocol's, so those of a sensitive reply are not told.
fn place(path: &Path, operation: &Operation) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
                if operation.sensitive && key == "metadata" {
                    break;
                }
            }
            Segment::Unknown => text.push('?'),
        }
    }
    one_line(&text)
}

/// What serde says, without the values that it quotes where those may be secret.
fn describe(error: &serde_json::Error, operation: &Operation) -> String {
    let (line, column) = (error.line(), error.column());
    if !operation.sensitive {
        return error.to_string();
    }
    let what = match error.classify() {
        serde_json::error::Category::Data => "a value is missing or of another type",
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
    };
    format!("{what} at line {line} column {column}")
}

/// A successful reply whose body is not what the protocol says; it becomes an
/// [`Error`](crate::Error) of kind [`Decode`](crate::ErrorKind::Decode).
///
/// Neither `Display` nor `Debug` shows the row that can't be decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError {
    path: Option<String>,
    row: Option<usize>,
    message: String,
    raw_row: Option<Box<str>>,
}

impl DecodeError {
    /// An error that says what is wrong with the body as a whole. It must not quote secrets.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            path: None,
            row: None,
            message: message.into(),
            raw_row: None,
        }
    }

    /// Where in the JSON: such as `users[3].created_at`, or `users[3]` where a field is missing
    /// there.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// In which row of a list, counted from zero.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        self.row
    }

    /// The row as it arrived, in JSON, where it is one that a
    /// [lenient pager](crate::Pager::lenient) has set apart from the others; never where the
    /// operation's reply is [`sensitive`](Operation::sensitive).
    #[must_use]
    pub fn raw_row(&self) -> Option<&str> {
        self.raw_row.as_deref()
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("path", &self.path)
            .field("row", &self.row)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "at {path}")?;
            if let Some(row) = self.row {
                write!(f, " (row {row})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use http::Method;
    use idpflare_layers::Safety;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Row {
        #[serde(rename = "n")]
        _number: u64,
    }

    #[test]
    fn a_row_with_a_secret_is_kept_from_its_error() {
        let raw = r#"{"n": "s3cret"}"#;
        let open = Operation::new("listRows", Method::GET, "/rows", Safety::ReadOnly);
        let error = decode_row::<Row>(raw, "rows", 3, &open).unwrap_err();
        assert_eq!(error.raw_row(), Some(raw));
        assert_eq!((error.path(), error.row()), (Some("rows[3].n"), Some(3)));
        assert!(error.to_string().contains("s3cret"));

        let error = decode_row::<Row>(raw, "rows", 3, &open.with_secret_reply()).unwrap_err();
        assert_eq!(error.raw_row(), None);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn a_row_of_another_shape_is_named() {
        let open = Operation::new("listRows", Method::GET, "/rows", Safety::ReadOnly);
        for raw in ["7", "null", "[]", "{}"] {
            let error = decode_row::<Row>(raw, "rows", 0, &open).unwrap_err();
            assert_eq!(error.path(), Some("rows[0]"), "{raw}");
        }
    }
}
