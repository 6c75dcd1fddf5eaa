//! HTTP connections: hyper's over rustls, pooled.

mod body;
mod connector;
mod destination;
mod exchange;
mod pool;
mod socket;
mod tls;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_layers::{BoxError, Call};
use tower::Service;

use crate::request::reserved;
use crate::{Error, ReplyBody};
use connector::Connector;
use exchange::exchange;
use pool::Pool;
pub use tls::{Certificate, Identity};

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_MAX_CONNECTIONS: usize = 256;
/// Cloudflare and most proxies keep idle connections longer than this, so that ours is the side
/// that closes them, and no request meets a connection that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests over HTTP/1.1 or HTTP/2, whichever the server prefers (ALPN, RFC 7301).
///
/// It pools connections, keeps them alive, closes those that were not used for a minute, and sets
/// `TCP_NODELAY`. Where many calls find none to an `https` server, one of them connects and the others
/// wait for it: over HTTP/2 all go over that connection, over HTTP/1.1 each then makes its own. A
/// further one connects where that fails, or takes more than a quarter of the time for connecting. A
/// call that is still connecting goes over whatever connection becomes free before. Each runtime has
/// connections of its own, and a call uses those of the runtime that first polls it. One that was idle
/// is used only if nothing has arrived on it and if the server's `Keep-Alive: timeout` is not about to
/// end. Redirects are not followed,
/// nothing is decompressed, and nothing but finding, making and using connections is done here: the
/// rest is for layers. It must be called in a Tokio runtime with I/O and time.
///
/// A request that was not sent because its connection ended is sent over another one at once, if that
/// connection has answered others. So is one that may be repeated and that waited for a stream; a create
/// without a body has an unknown outcome then. HTTP/2 servers end connections this way (GOAWAY), nginx after 1,000
/// requests. No layer sees it, so it takes no attempt and no budget. Until an HTTP/2 server says how
/// many streams it allows, one is opened.
///
/// `Host` is that of the URI, and the headers of the connection are its own: those that a request has
/// are not sent.
///
/// It fails with a [`TransportError`](idpflare_layers::TransportError), which tells whether
/// anything was sent, or a [`Timeout`](idpflare_layers::Timeout) of scope
/// [`Connect`](idpflare_layers::TimeoutScope::Connect).
///
/// | setting | default |
/// |---|---|
/// | [`connect_timeout`](TransportBuilder::connect_timeout) | 5 s |
/// | [`max_connections`](TransportBuilder::max_connections), to a server in a runtime | 256 |
/// | trusted roots | the platform's; [`root_certificate`](TransportBuilder::root_certificate) adds one, [`without_platform_roots`](TransportBuilder::without_platform_roots) leaves out the others |
/// | [`identity`](TransportBuilder::identity) | none |
/// | proxy | for `https`, that of `HTTPS_PROXY` or `ALL_PROXY`, less `NO_PROXY`; never for loopback; [`without_proxy`](TransportBuilder::without_proxy) |
///
/// ```no_run
/// use std::time::Duration;
/// use idpflare_management::{Certificate, Client, Transport};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::builder()
///     .connect_timeout(Duration::from_secs(2))
///     .root_certificate(Certificate::from_pem(&std::fs::read("ca.pem")?)?)
///     .without_proxy()
///     .build()?;
/// let client = Client::builder("https://idp.internal")
///     .api_key("idk_…")
///     .build_with(transport)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Transport {
    pool: Arc<Pool>,
}

impl Transport {
    /// Starts to make a transport.
    pub fn builder() -> TransportBuilder {
        TransportBuilder {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            tls: tls::Settings::default(),
            proxy_from_env: true,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Transport {
    type Response = Response<ReplyBody>;
    type Error = BoxError;
    type Future = TransportFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> TransportFuture {
        // Layers of a stack of one's own may have added some.
        reserved::remove_from(request.headers_mut());
        let connecting = Call::of(&request).map(Call::connecting);
        let pool = Arc::clone(&self.pool);
        TransportFuture(Box::pin(exchange(pool, request, connecting)))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// The future of [`Transport`]. Dropped while it looks for a connection, be it the first one or another
/// one, it leaves the send as one that did not happen. Where a limit of time gave it up later, what is
/// sent next goes over another connection.
pub struct TransportFuture(
    Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, BoxError>> + Send>>,
);

impl Future for TransportFuture {
    type Output = Result<Response<ReplyBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for TransportFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportFuture").finish_non_exhaustive()
    }
}

/// Makes a [`Transport`].
#[must_use = "a builder does nothing until it is built"]
pub struct TransportBuilder {
    connect_timeout: Duration,
    max_connections: usize,
    tls: tls::Settings,
    proxy_from_env: bool,
}

impl TransportBuilder {
    /// Limits the time for name lookup, TCP connection, proxy tunnel and TLS handshake together. The wait
    /// for another call that connects, and may come to a connection for both, counts as well. A wait at
    /// [`max_connections`](Self::max_connections) does not. Default: 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Limits the number of connections to one server, in each runtime. Default: 256.
    ///
    /// At the limit, a call waits until a connection is free, for at most its deadline. If no call gets
    /// one for a quarter of [`connect_timeout`](Self::connect_timeout), one more is made beyond the limit,
    /// as callers may hold replies whose bodies they do not read.
    ///
    /// A process that has no descriptor or port left for one more connection is at its limit, too.
    pub fn max_connections(mut self, limit: usize) -> Self {
        self.max_connections = limit;
        self
    }

    /// Trusts one more root certificate, besides those of the platform.
    pub fn root_certificate(mut self, certificate: Certificate) -> Self {
        self.tls.extra_roots.push(certificate);
        self
    }

    /// Presents a certificate of the client's own to servers that ask for one (mutual TLS).
    pub fn identity(mut self, identity: Identity) -> Self {
        self.tls.identity = Some(identity);
        self
    }

    /// Uses no proxy, whatever the environment says.
    pub fn without_proxy(mut self) -> Self {
        self.proxy_from_env = false;
        self
    }

    /// Trusts only what [`root_certificate`](Self::root_certificate) was given, and not the roots of
    /// the platform.
    pub fn without_platform_roots(mut self) -> Self {
        self.tls.platform_roots = false;
        self
    }

    /// Makes plain `http` connections only, for which no root certificates need to be there; `https`
    /// ones fail.
    pub fn without_tls(mut self) -> Self {
        self.tls.needed = false;
        self
    }

    /// The transport.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where the connect timeout or the
    /// maximum of connections is zero, a certificate or key can't be used, or neither the platform nor the caller has any
    /// root certificate.
    pub fn build(self) -> Result<Transport, Error> {
        if self.connect_timeout.is_zero() {
            return Err(Error::configuration(
                "connect_timeout is zero, which no connection can keep: give it a limit above that",
            ));
        }
        if self.max_connections == 0 {
            return Err(Error::configuration(
                "max_connections is zero, which lets no call be made: give it a limit above that",
            ));
        }
        let connector = Connector::new(self.connect_timeout, self.tls, self.proxy_from_env)?;
        Ok(Transport {
            pool: Arc::new(Pool::new(
                connector,
                self.connect_timeout,
                POOL_IDLE_TIMEOUT,
                self.max_connections,
            )),
        })
    }
}

impl fmt::Debug for TransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("max_connections", &self.max_connections)
            .field("proxy_from_env", &self.proxy_from_env)
            .finish_non_exhaustive()
    }
}
