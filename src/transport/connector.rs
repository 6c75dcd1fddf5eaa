//! Makes connections: directly, or through a proxy's tunnel; with TLS for `https`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use idpflare_layers::BoxError;
use tower::Service;

use super::socket::Socket;
use super::tls;
use crate::Error;
use crate::authority::is_loopback;

const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection to a server or to a proxy, before the TLS that is for the server.
type Raw = MaybeHttpsStream<Socket>;

/// Makes connections to servers.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<Route>,
}

impl Connector {
    pub(super) fn new(
        limit: Duration,
        tls: tls::Settings,
        proxy_from_env: bool,
    ) -> Result<Self, Error> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEPALIVE));
        // It is shared out among the addresses of a name, so that one that does not answer leaves
        // time for the others.
        http.set_connect_timeout(Some(limit));
        let http = Tcp(http);
        let uses_proxy = proxy_from_env && tls.needed;
        let tls = tls.configurations()?;
        let proxies = if uses_proxy {
            let matcher = Matcher::from_env();
            refuse_unknown_schemes(&matcher)?;
            let to_proxies = HttpsConnectorBuilder::new()
                .with_tls_config(tls.for_proxies)
                .https_or_http()
                .enable_http1()
                .wrap_connector(http.clone());
            Some(Arc::new((matcher, to_proxies)))
        } else {
            None
        };
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls.for_servers)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Route { http, proxies });
        Ok(Self { https })
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Raw>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        self.https.call(destination)
    }
}

/// Makes TCP connections.
#[derive(Clone)]
struct Tcp(HttpConnector);

impl Service<Uri> for Tcp {
    type Response = Socket;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Socket, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = self.0.call(destination);
        Box::pin(async move { Ok(Socket::new(connecting.await?)) })
    }
}

/// Goes to a server directly, or through the proxy that the environment names for it.
#[derive(Clone)]
struct Route {
    http: Tcp,
    proxies: Option<Arc<(Matcher, HttpsConnector<Tcp>)>>,
}

impl Service<Uri> for Route {
    type Response = Raw;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Raw, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let proxied = self.proxies.as_ref().and_then(|proxies| {
            let intercept = proxy_for(&proxies.0, &destination)?;
            Some((intercept, proxies.1.clone()))
        });
        match proxied {
            None => {
                let connecting = self.http.call(destination);
                Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
            }
            Some((proxy, connector)) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                Box::pin(async move { Ok(tunnel.call(destination).await?) })
            }
        }
    }
}

/// Plain `http` is for loopback and for networks that the caller vouches for, so it takes no
/// detour.
fn proxy_for(matcher: &Matcher, destination: &Uri) -> Option<Intercept> {
    if destination.scheme() != Some(&Scheme::HTTPS) || is_loopback(destination.host()?) {
        return None;
    }
    matcher.intercept(destination)
}

/// A proxy that would fail every call is told of before the first.
fn refuse_unknown_schemes(matcher: &Matcher) -> Result<(), Error> {
    let example = Uri::from_static("https://idp.example.com");
    let Some(proxy) = matcher.intercept(&example) else {
        return Ok(());
    };
    match proxy.uri().scheme_str() {
        Some("http" | "https") => Ok(()),
        scheme => Err(Error::configuration(format!(
            "HTTPS_PROXY or ALL_PROXY names a proxy of the scheme {}, and only http and https are supported: change it, or build the transport without_proxy",
            scheme.unwrap_or("(none)")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(destination: &'static str) -> Option<Uri> {
        let matcher = Matcher::builder()
            .all("http://user:word@proxy.example:3128")
            .no("direct.example")
            .build();
        proxy_for(&matcher, &Uri::from_static(destination)).map(|proxy| proxy.uri().clone())
    }

    #[test]
    fn only_https_to_other_machines_goes_through_a_proxy() {
        let through = Some(Uri::from_static("http://proxy.example:3128"));
        assert_eq!(proxy("https://idp.example"), through);
        for direct in [
            "https://direct.example",
            "https://localhost:8443",
            "https://127.0.0.1:8443",
            "https://[::1]:8443",
            "http://idp.example",
        ] {
            assert_eq!(proxy(direct), None, "{direct}");
        }
    }

    #[test]
    fn a_socks_proxy_is_refused_at_once() {
        let socks = Matcher::builder()
            .all("socks5://proxy.example:1080")
            .build();
        assert!(refuse_unknown_schemes(&socks).is_err());
        let none = Matcher::builder().build();
        assert!(refuse_unknown_schemes(&none).is_ok());
    }
}
