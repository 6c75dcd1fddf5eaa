use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::kind::{FaultKind, RetryAfter};
use crate::testing::respond::Reply;

/// One thing that goes wrong with a request to the fake.
///
/// There are three sorts of them:
///
/// - Another reply, or none: [`status`](Self::status), [`reply`](Self::reply),
///   [`edge_page`](Self::edge_page), [`too_many_requests`](Self::too_many_requests) and
///   [`reset_before_reply`](Self::reset_before_reply). The operation is not performed, unless the
///   fault comes [after performing](Self::after_performing).
/// - The operation's own reply, damaged: [`reset_during_reply`](Self::reset_during_reply),
///   [`truncated_body`](Self::truncated_body), [`slow_body`](Self::slow_body),
///   [`oversized_body`](Self::oversized_body), [`wrong_content_type`](Self::wrong_content_type),
///   [`unknown_fields`](Self::unknown_fields), [`unknown_values`](Self::unknown_values). The
///   operation is performed. A reply without a body is given the body `{}` and, if it was 204, the
///   status 200, so that there is something to damage.
/// - [`delay`](Self::delay), which can also come before any of the others.
///
/// ```
/// use std::time::Duration;
///
/// use http::StatusCode;
/// use idpflare_management::testing::{Fault, FaultKind, RetryAfter};
///
/// // The gateway gives up, but what it waited for was done.
/// let fault = Fault::status(StatusCode::GATEWAY_TIMEOUT)
///     .after_performing()
///     .delayed(Duration::from_secs(2));
/// assert_eq!(fault.kind(), FaultKind::Status);
///
/// let fault = Fault::too_many_requests(RetryAfter::Seconds(5));
/// assert_eq!(fault.kind().to_string(), "too_many_requests");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a fault does nothing until it is in a script"]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) delay: Duration,
    pub(super) after_performing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Reply(OtherReply),
    EdgePage(StatusCode),
    TooManyRequests(RetryAfter),
    ResetBeforeReply,
    ResetDuringReply,
    TruncatedBody,
    SlowBody { pieces: u32, interval: Duration },
    OversizedBody { bytes: u64 },
    WrongContentType,
    UnknownFields,
    UnknownValues,
}

