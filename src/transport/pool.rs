//! The connections that are there, and the calls that use them.
//!
//! hyper-util's client does this, too. But there each call that finds no connection makes one, although
//! over HTTP/2 one is enough for all; a caller learns only through a channel for each call that its
//! request was given to a connection; and a good part of what a small call costs is spent there.

mod claim;
mod connection;
mod dialer;
mod driver;
mod handover;
mod lease;
mod line;
mod server;
mod waiting;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use idpflare_layers::BoxError;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::connector::Connector;
use super::destination::Unsendable;
use dialer::Dialer;
pub(super) use lease::Lease;
use line::Limits;
pub(super) use server::Server;
use waiting::Waiting;

/// A client has one server, and a transport is seldom shared by many clients.
const FEW_SERVERS: usize = 16;
/// The part of the limit on connecting that is waited for others, before one more call connects.
const PATIENCE: u32 = 4;

/// The connections to all servers. A connection lives and dies with the runtime that drives it, so each
/// runtime has its own.
pub(super) struct Pool {
    servers: Mutex<Vec<Arc<Server>>>,
    dialer: Arc<Dialer>,
    limits: Limits,
}

impl Pool {
    /// `connect_timeout` limits the time until a call has a connection, `idle_timeout` the time for which
    /// an unused one is kept, `max_connections` their number to a server in a runtime.
    pub(super) fn new(
        connector: Connector,
        connect_timeout: Duration,
        idle_timeout: Duration,
        max_connections: usize,
    ) -> Self {
        Self {
            servers: Mutex::default(),
            dialer: Arc::new(Dialer::new(connector, connect_timeout)),
            limits: Limits {
                connections: max_connections,
                patience: connect_timeout / PATIENCE,
                idle: idle_timeout,
                has_turns: true,
            },
        }
    }

    /// The server that a URI names, as the current runtime sees it.
    pub(super) fn server(&self, uri: &Uri) -> Result<Arc<Server>, Unsendable> {
        let handle = Handle::try_current().map_err(|_| Unsendable::outside_of_a_runtime())?;
        let runtime = handle.id();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.iter().find(|server| server.is_of(uri, runtime)) {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(Server::new(uri, handle, self.limits)?);
        // Connections of a runtime that has ended have ended with it.
        let is_full = servers.len() >= FEW_SERVERS;
        let is_over = |server: &mut Arc<Server>| {
            Arc::strong_count(server) == 1
                && (is_full || !server.is_in(runtime))
                && server.is_unused()
        };
        let over: Vec<_> = servers.extract_if(.., is_over).collect();
        servers.push(Arc::clone(&server));
        // Callers may come back here when they learn that their connections are dropped.
        drop(servers);
        drop(over);
        Ok(server)
    }

    /// A connection that is there, or else a new one.
    pub(super) async fn lease(&self, server: &Arc<Server>) -> Result<Lease, BoxError> {
        match server.take() {
            Some(lease) => Ok(lease),
            // Boxed, since most calls need no room for it.
            None => {
                let dialer = Arc::clone(&self.dialer);
                let server = Arc::clone(server);
                Box::pin(Waiting::new(server, dialer)).await
            }
        }
    }

    /// Discards the connection of a request that was not sent over it. Returns whether it answers
    /// other requests: each repeat is paid for by a reply then, so that repeats get somewhere. The
    /// first reply is waited for, but not for long, as its caller may not ask for it.
    pub(super) async fn has_served(&self, lease: Lease) -> bool {
        let answered = lease.discard();
        if Handle::try_current().is_err() {
            return false;
        }
        timeout(self.limits.patience, answered).await == Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::tls;

    fn pool() -> Pool {
        let limit = Duration::from_secs(1);
        let tls = tls::Settings {
            needed: false,
            ..tls::Settings::default()
        };
        let connector = Connector::new(limit, tls, false).expect("a connector");
        Pool::new(connector, limit, limit, 1)
    }

    fn server(pool: &Pool, number: usize) -> Arc<Server> {
        let uri = format!("http://{number}.example/").parse().expect("a URI");
        pool.server(&uri).expect("a server")
    }

    #[tokio::test]
    async fn servers_without_connections_are_not_kept() {
        let pool = pool();
        let used = server(&pool, 0);
        for number in 1..10 * FEW_SERVERS {
            server(&pool, number);
        }
        assert!(pool.servers.lock().expect("no panic").len() <= FEW_SERVERS);
        assert!(Arc::ptr_eq(&used, &server(&pool, 0)));
    }

    #[test]
    fn runtimes_that_ended_leave_no_servers() {
        let pool = pool();
        for _ in 0..10 {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(async {
                let first = server(&pool, 0);
                assert!(Arc::ptr_eq(&first, &server(&pool, 0)));
            });
        }
        assert_eq!(pool.servers.lock().expect("no panic").len(), 1);
    }
}
