use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use idpflare_layers::{BoxError, Timeout, TimeoutScope};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::{Connection, Http1, Http2};
use super::dialer::{Dial, Dialer, Ended};
use super::handover::Place;
use super::lease::Lease;
use super::line::{Reason, Step};
use super::server::Server;

const LONG: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A call for which there was no connection: it waits for one, and makes one as soon as it may.
pub(super) struct Waiting {
    server: Arc<Server>,
    dialer: Arc<Dialer>,
    place: Place<Http1, Http2>,
    dial: Option<Dial>,
    /// When its time for connecting began: its turn and its own attempt together. There is none while it
    /// waits at the maximum number of connections.
    since: Option<Instant>,
    /// Ends a wait for a turn; its own attempt ends by itself.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Waiting {
    pub(super) fn new(server: Arc<Server>, dialer: Arc<Dialer>) -> Self {
        Self {
            place: server.place(),
            server,
            dialer,
            dial: None,
            since: None,
            timer: None,
        }
    }

    fn start_dial(&mut self, generation: u64) {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.timer = None;
        let server = Arc::clone(&self.server);
        let maker = self.place.ticket();
        self.dial = Some(self.dialer.dial(server, generation, maker, since));
    }

    /// Polls the attempt that it has begun, or else the end of the time that it may wait for its turn.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let Some(dial) = &mut self.dial {
            let ended = ready!(Pin::new(dial).poll(cx));
            self.dial = None;
            match ended {
                Ended::Made => {}
                // It waits at the maximum number of connections.
                Ended::Starved => self.since = None,
                Ended::Failed(error) => return Poll::Ready(Err(error)),
            }
            return Poll::Ready(Ok(()));
        }
        let (Some(timer), Some(since)) = (&mut self.timer, self.since) else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(timed_out(self.dialer.limit, since)))
    }
}

impl Future for Waiting {
    type Output = Result<Lease, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match this.place.poll(this.dial.is_some(), cx.waker()) {
                Step::Exclusive(connection) => {
                    // The attempt that was begun serves another call.
                    if let Some(dial) = this.dial.take() {
                        dial.detach();
                    }
                    return Poll::Ready(Ok(this.server.lease(Connection::Http1(connection))));
                }
                Step::Shared(connection) => {
                    this.dial = None;
                    return Poll::Ready(Ok(this.server.lease(Connection::Http2(connection))));
                }
                Step::Dial(generation) => this.start_dial(generation),
                Step::Wait(Reason::Dialing) => {}
                Step::Wait(Reason::Bound) => {
                    this.since = None;
                    this.timer = None;
                }
                Step::Wait(Reason::Turn) => {
                    let since = *this.since.get_or_insert_with(Instant::now);
                    if this.timer.is_none() {
                        // It may be polled outside of any runtime by now.
                        let elsewhere = Handle::try_current().is_err();
                        let _entered = elsewhere.then(|| this.server.runtime.enter());
                        this.timer = Some(Box::pin(sleep_until(end(this.dialer.limit, since))));
                    }
                }
            }
            this.server.watch_waiting();
            ready!(this.poll_end(cx))?;
        }
    }
}

/// The end of the limit for a call that has looked for a connection since then. Clocks have an end, too.
pub(super) fn end(limit: Duration, since: Instant) -> Instant {
    since + limit.min(LONG)
}

/// The error of a call that has looked for a connection since then.
pub(super) fn timed_out(limit: Duration, since: Instant) -> BoxError {
    Timeout::new(TimeoutScope::Connect, limit, since.elapsed()).into()
}
