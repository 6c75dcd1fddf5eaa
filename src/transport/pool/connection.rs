use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::sync::watch;

use super::claim::Claimed;
use super::driver::End;
use super::line::Keep;
use crate::transport::socket::{SocketHandle, Unread};

/// The time after a reply within which a next call spares the look at the socket, which costs a system
/// call. Bytes that follow a reply so soon were most often read along with it.
const BACK_TO_BACK: Duration = Duration::from_micros(20);
/// The time since the last request within which a connection for many calls counts as in use.
const IN_USE: Duration = Duration::from_millis(1);
/// The time within which the task of a new connection reads the last of the handshake.
const HANDSHAKE: Duration = Duration::from_millis(10);

const SILENT: &[Unread] = &[Unread::Nothing];
const OPEN: &[Unread] = &[Unread::Nothing, Unread::Bytes];

/// The way into a connection, which a task of its own drives.
pub(super) enum Connection {
    /// One call at a time.
    Http1(Http1),
    /// Many calls at once.
    Http2(Http2),
}

pub(super) type Http1Sender = http1::SendRequest<Full<Bytes>>;

pub(super) type Http2Sender = http2::SendRequest<Claimed>;

type Outcome = Result<Response<Incoming>, TrySendError<Request<Claimed>>>;

pub(super) struct Http1 {
    pub(super) sender: Http1Sender,
    socket: Option<SocketHandle>,
    /// Whether a reply has come over it.
    pub(super) has_answered: bool,
    /// How long it may be unused, as the server says.
    pub(super) keep: Duration,
}

impl Http1 {
    pub(super) fn new(sender: Http1Sender, socket: Option<SocketHandle>) -> Self {
        Self {
            sender,
            socket,
            has_answered: false,
            keep: Duration::MAX,
        }
    }
}

#[derive(Clone)]
pub(super) struct Http2 {
    sender: Http2Sender,
    /// No two of a server have the same.
    pub(super) number: u64,
    socket: Option<SocketHandle>,
    /// Whether a reply has come over it. It is dropped with the last request that waits for one.
    has_answered: Arc<watch::Sender<bool>>,
    end: End,
}

impl Http2 {
    pub(super) fn new(
        sender: Http2Sender,
        number: u64,
        socket: Option<SocketHandle>,
        end: End,
    ) -> Self {
        Self {
            sender,
            number,
            socket,
            has_answered: Arc::new(watch::Sender::new(false)),
            end,
        }
    }

    /// Sends a request, unless the connection has ended.
    pub(super) fn send(
        &mut self,
        request: Request<Claimed>,
    ) -> Option<impl Future<Output = Outcome> + use<>> {
        let sender = &mut self.sender;
        self.end.enqueue(|| sender.try_send_request(request))
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

impl Keep for Http1 {
    /// A server has nothing to say between two replies. Its task would see the end of the connection, or
    /// bytes that answer no request; but it may not have had a turn since they arrived.
    fn is_usable(&self, unused: Duration) -> bool {
        // A server may send tickets for later TLS sessions right after the handshake.
        let expected = if !self.has_answered && unused < HANDSHAKE {
            OPEN
        } else {
            SILENT
        };
        self.sender.is_ready() && (unused < BACK_TO_BACK || is_unread(&self.socket, expected))
    }
}

/// Bytes that arrive on it may be for other calls.
impl Keep for Http2 {
    fn is_usable(&self, unused: Duration) -> bool {
        self.sender.is_ready() && (unused < IN_USE || is_unread(&self.socket, OPEN))
    }
}

fn is_unread(socket: &Option<SocketHandle>, expected: &[Unread]) -> bool {
    let unread = socket.as_ref().map(SocketHandle::unread);
    unread.is_none_or(|unread| expected.contains(&unread))
}

/// The time for which a server keeps an idle connection (`Keep-Alive: timeout=N`, RFC 2068, section
/// 19.7.1.1), less a second, as the request takes time to arrive.
pub(super) fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("keep-alive").into_iter();
    let mut parameters = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let seconds = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
        let value = value.trim().trim_matches('"');
        is_timeout.then(|| value.parse::<u64>().ok()).flatten()
    })?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_time_that_a_server_keeps_a_connection_is_read() {
        for (value, expected) in [
            ("timeout=5", Some(4)),
            ("max=100, Timeout = \"30\"", Some(29)),
            ("timeout=0", Some(0)),
            ("timeout=1", Some(0)),
            ("timeout=99999999999999999999", None),
            ("timeout=-1", None),
            ("timeout", None),
            ("max=5", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append("keep-alive", HeaderValue::from_static("max=7"));
            headers.append("keep-alive", HeaderValue::from_static(value));
            let expected = expected.map(Duration::from_secs);
            assert_eq!(keep_alive(&headers), expected, "{value}");
        }
    }
}
