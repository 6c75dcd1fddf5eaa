use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request, Uri};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connection::{Connection, Http1, Http2};
use super::lease::Lease;
use super::reaper::Reaper;
use super::turns::Turns;
use super::waiting::{Arrival, Waiting};
use crate::transport::destination::{Destination, Unsendable};

/// One server, and the connections to it that are there.
pub(in crate::transport) struct Server {
    destination: Destination,
    host: HeaderValue,
    pub(super) idle_timeout: Duration,
    state: Mutex<State>,
}

struct State {
    /// The one that was used last comes last, and is used first.
    idle: Vec<Unused<Http1>>,
    shared: Option<Unused<Http2>>,
    /// First come, first served.
    waiting: VecDeque<oneshot::Sender<Lease>>,
    turns: Arc<Turns>,
    reaper: Option<Reaper>,
    last_number: u64,
}

struct Unused<C> {
    connection: C,
    since: Instant,
}

impl Server {
    pub(super) fn new(uri: &Uri, idle_timeout: Duration) -> Result<Self, Unsendable> {
        let destination = Destination::of(uri)?;
        let turns = Turns::new();
        if !destination.is_https() {
            turns.end();
        }
        Ok(Self {
            host: destination.to_host()?,
            destination,
            idle_timeout,
            state: Mutex::new(State {
                idle: Vec::new(),
                shared: None,
                waiting: VecDeque::new(),
                turns: Arc::new(turns),
                reaper: None,
                last_number: 0,
            }),
        })
    }

    pub(super) fn is_of(&self, uri: &Uri) -> bool {
        self.destination.is_of(uri)
    }

    pub(super) fn to_uri(&self) -> Uri {
        self.destination.to_uri()
    }

    pub(super) fn address_http1<B>(&self, request: &mut Request<B>) {
        Destination::address_http1(request, &self.host);
    }

    pub(super) fn address_http2<B>(&self, request: &mut Request<B>) {
        self.destination.address_http2(request);
    }

    /// A connection that is there, or a place among those who wait for one.
    pub(super) fn take(self: &Arc<Self>) -> Result<Lease, Waiting> {
        let mut state = self.state();
        if let Some(connection) = state.take(self.idle_timeout) {
            return Ok(Lease::new(connection, Arc::clone(self)));
        }
        state.forget_who_is_gone();
        let (waiting, arrival) = oneshot::channel();
        state.waiting.push_back(waiting);
        Err(Waiting {
            arrival: Arrival::new(arrival),
            turns: Arc::clone(&state.turns),
        })
    }

    /// A connection that is there by now.
    pub(super) fn take_again(self: &Arc<Self>) -> Option<Lease> {
        let connection = self.state().take(self.idle_timeout)?;
        Some(Lease::new(connection, Arc::clone(self)))
    }

    /// The connection has served a call.
    pub(super) fn put(self: &Arc<Self>, mut connection: Http1) {
        loop {
            let mut state = self.state();
            let Some(waiting) = state.waiting.pop_front() else {
                let since = Instant::now();
                state.idle.push(Unused { connection, since });
                self.have_reaped(&mut state);
                return;
            };
            drop(state);
            let lease = Lease::new(Connection::Http1(connection), Arc::clone(self));
            match waiting.send(lease).map_err(|lease| lease.connection) {
                Err(Connection::Http1(unwanted)) => connection = unwanted,
                _ => return,
            }
        }
    }

    /// A new connection that is enough for all; where there is such a one already, that one.
    pub(super) fn share(self: &Arc<Self>, mut made: Http2) -> Lease {
        let now = Instant::now();
        let mut state = self.state();
        let connection = match state.shared(now, self.idle_timeout) {
            Some(connection) => connection,
            None => {
                state.last_number += 1;
                made.number = state.last_number;
                state.shared = Some(Unused {
                    connection: made.clone(),
                    since: now,
                });
                // For when it is lost.
                state.turns = Arc::new(Turns::new());
                self.have_reaped(&mut state);
                made
            }
        };
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for waiting in waiting {
            let connection = Connection::Http2(connection.clone());
            // One that is gone needs none.
            let _ = waiting.send(Lease::new(connection, Arc::clone(self)));
        }
        Lease::new(Connection::Http2(connection), Arc::clone(self))
    }

