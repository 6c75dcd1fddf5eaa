use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderValue, Request, Uri};
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

use super::connection::{Connection, Http1, Http2};
use super::handover::{Handover, Place};
use super::lease::Lease;
use super::line::{Limits, Taken};
use super::watch::Watch;
use crate::transport::destination::{Destination, Unsendable};

pub(super) type Connections = Handover<Http1, Http2>;

/// One server, and the connections to it that one runtime drives.
pub(in crate::transport) struct Server {
    destination: Destination,
    /// All tasks for the connections run there, whichever runtime polls the call that needs them.
    pub(super) runtime: Handle,
    host: HeaderValue,
    pub(super) connections: Arc<Connections>,
    last_number: AtomicU64,
    /// Taken before the lock of `connections`. No connection is dropped under it.
    watches: Mutex<Watches>,
}

/// Tasks that run only while they are needed.
#[derive(Default)]
struct Watches {
    over_unused: Option<Watch>,
    over_waiting: Option<Watch>,
}

impl Server {
    pub(super) fn new(uri: &Uri, runtime: Handle, limits: Limits) -> Result<Self, Unsendable> {
        let destination = Destination::of(uri)?;
        let limits = Limits {
            has_turns: destination.is_https(),
            ..limits
        };
        Ok(Self {
            host: destination.to_host()?,
            destination,
            runtime,
            connections: Arc::new(Handover::new(limits)),
            last_number: AtomicU64::new(0),
            watches: Mutex::default(),
        })
    }

    pub(super) fn is_of(&self, uri: &Uri, runtime: Id) -> bool {
        self.is_in(runtime) && self.destination.is_of(uri)
    }

    pub(super) fn is_in(&self, runtime: Id) -> bool {
        self.runtime.id() == runtime
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

    /// A connection that is there and that no call waits for.
    pub(super) fn take(self: &Arc<Self>) -> Option<Lease> {
        match self.connections.take()? {
            Taken::Exclusive(connection) => Some(self.lease(Connection::Http1(connection))),
            Taken::Shared(connection) => Some(self.lease(Connection::Http2(connection))),
        }
    }

    pub(super) fn place(&self) -> Place<Http1, Http2> {
        Place::new(Arc::clone(&self.connections))
    }

    pub(super) fn lease(self: &Arc<Self>, connection: Connection) -> Lease {
        Lease::new(connection, Arc::clone(self))
    }

    /// Keeps a connection for the next call, `maker` if that still waits for it.
    pub(super) fn put(self: &Arc<Self>, connection: Http1, maker: Option<u64>) {
        let keep = connection.keep;
        if !keep.is_zero() {
            self.connections.put(connection, keep, maker);
            self.watch_unused();
        }
    }

    /// Keeps a connection for all calls, unless there is one.
    pub(super) fn share(self: &Arc<Self>, connection: Http2) {
        self.connections.share(connection);
        self.watch_unused();
    }

    /// A number for a connection that is new.
    pub(super) fn number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends nothing more over the connection of HTTP/2 with this number.
    pub(super) fn forget(&self, number: u64) {
        self.connections.forget(|http2| http2.number == number);
    }

    /// Returns whether nothing is lost with it, if no call has it.
    pub(super) fn is_unused(&self) -> bool {
        self.connections.next_expiry().is_none()
    }

    pub(super) fn close_expired(&self) -> Option<Instant> {
        let next = self.connections.close_expired();
        if next.is_some() {
            return next;
        }
        let mut watches = self.watches();
        // One may have come meanwhile.
        let next = self.connections.next_expiry();
        if next.is_none() {
            watches.over_unused = None;
        }
        next
    }

    /// Passes late claims on, and returns whether calls wait.
    pub(super) fn tick(&self) -> bool {
        if self.connections.tick() {
            return true;
        }
        let mut watches = self.watches();
        let has_waiting = self.connections.has_waiting();
        if !has_waiting {
            watches.over_waiting = None;
        }
        has_waiting
    }

    fn watch_unused(self: &Arc<Self>) {
        let watch = &mut self.watches().over_unused;
        if !watch.as_ref().is_some_and(Watch::is_at_work) {
            *watch = Some(Watch::over_unused(self));
        }
    }

    /// Called by each call that gets in line.
    pub(super) fn watch_waiting(self: &Arc<Self>) {
        let watch = &mut self.watches().over_waiting;
        if !watch.as_ref().is_some_and(Watch::is_at_work) {
            *watch = Some(Watch::over_waiting(self));
        }
    }

    fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