/// A reply in place of the operation's own.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct OtherReply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl fmt::Debug for OtherReply {
    /// Leaves out the body and the headers' values, which may hold what is secret where it comes
    /// from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self {
            effect,
            delay: Duration::ZERO,
            after_performing: false,
        }
    }

    /// Nothing but a wait, of tokio's time. The request is performed when it is over, or before it
    /// with [`after_performing`](Self::after_performing).
    pub fn delay(delay: Duration) -> Self {
        Self::new(Effect::Nothing).delayed(delay)
    }

    /// A failure with this status, in the protocol's shape. Statuses below 200 are not for final
    /// replies: a server can't send them.
    pub fn status(status: StatusCode) -> Self {
        let message = status.canonical_reason().unwrap_or("Error");
        Self::reply(Reply::error(status, message).into_response(None, HeaderMap::new()))
    }

    /// This reply, and a `cf-ray` of its own unless it has one.
    pub fn reply(reply: Response<impl Into<Bytes>>) -> Self {
        let (head, body) = reply.into_parts();
        Self::new(Effect::Reply(OtherReply {
            status: head.status,
            headers: head.headers,
            body: body.into(),
        }))
    }

    /// An HTML page of the edge in front of IDPFlare: of status 502, or 520 to 527.
    pub fn edge_page(status: StatusCode) -> Self {
        Self::new(Effect::EdgePage(status))
    }

    /// 429, with what the server says of when to come back.
    pub fn too_many_requests(retry_after: RetryAfter) -> Self {
        Self::new(Effect::TooManyRequests(retry_after))
    }

    /// The connection is reset when the request has arrived; the operation is not performed.
    ///
    /// In process this is a [`TransportError`](crate::layers::TransportError). Over HTTP it is a TCP
    /// reset, which with HTTP/2 also takes the other requests on the connection with it.
    pub fn reset_before_reply() -> Self {
        Self::new(Effect::ResetBeforeReply)
    }

    /// The operation is performed, then the connection is reset: the reply is lost.
    pub fn reply_lost() -> Self {
        Self::reset_before_reply().after_performing()
    }

    /// The connection is reset after the head and half of the body.
    pub fn reset_during_reply() -> Self {
        Self::new(Effect::ResetDuringReply)
    }

    /// The body ends after half of its `Content-Length`: in process with an error, over HTTP/1.1
    /// with the connection, over HTTP/2 with the stream.
    pub fn truncated_body() -> Self {
        Self::new(Effect::TruncatedBody)
    }

    /// The body drips: it comes in so many pieces, of a byte at least, with a wait before each.
    pub fn slow_body(pieces: u32, interval: Duration) -> Self {
        Self::new(Effect::SlowBody { pieces, interval })
    }

    /// So many bytes of white space before the body, which is as valid as before, but large.
    /// Its length is not announced. It is made as it is read; that of [`u64::MAX`] never ends.
    pub fn oversized_body(bytes: u64) -> Self {
        Self::new(Effect::OversizedBody { bytes })
    }

    /// The reply calls itself HTML.
    pub fn wrong_content_type() -> Self {
        Self::new(Effect::WrongContentType)
    }

    /// A later server's reply: each object of the protocol has a member that this version does not
    /// know. What belongs to applications (`metadata`, `details`) stays as it is.
    pub fn unknown_fields() -> Self {
        Self::new(Effect::UnknownFields)
    }

    /// A later server's reply: each enumeration has a value that this version does not know.
    pub fn unknown_values() -> Self {
        Self::new(Effect::UnknownValues)
    }

    /// The operation is performed first, before the delay too, and whatever the client is told.
    pub fn after_performing(mut self) -> Self {
        self.after_performing = true;
        self
    }

    /// The same after a wait, of tokio's time. The operation is performed when the wait is over,
    /// unless the fault comes [after performing](Self::after_performing).
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What kind of fault it is.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match &self.effect {
            Effect::Nothing => FaultKind::Delay,
            Effect::Reply(_) => FaultKind::Status,
            Effect::EdgePage(_) => FaultKind::EdgePage,
            Effect::TooManyRequests(_) => FaultKind::TooManyRequests,
            Effect::ResetBeforeReply if self.after_performing => FaultKind::ReplyLost,
            Effect::ResetBeforeReply => FaultKind::ResetBeforeReply,
            Effect::ResetDuringReply => FaultKind::ResetDuringReply,
            Effect::TruncatedBody => FaultKind::TruncatedBody,
            Effect::SlowBody { .. } => FaultKind::SlowBody,
            Effect::OversizedBody { .. } => FaultKind::OversizedBody,
            Effect::WrongContentType => FaultKind::WrongContentType,
            Effect::UnknownFields => FaultKind::UnknownFields,
            Effect::UnknownValues => FaultKind::UnknownValues,
        }
    }

    /// Whether the operation is performed at all.
    pub(in crate::testing) fn performs(&self) -> bool {
        let another_reply = matches!(
            self.effect,
            Effect::Reply(_)
                | Effect::EdgePage(_)
                | Effect::TooManyRequests(_)
                | Effect::ResetBeforeReply
        );
        self.after_performing || !another_reply
    }

    /// How long to wait before the operation is performed, and then before the reply.
    pub(in crate::testing) fn delays(&self) -> (Duration, Duration) {
        if self.after_performing {
            (Duration::ZERO, self.delay)
        } else {
            (self.delay, Duration::ZERO)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reply_holds_is_not_shown() {
        let reply = Response::builder()
            .header("x-key", "idk_hidden")
            .body(r#"{"raw_key":"idk_hidden"}"#)
            .expect("a reply");
        let text = format!("{:?}", Fault::reply(reply));
        assert!(text.contains("x-key") && !text.contains("hidden"), "{text}");
    }
}
