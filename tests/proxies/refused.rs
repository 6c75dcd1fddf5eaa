//! Replies that nginx makes by itself.

use std::time::Duration;

use futures_util::stream;
use http::StatusCode;
use idpflare_management::layers::{RetryBudget, RetryPolicy};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{ImportStop, ImportUsers};
use idpflare_management::*;
use serde_json::json;
use tokio::net::TcpSocket;

use crate::nginx::{Nginx, Site};
use crate::support::server::Nobody;
use crate::upstream::{Recorder, Upstream};

pub(crate) async fn a_page_of_a_gateway_without_an_upstream_is_read_and_only_reads_are_repeated() {
    let nobody = Nobody::new();
    for listen in ["", "ssl http2"] {
        let nginx = Nginx::start(&Site {
            listen,
            ..Site::of(nobody.address.port())
        });
        let client = nginx.client("idk_test".to_owned(), |builder| builder);
        let error = client.send(GetUserStats::new()).await.expect_err("a page");
        is_page(&error, StatusCode::BAD_GATEWAY);
        assert_eq!((error.attempts(), error.is_retryable()), (3, true));
        let error = client.send(CreateUser::new("ada@example.com")).await;
        let error = error.expect_err("a page");
        is_page(&error, StatusCode::BAD_GATEWAY);
        assert_eq!((error.attempts(), error.is_retryable()), (1, false));
        assert_eq!(error.delivery(), Delivery::Unknown);
    }
}

pub(crate) async fn an_import_stops_at_a_gateway_without_an_upstream() {
    let nobody = Nobody::new();
    let nginx = Nginx::start(&Site::of(nobody.address.port()).http2());
    let client = nginx.client("idk_test".to_owned(), |builder| builder);
    let users = (0..400).map(|number| CreateUser::new(format!("user{number}@example.com")));
    let report = ImportUsers::new(&client).run(stream::iter(users)).await;
    let report = report.expect("no ledger");
    assert!(
        matches!(report.stopped, Some(ImportStop::Unreachable)),
        "{report}"
    );
    assert!(report.lines < 40, "{report}");
}

pub(crate) async fn a_read_succeeds_once_the_upstream_is_there() {
    let fake = FakeIdpflare::new();
    // Bound, so that the port stays free; it refuses connections until it listens.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let nginx = Nginx::start(&Site::of(port));
    let client = nginx.client(fake.api_key(), |builder| {
        let budget = RetryBudget::unlimited();
        builder.retry(RetryPolicy::new().attempts(50).budget(budget))
    });
    let read = tokio::spawn(async move { client.send(GetUserStats::new()).await });
    while !nginx.log().contains("Connection refused") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _recorder = Recorder::on(socket.listen(64).expect("it listens"), &fake);
    read.await.expect("no panic").expect("stats");
}

pub(crate) async fn a_request_that_is_too_large_is_a_typed_error_and_sent_once() {
    let upstream = Upstream::start().await;
    for listen in ["", "ssl http2"] {
        let site = Site {
            listen,
            ..Site::of(upstream.port())
        };
        let nginx = Nginx::start(&site.with("client_max_body_size 1k;"));
        let client = nginx.client(upstream.key(), |builder| builder);
        // One that fits into the buffers of the sockets, and one that does not.
        for size in [2_000, 8_000_000] {
            let metadata = [("filler".to_owned(), json!("x".repeat(size)))];
            let user = CreateUser::new("ada@example.com")
                .metadata(metadata.into_iter().collect::<serde_json::Map<_, _>>());
            let error = client.send(user).await.expect_err("too large");
            is_page(&error, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!((error.attempts(), error.is_retryable()), (1, false));
            assert_eq!(error.delivery(), Delivery::Answered);
        }
        // The client can go on.
        client.send(GetUserStats::new()).await.expect("stats");
        assert_eq!(upstream.requests().len(), 1);
    }
}

pub(crate) async fn a_redirect_to_https_is_not_followed_and_says_to_correct_the_authority() {
    let upstream = Upstream::start().await;
    let secure = Nginx::start(&Site::of(upstream.port()).http2());
    let target = secure.authority();
    for status in [301, 302, 307, 308] {
        let nginx = Nginx::start(&Site {
            server: format!("return {status} {target}$request_uri;"),
            ..Site::default()
        });
        let client = nginx.client(upstream.key(), |builder| builder);
        for outcome in [
            client.send(GetUserStats::new()).await.map(drop),
            client
                .send(CreateUser::new("ada@example.com"))
                .await
                .map(drop),
        ] {
            let error = outcome.expect_err("a redirect");
            assert_eq!(error.kind(), ErrorKind::Redirect);
            assert_eq!((error.attempts(), error.is_retryable()), (1, false));
            let text = error.to_string();
            let advice =
                format!("redirects to {target}, which is not followed: correct the authority");
            assert!(text.contains(&advice), "{text}");
        }
    }
    assert_eq!(upstream.requests(), []);
}

/// Checks that the error is this status, and has nginx's own page as it is.
fn is_page(error: &Error, status: StatusCode) {
    assert_eq!(error.kind(), ErrorKind::Api, "{error}");
    assert_eq!(error.status(), Some(status), "{error}");
    let page = String::from_utf8_lossy(error.raw_body());
    assert!(page.contains("<html>") && page.contains("nginx"), "{page}");
    let text = error.to_string();
    assert!(!text.contains('<') && !text.contains('\n'), "{text}");
}
