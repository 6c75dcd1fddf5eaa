//! What spans and metrics have in common: the values that OpenTelemetry's conventions for HTTP
//! clients prescribe.

use std::fmt;

use http::{Method, Uri, Version};

use crate::Operation;
use crate::origin::parts;

/// The method, where it is a known one: those of RFC 9110 and 5789, and that of the operation,
/// which its author knows. Anybody can invent others, without end.
pub(crate) fn known_method(
    method: &Method,
    operation: Option<&'static Operation>,
) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE",
    ];
    match operation {
        Some(operation) if operation.method == *method => Some(operation.method.as_str()),
        _ => KNOWN.into_iter().find(|known| *known == method.as_str()),
    }
}

/// The value of `http.request.method`.
pub(crate) fn method_label(method: &Method, operation: Option<&'static Operation>) -> &'static str {
    known_method(method, operation).unwrap_or("_OTHER")
}

/// The value of `server.address`: an IPv6 address stands in brackets only in a URL.
pub(crate) fn server_address(uri: &Uri) -> Option<&str> {
    uri.host().map(without_brackets)
}

pub(crate) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// The value of `server.port`, that of the scheme where the URL has none.
pub(crate) fn server_port(uri: &Uri) -> Option<u16> {
    parts(uri).map(|(_, _, port)| port)
}

/// The value of `network.protocol.version`.
pub(crate) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// The name of an attempt's span: `{method} {template}`, or `{method}` where nobody knows the
/// template. The path itself has too many values.
pub(crate) struct SpanName {
    method: &'static str,
    template: Option<&'static str>,
}

impl SpanName {
    pub(crate) fn new(method: &Method, operation: Option<&'static Operation>) -> Self {
        Self {
            method: known_method(method, operation).unwrap_or("HTTP"),
            template: operation.map(|operation| operation.path_template),
        }
    }
}

impl fmt::Display for SpanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method)?;
        if let Some(template) = self.template {
            write!(f, " {template}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Safety;

    const PURGE: &Operation = &Operation::new(
        "purge",
        Method::PUT,
        "/caches/{cache_id}",
        Safety::Idempotent,
    );

    #[test]
    fn only_known_methods_are_labels() {
        let purge = Method::from_bytes(b"PURGE").expect("a method");
        for (method, label, name) in [
            (Method::GET, "GET", "GET"),
            (Method::TRACE, "TRACE", "TRACE"),
            (purge, "_OTHER", "HTTP"),
        ] {
            assert_eq!(method_label(&method, None), label);
            assert_eq!(SpanName::new(&method, None).to_string(), name);
        }
        let name = SpanName::new(&Method::PUT, Some(PURGE));
        assert_eq!(name.to_string(), "PUT /caches/{cache_id}");
    }

    #[test]
    fn the_server_is_that_of_the_url() {
        for (uri, address, port) in [
            (
                "https://api.example.com/",
                Some("api.example.com"),
                Some(443),
            ),
            ("http://api.example.com/", Some("api.example.com"), Some(80)),
            ("http://u:p@127.0.0.1:8080/", Some("127.0.0.1"), Some(8080)),
            ("https://[::1]:9/", Some("::1"), Some(9)),
            ("/relative", None, None),
        ] {
            let uri = uri.parse::<Uri>().expect("a URI");
            assert_eq!((server_address(&uri), server_port(&uri)), (address, port));
        }
    }
}