    /// Who had a turn of `turns` has learned that the server speaks HTTP/1.1: each call needs a
    /// connection of its own.
    pub(super) fn shares_none(&self, turns: &Arc<Turns>) {
        let state = self.state();
        if Arc::ptr_eq(&state.turns, turns) {
            turns.end();
        }
    }

    /// Who had a turn of `turns` has no connection.
    pub(super) fn has_failed(&self, turns: &Arc<Turns>) {
        let mut state = self.state();
        state.forget_who_is_gone();
        // Most often, the one that failed is among them still.
        if state.waiting.len() > 1 {
            turns.add_one();
        } else if Arc::ptr_eq(&state.turns, turns) && !turns.have_ended() {
            state.turns = Arc::new(Turns::new());
        }
    }

    /// Nothing more is sent over the connection of HTTP/2 with this number.
    pub(super) fn forget(&self, number: u64) {
        let mut state = self.state();
        let is_it = |shared: &Unused<Http2>| shared.connection.number == number;
        if state.shared.as_ref().is_some_and(is_it) {
            state.shared = None;
        }
    }

    /// Whether nothing is lost with it, if nobody else has it.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.state();
        state.idle.is_empty() && state.shared.is_none()
    }

    fn have_reaped(self: &Arc<Self>, state: &mut State) {
        if !state.reaper.as_ref().is_some_and(Reaper::is_at_work) {
            state.reaper = Reaper::start(self);
        }
    }

    /// Closes what nobody has used for too long. When that is to be done again, if it is.
    pub(super) fn close_expired(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        let timeout = self.idle_timeout;
        state.idle.retain(|unused| {
            unused.connection.sender.is_ready() && !unused.is_expired(now, timeout)
        });
        state.shared.take_if(|shared| {
            !shared.connection.sender.is_ready() || shared.is_expired(now, timeout)
        });
        let idle = state.idle.iter().map(|unused| unused.since);
        let shared = state.shared.iter().map(|unused| unused.since);
        let oldest = idle.chain(shared).min();
        if oldest.is_none() {
            state.reaper = None;
        }
        oldest.map(|since| since + timeout)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A connection that can be used now.
    fn take(&mut self, idle_timeout: Duration) -> Option<Connection> {
        let now = Instant::now();
        if let Some(shared) = self.shared(now, idle_timeout) {
            return Some(Connection::Http2(shared));
        }
        while let Some(unused) = self.idle.pop() {
            if unused.connection.sender.is_ready() && !unused.is_expired(now, idle_timeout) {
                return Some(Connection::Http1(unused.connection));
            }
        }
        None
    }

    fn shared(&mut self, now: Instant, idle_timeout: Duration) -> Option<Http2> {
        self.shared.take_if(|shared| {
            !shared.connection.sender.is_ready() || shared.is_expired(now, idle_timeout)
        });
        let shared = self.shared.as_mut()?;
        shared.since = now;
        Some(shared.connection.clone())
    }

    fn forget_who_is_gone(&mut self) {
        while self.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            self.waiting.pop_front();
        }
    }
}

impl<C> Unused<C> {
    fn is_expired(&self, now: Instant, timeout: Duration) -> bool {
        now.saturating_duration_since(self.since) >= timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Arc<Server> {
        let uri = Uri::from_static("https://idp.example");
        Arc::new(Server::new(&uri, Duration::from_secs(60)).expect("a server"))
    }

    fn wait(server: &Arc<Server>) -> Waiting {
        server.take().err().expect("there is no connection")
    }

    #[test]
    fn those_who_wait_no_longer_are_forgotten() {
        let server = server();
        for _ in 0..100 {
            wait(&server);
        }
        assert_eq!(server.state().waiting.len(), 1);
    }

    #[tokio::test]
    async fn failures_that_hold_up_nobody_else_let_no_more_connect_at_once() {
        let server = server();
        for _ in 0..10 {
            let turns = wait(&server).turns;
            server.has_failed(&turns);
        }
        let turns = wait(&server).turns;
        let long = Duration::from_secs(600);
        let first = turns.wait(long).await;
        assert!(first.is_some());
        let second = std::pin::pin!(turns.wait(long));
        assert!(futures_util::FutureExt::now_or_never(second).is_none());
    }
}
