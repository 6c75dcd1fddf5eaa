//! The headers that are not the caller's to set.

use http::HeaderName;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Why `name` can't be set for one request; `None` where it can.
pub(super) fn reason(name: &HeaderName) -> Option<&'static str> {
    let text = name.as_str();
    if *name == AUTHORIZATION {
        return Some("the credential is the client's, and goes only where it belongs");
    }
    if *name == HOST {
        return Some("it is told by the authority");
    }
    if [CONTENT_TYPE, CONTENT_ENCODING].contains(name) {
        return Some("it is told by the body, which the operation writes");
    }
    // What RFC 9110, section 7.6.1, calls connection-specific, and what else decides where a message
    // ends: from a caller it could only contradict what the transport does.
    let of_connection = [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    if of_connection.contains(name)
        || ["keep-alive", "http2-settings"].contains(&text)
        || text.starts_with("proxy-")
    {
        return Some("it belongs to the connection, which is the transport's");
    }
    None
}
