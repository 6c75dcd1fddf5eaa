use std::future::ready;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use idpflare_layers::{BoxError, Call, find_source};
use tokio::time::timeout;

use super::claim::Claimed;
use super::connection::{Connection, keep_alive};
use super::server::Server;

/// A connection, for one request. Dropped while HTTP/1.1 is in use, the connection is closed.
pub(in crate::transport) struct Lease {
    connection: Connection,
    server: Arc<Server>,
}

/// No reply came to a request.
pub(in crate::transport) struct SendError {
    pub(in crate::transport) error: BoxError,
    /// Whether it is certain that the server has not processed the request.
    pub(in crate::transport) is_unsent: bool,
    /// The request, where the end of its connection is a reason to send it again.
    pub(in crate::transport) again: Option<Request<Full<Bytes>>>,
}

impl Lease {
    pub(super) fn new(connection: Connection, server: Arc<Server>) -> Self {
        Self { connection, server }
    }

    /// Sends the request, which is taken away, and waits for the head of its reply. `is_once` is whether
    /// a repeat may act twice.
    pub(in crate::transport) async fn send(
        &mut self,
        request: &mut Request<Full<Bytes>>,
        is_once: bool,
        call: Option<&Call>,
    ) -> Result<Response<Incoming>, SendError> {
        match &mut self.connection {
            Connection::Http1(http1) => {
                self.server.address_http1(request);
                let sending = http1.sender.try_send_request(mem::take(request));
                let outcome = sending.await.map_err(|mut error| {
                    let again = error.take_message();
                    SendError {
                        is_unsent: again.is_some(),
                        again,
                        error: error.into_error().into(),
                    }
                })?;
                http1.has_answered = true;
                if let Some(keep) = keep_alive(outcome.headers()) {
                    http1.keep = keep;
                }
                Ok(outcome)
            }
            Connection::Http2(http2) => {
                self.server.address_http2(request);
                let copy = copy_of(request);
                let (head, body) = mem::take(request).into_parts();
                let (body, claim) = Claimed::new(body);
                let Some(sending) = http2.send(Request::from_parts(head, body)) else {
                    self.server.forget(http2.number);
                    return Err(SendError {
                        error: "the connection has ended".into(),
                        is_unsent: true,
                        again: Some(copy),
                    });
                };
                let mut unanswered = Unanswered {
                    server: &self.server,
                    number: http2.number,
                    call,
                };
                let outcome = sending.await;
                unanswered.call = None;
                let reply = outcome.map_err(|error| {
                    if !is_of_one_stream(error.error()) {
                        self.server.forget(http2.number);
                    }
                    // The connection dropped it: hyper has no other error of this kind for requests
                    // like ours.
                    let is_dropped = error.error().is_user();
                    let is_unsent = error.message().is_some()
                        || is_unsent(error.error())
                        || (is_dropped && claim.is_some_and(|claim| claim.take()));
                    let is_repeated = is_unsent || (is_dropped && !is_once);
                    SendError {
                        is_unsent,
                        again: is_repeated.then_some(copy),
                        error: error.into_error().into(),
                    }
                })?;
                http2.answers();
                Ok(reply)
            }
        }
    }

    /// Keeps the connection, whose reply has arrived or is not wanted to its end.
    pub(in crate::transport) fn finish(self, is_complete: bool) {
        let Connection::Http1(mut http1) = self.connection else {
            return;
        };
        if http1.sender.is_ready() {
            self.server.put(http1, None);
            return;
        }
        if http1.sender.is_closed() {
            return;
        }
        // Its task has to come to the end of the exchange first. Where the rest of the request, or of a
        // reply that nobody wants, holds that up, it is given up.
        let returning = is_complete.then(|| Returning::new(&self.server));
        let runtime = self.server.runtime.clone();
        runtime.spawn(async move {
            let ready = timeout(self.server.connections.idle(), http1.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                self.server.put(http1, None);
            }
            drop(returning);
        });
    }

    /// Sends nothing more over it. Returns whether it has answered a request, or will.
    pub(in crate::transport) fn discard(self) -> impl Future<Output = bool> {
        match self.connection {
            Connection::Http1(http1) => Either::Left(ready(http1.has_answered)),
            Connection::Http2(http2) => {
                self.server.forget(http2.number);
                Either::Right(http2.answered())
            }
        }
    }
}

/// Whether the server has not processed the request. hyper cancels a request that it has not begun to
/// send, and closes the way to a connection that ended before; a stream above the last one of a GOAWAY
/// was not processed (RFC 9113, section 6.8).
fn is_unsent(error: &hyper::Error) -> bool {
    error.is_canceled()
        || error.is_closed()
        || find_source::<h2::Error>(error)
            .is_some_and(|error| error.is_remote() && error.is_go_away())
}

/// Returns whether the connection may serve others after this error. Any other error ends it, and a
/// repeated request must not meet it while it ends.
fn is_of_one_stream(error: &hyper::Error) -> bool {
    find_source::<h2::Error>(error).is_some_and(|error| !error.is_io() && !error.is_go_away())
}

/// The request without its extensions, which are of no use to a connection.
fn copy_of(request: &Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Counts a connection as one that is about to be free.
struct Returning(Arc<Server>);

impl Returning {
    fn new(server: &Arc<Server>) -> Self {
        server.connections.returning();
        Self(Arc::clone(server))
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.0.connections.returned();
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
