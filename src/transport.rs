//! HTTP connections: hyper-util's pooled client over rustls.

mod body;
mod connector;
mod tls;

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{self, Client as HyperClient, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use idpflare_layers::{Call, Connecting, Timeout, TransportError, find_source};
use tower::Service;

use crate::{Error, ReplyBody};
use body::Arriving;
use connector::Connector;
pub use tls::{Certificate, Identity};

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Cloudflare and most proxies keep idle connections longer than this, so that ours is the side
/// that closes them, and no request meets a connection that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests over HTTP/1.1 or HTTP/2, whichever the server prefers (ALPN, RFC 7301).
///
/// It pools connections, keeps them alive, and sets `TCP_NODELAY`. Redirects are not followed,
/// nothing is decompressed, and nothing but finding, making and using connections is done here: the
/// rest is for layers. It must be called in a Tokio runtime with I/O and time.
///
/// What it fails with is a [`TransportError`], which tells whether anything was sent, or a
/// [`Timeout`] of scope [`Connect`](idpflare_layers::TimeoutScope::Connect).
///
/// | setting | default |
/// |---|---|
/// | [`connect_timeout`](TransportBuilder::connect_timeout) | 5 s |
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
    /// hyper-util's client is cheap to clone only against what it does: there is a clone of this for
    /// each attempt.
    client: Arc<HyperClient<Connector, Full<Bytes>>>,
}

impl Transport {
    /// Starts to make a transport.
    pub fn builder() -> TransportBuilder {
        TransportBuilder {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            tls: tls::Settings::default(),
            proxy_from_env: true,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Transport {
    type Response = Response<ReplyBody>;
    type Error = idpflare_layers::BoxError;
    type Future = TransportFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> TransportFuture {
        let connecting = Call::of(&request).map(Call::connecting);
        let connection = capture_connection(&mut request);
        TransportFuture {
            future: self.client.request(request),
            connection,
            connecting,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// The future of [`Transport`]. Dropped before there was a connection, it leaves the send as one that
/// did not happen. Where a limit of time gave it up later, what is sent next goes over another
/// connection.
pub struct TransportFuture {
    future: ResponseFuture,
    connection: CaptureConnection,
    /// `None` once it is done.
    connecting: Option<Connecting>,
}

impl TransportFuture {
    /// Whether the request was given to a connection. Before that, nothing of it is sent.
    fn has_connection(&self) -> bool {
        self.connection.connection_metadata().is_some()
    }
}

impl Drop for TransportFuture {
    fn drop(&mut self) {
        let Some(connecting) = self.connecting.take() else {
            return;
        };
        if let Some(connection) = &*self.connection.connection_metadata() {
            // The peer may be gone. HTTP/2 would keep the connection for others, and so for the next
            // attempt; a caller who goes away says nothing about it.
            if connecting.call().is_giving_up() {
                connection.poison();
            }
            connecting.done();
        }
    }
}

impl Future for TransportFuture {
    type Output = Result<Response<ReplyBody>, idpflare_layers::BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.future).poll(cx));
        let call = self.connecting.take().map(|connecting| {
            let call = connecting.call().clone();
            connecting.done();
            call
        });
        Poll::Ready(match outcome {
            Ok(reply) => {
                // What is sent again goes over another connection (RFC 9110, section 15.5.20).
                if reply.status() == StatusCode::MISDIRECTED_REQUEST
                    && let Some(connection) = &*self.connection.connection_metadata()
                {
                    connection.poison();
                }
                Ok(reply.map(|body: Incoming| match call {
                    Some(call) => {
                        ReplyBody::streamed(Arriving::new(body, self.connection.clone(), call))
                    }
                    None => ReplyBody::streamed(body),
                }))
            }
            Err(error) => Err(typed(error, self.has_connection())),
        })
    }
}

impl fmt::Debug for TransportFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportFuture").finish_non_exhaustive()
    }
}

/// What is known of how far a request came.
fn typed(error: legacy::Error, had_connection: bool) -> idpflare_layers::BoxError {
    let chain: &(dyn StdError + 'static) = &error;
    if let Some(timeout) = find_source::<Timeout>(chain) {
        return Box::new(timeout.clone());
    }
    let untrusted = tls::is_untrusted(chain);
    // hyper cancels what it has not begun to send, and closes the way to a connection that ended
    // before. What the server reset as refused, or named as beyond the last stream when it went
    // away, it has not looked at (RFC 9113, sections 8.7 and 6.8).
    let not_sent = find_source::<hyper::Error>(chain)
        .is_some_and(|error| error.is_canceled() || error.is_closed())
        || find_source::<h2::Error>(chain).is_some_and(|error| {
            error.is_remote()
                && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
        });
    let connecting = error.is_connect();
    let source = error.into();
    let typed = if connecting {
        TransportError::connect(source)
    } else if not_sent || !had_connection {
        TransportError::not_sent(source)
    } else {
        TransportError::lost(source)
    };
    Box::new(if untrusted { typed.permanent() } else { typed })
}

/// Makes a [`Transport`].
#[must_use = "a builder does nothing until it is built"]
pub struct TransportBuilder {
    connect_timeout: Duration,
    tls: tls::Settings,
    proxy_from_env: bool,
}

impl TransportBuilder {
    /// How long name lookup, TCP connection, proxy tunnel and TLS handshake may take together.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
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
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where the connect timeout is
    /// zero, a certificate or key can't be used, or neither the platform nor the caller has any
    /// root certificate.
    pub fn build(self) -> Result<Transport, Error> {
        if self.connect_timeout.is_zero() {
            return Err(Error::configuration(
                "connect_timeout is zero, which no connection can keep: give it a limit above that",
            ));
        }
        let connector = Connector::new(self.connect_timeout, self.tls, self.proxy_from_env)?;
        let client = HyperClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
            .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT)
            .build(connector);
        Ok(Transport {
            client: Arc::new(client),
        })
    }
}

impl fmt::Debug for TransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("proxy_from_env", &self.proxy_from_env)
            .finish_non_exhaustive()
    }
}
