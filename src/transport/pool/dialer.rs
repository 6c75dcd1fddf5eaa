use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::client::conn::{http1, http2};
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::TokioTimer;
use idpflare_layers::{BoxError, Timeout, TimeoutScope};
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use super::connection::{Connection, Http1, Http2};
use super::driver::Executor;
use super::lease::Lease;
use super::server::Server;
use super::turns::Turns;
use super::waiting::Waiting;
use crate::transport::connector::Connector;

const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How many streams are opened before the server says how many it allows. Each above its limit would
/// be refused, and a create that is refused is not repeated. Any server allows one; the others wait
/// for its SETTINGS, which take a round trip at most.
const STREAMS_BEFORE_SETTINGS: usize = 1;
/// Which part of the limit on connecting a turn may take before one more is let on.
const PATIENCE: u32 = 4;

/// Makes connections.
pub(super) struct Dialer {
    connector: Connector,
    http1: http1::Builder,
    limit: Duration,
}

impl Dialer {
    /// `limit` is how long a call may take to come to a connection.
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

    /// How long a request waits for an event that may not come, where it could go on without it.
    pub(super) fn patience(&self) -> Duration {
        self.limit / PATIENCE
    }

    /// A new connection, or one that another call makes or gives back before that.
    pub(super) async fn connect(
        self: &Arc<Self>,
        server: Arc<Server>,
        waiting: Waiting,
    ) -> Result<Lease, BoxError> {
        let has_begun = Arc::new(AtomicBool::new(false));
        let dialing = Dialing {
            dialer: Arc::clone(self),
            server,
            has_begun: Arc::clone(&has_begun),
        };
        match select(waiting.arrival, Box::pin(dialing.dial(waiting.turns))).await {
            Either::Left((Some(lease), dialing)) => {
                // What has been begun serves another call, unless one connection serves all.
                if has_begun.load(Ordering::Relaxed) && !lease.is_shared() {
                    tokio::spawn(async {
                        if let Ok(lease) = dialing.await {
                            lease.finish();
                        }
                    });
                }
                Ok(lease)
            }
            Either::Left((None, dialing)) => dialing.await,
            Either::Right((outcome, _)) => outcome,
        }
    }
}

/// One connection that is to be made.
struct Dialing {
    dialer: Arc<Dialer>,
    server: Arc<Server>,
    has_begun: Arc<AtomicBool>,
}

impl Dialing {
    async fn dial(self, turns: Arc<Turns>) -> Result<Lease, BoxError> {
        let limit = self.dialer.limit;
        let turn = within(limit, turns.wait(self.dialer.patience())).await?;
        // The one before may have ended since the last look.
        if let Some(lease) = self.server.take_again() {
            return Ok(lease);
        }
        self.has_begun.store(true, Ordering::Relaxed);
        let outcome = within(limit, self.handshake(&turns)).await;
        let outcome = outcome.and_then(std::convert::identity);
        if outcome.is_err() {
            self.server.has_failed(&turns);
        }
        drop(turn);
        outcome
    }

    async fn handshake(&self, turns: &Arc<Turns>) -> Result<Lease, BoxError> {
        let connector = self.dialer.connector.clone();
        let stream = connector.oneshot(self.server.to_uri()).await?;
        if stream.connected().is_negotiated_h2() {
            let executor = Executor::default();
            let mut http2 = http2::Builder::new(executor.clone());
            http2
                .timer(TokioTimer::new())
                .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
                .keep_alive_interval(HTTP2_PING_INTERVAL)
                .keep_alive_timeout(HTTP2_PING_TIMEOUT);
            let (mut sender, streams) = http2.handshake(stream).await?;
            let end = executor.drive(streams);
            sender.ready().await?;
            return Ok(self.server.share(Http2::new(sender, end)));
        }
        let (mut sender, connection) = self.dialer.http1.handshake(stream).await?;
        let task = tokio::spawn(connection);
        if let Err(closed) = sender.ready().await {
            // The connection knows why.
            return Err(match task.await {
                Ok(Err(error)) => error.into(),
                _ => closed.into(),
            });
        }
        self.server.shares_none(turns);
        let connection = Connection::Http1(Http1::new(sender));
        Ok(Lease::new(connection, Arc::clone(&self.server)))
    }
}

async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, BoxError> {
    let started = Instant::now();
    let timed_out = |_| Timeout::new(TimeoutScope::Connect, limit, started.elapsed()).into();
    timeout(limit, future).await.map_err(timed_out)
}
