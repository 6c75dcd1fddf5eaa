use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use idpflare_layers::Call;

use super::pool::Lease;

type Step = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

/// A reply's body on its way. Where a limit of time gives it up, what is sent next goes over another
/// connection: the peer of this one may be gone, and HTTP/2 would keep it for others.
pub(super) struct Arriving {
    /// What has been read of `body` already.
    begin: Step,
    body: Incoming,
    /// `None` once all has arrived.
    lease: Option<Lease>,
    call: Option<Call>,
}

impl Arriving {
    pub(super) fn new(
        begin: Step,
        body: Incoming,
        lease: Option<Lease>,
        call: Option<Call>,
    ) -> Self {
        Self {
            begin,
            body,
            lease,
            call,
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        if self.call.as_ref().is_some_and(Call::is_giving_up) {
            drop(lease.discard());
        } else {
            lease.finish(false);
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Step {
        let step = match std::mem::replace(&mut self.begin, Poll::Pending) {
            Poll::Pending => Pin::new(&mut self.body).poll_frame(cx),
            begin => begin,
        };
        let is_over = matches!(step, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream();
        if is_over && let Some(lease) = self.lease.take() {
            lease.finish(true);
        }
        step
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_pending() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.body.size_hint();
        let Poll::Ready(Some(Ok(begin))) = &self.begin else {
            return left;
        };
        let begin = begin.data_ref().map_or(0, Bytes::len) as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower().saturating_add(begin));
        if let Some(upper) = left.upper() {
            hint.set_upper(upper.saturating_add(begin));
        }
        hint
    }
}
