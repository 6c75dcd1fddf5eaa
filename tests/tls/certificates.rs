//! Which certificates of servers are taken, and what is told of the others.

use std::error::Error as _;
use std::time::Duration;

use idpflare_management::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::rustls::DEFAULT_VERSIONS;

use crate::support::tls::{Ca, Issued, at, listen_as, trusting};
use crate::{client, serving};

async fn server(issued: &Issued) -> std::net::SocketAddr {
    serving(listen_as(issued, &["h2"], None, DEFAULT_VERSIONS).await)
}

/// All that an error's sources say.
fn reasons(error: &Error) -> String {
    let mut reasons = String::new();
    let mut source = error.source();
    while let Some(error) = source {
        reasons.push_str(&format!("{error}; "));
        source = error.source();
    }
    reasons
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_final_and_says_why() {
    let (ca, other) = (Ca::new(), Ca::new());
    for (issued, name, reason) in [
        (other.issue("localhost"), "localhost", "UnknownIssuer"),
        (ca.issue("idp.test"), "localhost", "not valid for name"),
        (ca.issue("localhost"), "127.0.0.1", "not valid for name"),
        (
            ca.issue_for("localhost", 2000..2001),
            "localhost",
            "expired",
        ),
        (
            ca.issue_for("localhost", 2900..3000),
            "localhost",
            "not valid yet",
        ),
    ] {
        let address = server(&issued).await;
        for transport in [trusting(&ca), trusting(&ca).without_platform_roots()] {
            let client = client(at(name, address), transport);
            let outcome = client.send(GetUserStats::new()).await;
            let error = outcome.expect_err("not trusted");
            assert_eq!(error.kind(), ErrorKind::Connect, "{reason}");
            assert_eq!(error.delivery(), Delivery::NotSent, "{reason}");
            assert!(!error.is_retryable(), "{reason}: {error:?}");
            let reasons = reasons(&error);
            assert!(reasons.contains(reason), "{reason}: {reasons}");
        }
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_beside_the_platforms_or_alone() {
    let ca = Ca::new();
    let address = server(&ca.issue("localhost")).await;
    for transport in [trusting(&ca), trusting(&ca).without_platform_roots()] {
        let client = client(at("localhost", address), transport);
        let stats = client.send(GetUserStats::new()).await.expect("stats");
        assert_eq!(stats.total, 2);
    }
}

#[tokio::test]
async fn what_speaks_no_tls_may_do_so_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let client = client(at("localhost", address), trusting(&Ca::new()));
    let error = client.send(CreateUser::new("a@b.c")).await;
    let error = error.expect_err("no TLS");
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.is_retryable());
}

#[test]
fn certificates_are_checked_when_they_are_read() {
    assert!(Certificate::from_pem(b"nothing of the kind").is_err());
    let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(Certificate::from_pem(broken).is_err());
    assert!(Identity::from_pem(b"", b"-----BEGIN PRIVATE KEY-----\nAAAA").is_err());
    let no_root = Certificate::from_der(*b"not DER");
    let error = Transport::builder().root_certificate(no_root).build();
    assert_eq!(error.expect_err("no root").kind(), ErrorKind::Configuration);
    let error = Transport::builder().connect_timeout(Duration::ZERO).build();
    assert_eq!(error.expect_err("zero").kind(), ErrorKind::Configuration);
}
