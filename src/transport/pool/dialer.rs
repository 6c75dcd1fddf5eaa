use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Extensions;
use hyper::client::conn::{http1, http2};
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::TokioTimer;
use idpflare_layers::{BoxError, find_source};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;

use super::connection::{Http1, Http2};
use super::driver::Executor;
use super::server::{Connections, Server};
use super::waiting::{end, timed_out};
use crate::transport::connector::Connector;
use crate::transport::socket::SocketHandle;

const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How many streams are opened before the server says how many it allows. Each above its limit would
/// be refused, and a create that is refused is not repeated. Any server allows one; the others wait
/// for its SETTINGS, which take a round trip at most.
const STREAMS_BEFORE_SETTINGS: usize = 1;
/// Makes connections.
pub(super) struct Dialer {
    connector: Connector,
    http1: http1::Builder,
    /// How long a call may take to come to a connection.
    pub(super) limit: Duration,
}

impl Dialer {
    pub(super) fn new(connector: Connector, limit: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        // Most requests are a head alone, and a body is short enough to be copied behind one: a plain
        // write costs the system less than one of several pieces.
        http1.writev(false);
        Self {
            connector,
            http1,
            limit,
        }
    }

    /// Makes a connection for the pool, in a task, as the future of the call may be held. `since` is when
    /// the call began to look for a connection. The task runs where the server's connections do.
    pub(super) fn dial(
        self: &Arc<Self>,
        server: Arc<Server>,
        generation: u64,
        maker: Option<u64>,
        since: Instant,
    ) -> Dial {
        let runtime = server.runtime.clone();
        let dialing = Dialing {
            dialer: Arc::clone(self),
            making: Making {
                connections: Arc::clone(&server.connections),
                generation,
            },
            server,
            maker,
        };
        Dial(Some(runtime.spawn(dialing.run(since))))
    }
}

/// An attempt to make a connection. Dropped, it ends.
pub(super) struct Dial(Option<JoinHandle<Ended>>);

/// The end of such an attempt.
pub(super) enum Ended {
    /// The connection is in the pool.
    Made,
    /// No descriptor or port was left, and there are other connections to wait for.
    Starved,
    Failed(BoxError),
}

impl Dial {
    /// Goes on without the call.
    pub(super) fn detach(mut self) {
        self.0 = None;
    }
}

impl Future for Dial {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let Some(task) = &mut self.0 else {
            return Poll::Pending;
        };
        Pin::new(task).poll(cx).map(|ended| match ended {
            Ok(ended) => ended,
            // Its runtime ends.
            Err(error) => Ended::Failed(error.into()),
        })
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// One connection that is being made.
struct Dialing {
    dialer: Arc<Dialer>,
    server: Arc<Server>,
    making: Making,
    maker: Option<u64>,
}

impl Dialing {
    async fn run(self, since: Instant) -> Ended {
        let limit = self.dialer.limit;
        let handshake = timeout_at(end(limit, since), self.handshake());
        let error = match handshake.await {
            Ok(Ok(made)) => return made,
            Ok(Err(error)) => error,
            Err(_) => timed_out(limit, since),
        };
        if is_starved(&error) && self.server.connections.dial_starved() {
            return Ended::Starved;
        }
        self.server.connections.dial_failed(self.making.generation);
        Ended::Failed(error)
    }

    async fn handshake(&self) -> Result<Ended, BoxError> {
        let connector = self.dialer.connector.clone();
        let stream = connector.oneshot(self.server.to_uri()).await?;
        let connected = stream.connected();
        let mut extensions = Extensions::new();
        connected.get_extras(&mut extensions);
        let socket = extensions.remove::<SocketHandle>();
        let open = Open::new(&self.server.connections);
        if connected.is_negotiated_h2() {
            let executor = Executor::default();
            let mut http2 = http2::Builder::new(executor.clone());
            http2
                .timer(TokioTimer::new())
                .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
                .keep_alive_interval(HTTP2_PING_INTERVAL)
                .keep_alive_timeout(HTTP2_PING_TIMEOUT);
            let (mut sender, streams) = http2.handshake(stream).await?;
            let end = executor.drive(streams, open);
            sender.ready().await?;
            let number = self.server.number();
            self.server.share(Http2::new(sender, number, socket, end));
            return Ok(Ended::Made);
        }
        let (mut sender, connection) = self.dialer.http1.handshake(stream).await?;
        let task = tokio::spawn(open.during(connection));
        if let Err(closed) = sender.ready().await {
            // The connection knows why.
            return Err(match task.await {
                Ok(Err(error)) => error.into(),
                _ => closed.into(),
            });
        }
        self.server.put(Http1::new(sender, socket), self.maker);
        self.server.connections.end_turns(self.making.generation);
        Ok(Ended::Made)
    }
}

/// Counts a connection as one that is being made.
struct Making {
    connections: Arc<Connections>,
    generation: u64,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.connections.dial_over(self.generation);
    }
}

/// Counts a connection as one that is there. Its task has this, and must not keep the pool.
struct Open(Weak<Connections>);

impl Open {
    fn new(connections: &Arc<Connections>) -> Self {
        connections.connected();
        Self(Arc::downgrade(connections))
    }

    async fn during<F: Future>(self, connection: F) -> F::Output {
        connection.await
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connections) = self.0.upgrade() {
            connections.disconnected();
        }
    }
}

/// Returns whether the process or the system has no descriptor or port left.
fn is_starved(error: &BoxError) -> bool {
    #[cfg(unix)]
    const NO_DESCRIPTOR: [i32; 2] = [23, 24]; // ENFILE, EMFILE
    #[cfg(not(unix))]
    const NO_DESCRIPTOR: [i32; 1] = [10024]; // WSAEMFILE
    find_source::<io::Error>(&**error).is_some_and(|error| {
        let code = error.raw_os_error();
        error.kind() == io::ErrorKind::AddrNotAvailable
            || code.is_some_and(|code| NO_DESCRIPTOR.contains(&code))
    })
}

#[cfg(test)]
mod tests {
    use idpflare_layers::TransportError;

    use super::*;

    #[test]
    fn a_process_without_descriptors_or_ports_is_starved() {
        let of = |error: io::Error| is_starved(&TransportError::connect(error.into()).into());
        assert!(of(io::ErrorKind::AddrNotAvailable.into()));
        #[cfg(unix)]
        for code in [23, 24] {
            assert!(of(io::Error::from_raw_os_error(code)));
        }
        assert!(!of(io::ErrorKind::ConnectionRefused.into()));
    }
}
