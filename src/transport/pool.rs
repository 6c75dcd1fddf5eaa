//! Which connections there are, and who uses them.
//!
//! hyper-util's client does this, too. But there each call that finds no connection makes one, although
//! over HTTP/2 one is enough for all; a caller learns only through a channel for each call that its
//! request was given to a connection; and a good part of what a small call costs is spent there.

mod connection;
mod dialer;
mod driver;
mod lease;
mod reaper;
mod server;
mod turns;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use idpflare_layers::BoxError;
use tokio::time::timeout;

use super::connector::Connector;
use super::destination::Unsendable;
use dialer::Dialer;
pub(super) use lease::{Lease, SendError};
pub(super) use server::Server;

/// A client has one server, and a transport is seldom shared by many clients.
const FEW_SERVERS: usize = 16;

/// The connections to all servers.
pub(super) struct Pool {
    servers: Mutex<Vec<Arc<Server>>>,
    dialer: Arc<Dialer>,
    idle_timeout: Duration,
}

impl Pool {
    /// `connect_timeout` is how long a call may take to come to a connection, `idle_timeout` how long
    /// one is kept that nobody uses.
    pub(super) fn new(
        connector: Connector,
        connect_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            servers: Mutex::default(),
            dialer: Arc::new(Dialer::new(connector, connect_timeout)),
            idle_timeout,
        }
    }

    /// The server that a URI names.
    pub(super) fn server(&self, uri: &Uri) -> Result<Arc<Server>, Unsendable> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.iter().find(|server| server.is_of(uri)) {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(Server::new(uri, self.idle_timeout)?);
        if servers.len() >= FEW_SERVERS {
            servers.retain(|server| Arc::strong_count(server) > 1 || !server.is_unused());
        }
        servers.push(Arc::clone(&server));
        Ok(server)
    }

    /// A connection that is there, or else a new one.
    pub(super) async fn lease(&self, server: &Arc<Server>) -> Result<Lease, BoxError> {
        match server.take() {
            Ok(lease) => Ok(lease),
            // Boxed, as what most calls need no room for.
            Err(waiting) => Box::pin(self.dialer.connect(Arc::clone(server), waiting)).await,
        }
    }

    /// Discards the connection of a request that was not sent over it. Returns whether it answers
    /// other requests: each repeat is paid for by a reply then, so that repeats get somewhere. The
    /// first reply is waited for, but not for long, as its caller may not ask for it.
    pub(super) async fn has_served(&self, lease: Lease) -> bool {
        let answered = lease.discard();
        timeout(self.dialer.patience(), answered).await == Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::tls;

    #[test]
    fn servers_without_connections_are_not_kept() {
        let limit = Duration::from_secs(1);
        let tls = tls::Settings {
            needed: false,
            ..tls::Settings::default()
        };
        let connector = Connector::new(limit, tls, false).expect("a connector");
        let pool = Pool::new(connector, limit, limit);
        let server = |number| {
            let uri = format!("http://{number}.example/").parse().expect("a URI");
            pool.server(&uri).expect("a server")
        };
        let used = server(0);
        for number in 1..10 * FEW_SERVERS {
            server(number);
        }
        assert!(pool.servers.lock().expect("no panic").len() <= FEW_SERVERS);
        assert!(Arc::ptr_eq(&used, &server(0)));
    }
}
