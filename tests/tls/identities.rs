//! Mutual TLS: what a client shows of itself.

use idpflare_management::*;
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::support::tls::{Ca, at, identity, listen_as, trusting};
use crate::{client, serving};

/// A client with the identity, of a server that wants one of `clients`.
async fn connected(
    clients: &Ca,
    version: &'static SupportedProtocolVersion,
    alpn: &[&str],
    shown: Option<Identity>,
) -> Client {
    let ca = Ca::new();
    let issued = ca.issue("localhost");
    let address = serving(listen_as(&issued, alpn, Some(clients), &[version]).await);
    let transport = trusting(&ca);
    let transport = match shown {
        None => transport,
        Some(shown) => transport.identity(shown),
    };
    client(at("localhost", address), transport)
}

#[tokio::test]
async fn a_client_shows_its_identity() {
    let clients = Ca::new();
    for version in [&TLS12, &TLS13] {
        let client = connected(&clients, version, &["h2"], Some(clients.identity())).await;
        let stats = client.send(GetUserStats::new()).await.expect("stats");
        assert_eq!(stats.total, 2);
    }
}

#[tokio::test]
async fn a_client_that_is_not_trusted_need_not_try_again() {
    let clients = Ca::new();
    let expired = clients.issue_for("client.example", 2000..2001);
    for (who, shown) in [
        ("nobody", None),
        ("a stranger", Some(Ca::new().identity())),
        ("one of former times", Some(identity(&expired))),
    ] {
        let early = connected(&clients, &TLS12, &["h2"], shown.clone()).await;
        let error = early.send(CreateUser::new("a@b.c")).await;
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Connect, "{who}: {error:?}");
        assert_eq!(error.delivery(), Delivery::NotSent, "{who}");
        assert!(!error.is_retryable(), "{who}: {error:?}");

        // With TLS 1.3 a server refuses only after the client believes that it is connected.
        for alpn in [["h2"].as_slice(), &[]] {
            let late = connected(&clients, &TLS13, alpn, shown.clone()).await;
            let error = late.send(GetUserStats::new()).await;
            let error = error.expect_err("refused");
            let kinds = [ErrorKind::Connect, ErrorKind::Transport];
            assert!(kinds.contains(&error.kind()), "{who}: {error:?}");
            assert_ne!(error.delivery(), Delivery::Answered, "{who}");
            assert!(!error.is_retryable(), "{who}, {alpn:?}: {error:?}");
        }
    }
}
