use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use idpflare_layers::Call;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::connection::Connection;
use super::server::Server;

/// A connection, for one request. Dropped while HTTP/1.1 is in use, the connection is closed.
pub(in crate::transport) struct Lease {
    pub(super) connection: Connection,
    pub(super) server: Arc<Server>,
    is_kept: bool,
}

impl Lease {
    pub(super) fn kept(connection: Connection, server: Arc<Server>) -> Self {
        Self {
            connection,
            server,
            is_kept: true,
        }
    }

    pub(super) fn made(connection: Connection, server: Arc<Server>) -> Self {
        Self {
            connection,
            server,
            is_kept: false,
        }
    }

    /// Whether it was not made for this request, so that it may have been about to end.
    pub(in crate::transport) fn is_kept(&self) -> bool {
        self.is_kept
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self.connection, Connection::Http2(_))
    }

    /// Sends the request, which is taken away, and waits for the head of its reply. What the error
    /// gives back was not sent.
    pub(in crate::transport) async fn send(
        &mut self,
        request: &mut Request<Full<Bytes>>,
        call: Option<&Call>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        match &mut self.connection {
            Connection::Http1(sender) => {
                self.server.address_http1(request);
                sender.try_send_request(mem::take(request)).await
            }
            Connection::Http2(http2) => {
                self.server.address_http2(request);
                let sending = http2.sender.try_send_request(mem::take(request));
                let mut unanswered = Unanswered {
                    server: &self.server,
                    number: http2.number,
                    call,
                };
                let outcome = sending.await;
                unanswered.call = None;
                outcome
            }
        }
    }

    /// Its reply has arrived, or nobody wants the rest of that.
    pub(in crate::transport) fn finish(self) {
        let Connection::Http1(mut sender) = self.connection else {
            return;
        };
        if sender.is_ready() {
            self.server.put(sender);
            return;
        }
        if sender.is_closed() {
            return;
        }
        // Its task has to come to the end of the exchange first. Where the rest of the request, or of a
        // reply that nobody wants, holds that up, it is given up.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let ready = timeout(self.server.idle_timeout, sender.ready()).await;
                if matches!(ready, Ok(Ok(()))) {
                    self.server.put(sender);
                }
            });
        }
    }

    /// Nothing more is sent over it.
    pub(in crate::transport) fn discard(self) {
        if let Connection::Http2(http2) = self.connection {
            self.server.forget(http2.number);
        }
    }
}

/// A request that waits for its reply over a connection with others. Where a limit of time gives it
/// up, the peer may be gone, and what is sent next goes over another connection; a caller who goes away
/// says nothing about the peer.
struct Unanswered<'a> {
    server: &'a Server,
    number: u64,
    call: Option<&'a Call>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.call.is_some_and(Call::is_giving_up) {
            self.server.forget(self.number);
        }
    }
}
