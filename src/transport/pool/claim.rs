//! The proof that a request over HTTP/2 was not sent whole.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

/// The right to a body: either the connection has it, or the call that takes it back.
#[derive(Clone, Default)]
pub(super) struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Returns whether it was there to be taken.
    pub(super) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// The body of a request, which is sent if it can be claimed. An empty one goes along with the head, and
/// nothing tells whether it was sent.
pub(super) struct Claimed {
    body: Full<Bytes>,
    /// `None` once the connection has taken it.
    claim: Option<Claim>,
}

impl Claimed {
    /// The body, and the call's way to take it back.
    pub(super) fn new(body: Full<Bytes>) -> (Self, Option<Claim>) {
        let claim = (!body.is_end_stream()).then(Claim::default);
        let for_call = claim.clone();
        (Self { body, claim }, for_call)
    }
}

impl Body for Claimed {
    type Data = Bytes;
    type Error = TakenBack;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TakenBack>>> {
        if let Some(claim) = self.claim.take()
            && !claim.take()
        {
            return Poll::Ready(Some(Err(TakenBack)));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map_err(|never: Infallible| match never {})
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The call has taken the body back.
#[derive(Debug)]
pub(super) struct TakenBack;

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was taken back")
    }
}

impl Error for TakenBack {}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_is_sent_or_taken_back() {
        let (body, claim) = Claimed::new(Full::from("text"));
        let claim = claim.expect("a body");
        let sent = body.collect().await.expect("nothing took it back");
        assert_eq!(sent.to_bytes(), "text");
        assert!(!claim.take());

        let (body, claim) = Claimed::new(Full::from("text"));
        assert!(claim.expect("a body").take());
        assert!(body.collect().await.is_err());

        let (body, claim) = Claimed::new(Full::default());
        assert!(body.is_end_stream() && claim.is_none());
    }
}
