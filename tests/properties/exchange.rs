//! What fuzzing makes of bytes where an exchange is wanted.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use idpflare_management::{OPERATIONS, Operation};

/// An operation and the reply to it.
#[derive(Debug)]
pub(crate) struct Exchange {
    #[allow(dead_code, reason = "some targets try all operations, or none")]
    pub(crate) operation: &'static Operation,
    pub(crate) reply: Response<Bytes>,
}

impl Exchange {
    /// Reads `listUsers 200`, lines of `name: value`, an empty line, and the body: as text, so that
    /// seeds can be read and changed. All bytes make one, because what is none of that is left out.
    pub(crate) fn read(data: &[u8]) -> Self {
        let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
            Some(end) => (&data[..end], &data[end + 2..]),
            None => (&[][..], data),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default());
        let (name, status) = first.split_once(' ').unwrap_or((&first, ""));
        let named = OPERATIONS.iter().find(|operation| operation.id == name);
        let operation = named.unwrap_or(&OPERATIONS[data.len() % OPERATIONS.len()]);
        let mut reply = Response::new(Bytes::copy_from_slice(body));
        *reply.status_mut() = status.parse().unwrap_or(StatusCode::OK);
        for line in lines {
            add_header(line, reply.headers_mut());
        }
        Self { operation, reply }
    }
}

fn add_header(line: &[u8], headers: &mut HeaderMap) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return;
    };
    let name = HeaderName::from_bytes(&line[..colon]);
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
    if let (Ok(name), Ok(value)) = (name, value) {
        // There is a limit, which is no matter of ours.
        let _ = headers.try_append(name, value);
    }
}
