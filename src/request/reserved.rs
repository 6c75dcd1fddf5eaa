//! The headers that are not the caller's to set.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

/// Why `name` can't be set for one request; `None` where it can.
pub(super) fn reason(name: &HeaderName) -> Option<&'static str> {
    if *name == AUTHORIZATION {
        return Some("the credential is the client's, and goes only where it belongs");
    }
    if *name == HOST {
        return Some("it is told by the authority");
    }
    if [CONTENT_TYPE, CONTENT_ENCODING].contains(name) {
        return Some("it is told by the body, which the operation writes");
    }
    if is_of_connection(name) {
        return Some("it belongs to the connection, which is the transport's");
    }
    None
}

/// Removes the headers that only the transport may set: `Host`, and those of the connection. A layer
/// may have added them.
pub(crate) fn remove_from(headers: &mut HeaderMap) {
    let is_reserved = |name: &&HeaderName| **name == HOST || is_of_connection(name);
    while let Some(name) = headers.keys().find(is_reserved).cloned() {
        headers.remove(name);
    }
}

/// Whether RFC 9110, section 7.6.1, calls the header connection-specific, or it decides where a
/// message ends: from a caller it could only contradict the transport.
fn is_of_connection(name: &HeaderName) -> bool {
    let standard = [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    let text = name.as_str();
    standard.contains(name)
        || ["keep-alive", "http2-settings"].contains(&text)
        || text.starts_with("proxy-")
}
