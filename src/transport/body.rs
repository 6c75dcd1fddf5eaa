use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::CaptureConnection;
use idpflare_layers::Call;

/// A reply's body on its way. Where a limit of time gives it up, what is sent next goes over another
/// connection: the peer of this one may be gone, and HTTP/2 would keep it for others.
pub(super) struct Arriving {
    body: Incoming,
    connection: CaptureConnection,
    call: Call,
    is_over: bool,
}

impl Arriving {
    pub(super) fn new(body: Incoming, connection: CaptureConnection, call: Call) -> Self {
        Self {
            is_over: body.is_end_stream(),
            body,
            connection,
            call,
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.is_over
            && self.call.is_giving_up()
            && let Some(connection) = &*self.connection.connection_metadata()
        {
            connection.poison();
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.is_over = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
