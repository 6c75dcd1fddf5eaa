use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};

/// The way into a connection, which a task of its own drives.
pub(super) enum Connection {
    /// One call at a time.
    Http1(Http1),
    /// Many calls at once.
    Http2(Http2),
}

pub(super) type Http1 = http1::SendRequest<Full<Bytes>>;

pub(super) type Http2Sender = http2::SendRequest<Full<Bytes>>;

#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) sender: Http2Sender,
    /// No two of a server have the same.
    pub(super) number: u64,
}
