//! Where a request goes, and in which form it says so.

use std::fmt::{self, Write as _};

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, Version};

/// A server, as a URI names it.
pub(super) struct Destination {
    scheme: Scheme,
    authority: Authority,
}

impl Destination {
    /// # Errors
    ///
    /// Where the URI is not absolute.
    pub(super) fn of(uri: &Uri) -> Result<Self, Unsendable> {
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => Ok(Self {
                scheme: scheme.clone(),
                authority: authority.clone(),
            }),
            _ => Err(Unsendable(
                "its URI names no scheme and server: make it absolute",
            )),
        }
    }

    pub(super) fn is_of(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(&self.scheme) && uri.authority() == Some(&self.authority)
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// What a connector is told.
    pub(super) fn to_uri(&self) -> Uri {
        self.uri(PathAndQuery::from_static("/"))
    }

    /// The name and, unless it is that of the scheme, the port (RFC 9110, section 7.2).
    pub(super) fn to_host(&self) -> Result<HeaderValue, Unsendable> {
        let mut host = self.authority.host().to_owned();
        let usual = match self.scheme.as_str() {
            "https" => 443,
            _ => 80,
        };
        if let Some(port) = self.authority.port_u16().filter(|port| *port != usual) {
            let _ = write!(host, ":{port}");
        }
        HeaderValue::try_from(host).map_err(|_| Unsendable("its URI's host is no field value"))
    }

    /// Has the request name what it is for as HTTP/1.1 does to a server (RFC 9112, section 3.2.1).
    pub(super) fn address_http1<B>(request: &mut Request<B>, host: &HeaderValue) {
        *request.uri_mut() = Uri::from(take_path(request));
        request.headers_mut().insert(HOST, host.clone());
    }

    /// Has the request name what it is for as HTTP/2 does (RFC 9113, section 8.3.1).
    pub(super) fn address_http2<B>(&self, request: &mut Request<B>) {
        *request.uri_mut() = self.uri(take_path(request));
        request.headers_mut().remove(HOST);
    }

    fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// A request that is none for a server.
#[derive(Debug)]
pub(super) struct Unsendable(&'static str);

impl Unsendable {
    /// Refuses what can't be sent over a connection that others use, too.
    pub(super) fn check<B>(request: &Request<B>) -> Result<(), Self> {
        if request.method() == Method::CONNECT {
            return Err(Self(
                "CONNECT is for making connections, not for sending over them",
            ));
        }
        match request.version() {
            Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => Ok(()),
            _ => Err(Self("its version is neither HTTP/1.1 nor HTTP/2")),
        }
    }
}

impl Unsendable {
    pub(super) fn outside_of_a_runtime() -> Self {
        Self("there is no Tokio runtime: poll its future in one")
    }
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request can't be sent: {}", self.0)
    }
}

impl std::error::Error for Unsendable {}

fn take_path<B>(request: &mut Request<B>) -> PathAndQuery {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let path = parts.path_and_query;
    path.unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(uri: &str) -> Destination {
        Destination::of(&uri.parse().expect("a URI")).expect("it is absolute")
    }

    #[test]
    fn a_host_has_the_port_that_is_not_its_schemes() {
        for (uri, host) in [
            ("http://idp.example/a", "idp.example"),
            ("http://idp.example:80", "idp.example"),
            ("https://idp.example:443", "idp.example"),
            ("https://idp.example:80", "idp.example:80"),
            ("http://idp.example:443", "idp.example:443"),
            ("http://[::1]:80", "[::1]"),
            ("https://[::1]:8443", "[::1]:8443"),
            ("https://user:word@idp.example:1", "idp.example:1"),
        ] {
            let found = destination(uri).to_host().expect("a host");
            assert_eq!(found, host, "{uri}");
        }
    }

    #[test]
    fn a_request_can_be_sent_over_one_protocol_after_the_other() {
        const ABSOLUTE: &str = "https://idp.example:8443/users?limit=1";
        let destination = destination(ABSOLUTE);
        let host = destination.to_host().expect("a host");
        let mut request = Request::get(ABSOLUTE).body(()).expect("a request");
        for _ in 0..2 {
            Destination::address_http1(&mut request, &host);
            assert_eq!(*request.uri(), "/users?limit=1");
            assert_eq!(request.headers()[HOST], "idp.example:8443");
            destination.address_http2(&mut request);
            assert_eq!(*request.uri(), ABSOLUTE);
        }
    }

    #[test]
    fn the_host_of_the_uri_wins() {
        let mut request = Request::get("https://idp.example/")
            .header(HOST, "other")
            .body(())
            .expect("one");
        let destination = destination("https://idp.example");
        destination.address_http2(&mut request);
        assert!(!request.headers().contains_key(HOST));
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("other"));
        let host = destination.to_host().expect("a host");
        Destination::address_http1(&mut request, &host);
        assert_eq!(request.headers()[HOST], "idp.example");
    }
}
