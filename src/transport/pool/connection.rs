use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::sync::watch;

use super::driver::End;

/// The way into a connection, which a task of its own drives.
pub(super) enum Connection {
    /// One call at a time.
    Http1(Http1),
    /// Many calls at once.
    Http2(Http2),
}

pub(super) type Http1Sender = http1::SendRequest<Full<Bytes>>;

pub(super) type Http2Sender = http2::SendRequest<Full<Bytes>>;

pub(super) struct Http1 {
    pub(super) sender: Http1Sender,
    /// Whether a reply has come over it.
    pub(super) has_answered: bool,
}

impl Http1 {
    pub(super) fn new(sender: Http1Sender) -> Self {
        Self {
            sender,
            has_answered: false,
        }
    }
}

#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) sender: Http2Sender,
    /// No two of a server have the same.
    pub(super) number: u64,
    /// Whether a reply has come over it. It is dropped with the last request that waits for one.
    has_answered: Arc<watch::Sender<bool>>,
    end: End,
}

impl Http2 {
    pub(super) fn new(sender: Http2Sender, end: End) -> Self {
        Self {
            sender,
            number: 0,
            has_answered: Arc::new(watch::Sender::new(false)),
            end,
        }
    }

    pub(super) fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>> + use<>
    {
        let sender = &mut self.sender;
        self.end.enqueue(|| sender.try_send_request(request))
    }

    /// Whether the request that failed with `error` is one that was dropped before its stream was
    /// opened.
    pub(super) fn has_dropped(&self, error: &hyper::Error) -> bool {
        // It is the only error of this kind that hyper has for requests like ours.
        error.is_user() && self.end.take_dropped()
    }

    /// A reply has come over it.
    pub(super) fn answers(&self) {
        if !*self.has_answered.borrow() {
            self.has_answered.send_replace(true);
        }
    }

    /// Gives up this way into the connection. Returns whether a reply comes over it, which is known
    /// when the first one arrives, or when no request waits for one any more.
    pub(super) fn answered(self) -> impl Future<Output = bool> {
        let mut has_answered = self.has_answered.subscribe();
        drop(self);
        async move { has_answered.wait_for(|it| *it).await.is_ok() }
    }
}
