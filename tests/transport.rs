//! The default transport against real sockets: servers that do what they should, and servers that
//! do not.

mod support;

use std::error::Error as _;
use std::time::Duration;

use http::StatusCode;
use idpflare_management::layers::TimeoutScope;
use idpflare_management::*;
use support::server::{Scripted, read_request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// How long an attempt may take where the test is about running out of time: as short as it can be
/// without a slow machine taking another way.
const SHORT: Duration = Duration::from_millis(250);

async fn stats(client: ClientBuilder) -> Result<UserStats, Error> {
    client
        .build()
        .expect("a client")
        .send(GetUserStats::new())
        .await
}

async fn stats_error(client: ClientBuilder) -> Error {
    stats(client).await.expect_err("no value can come of that")
}

#[tokio::test]
async fn a_connection_serves_many_calls() {
    let body = r#"{"total":1,"active":1,"verified":0,"mfa_enabled":0}"#;
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let server = Scripted::new(move |mut stream| {
        let reply = reply.clone();
        async move {
            loop {
                let written = stream.write_all(reply.as_bytes()).await;
                if written.is_err() || read_request(&mut stream).await.is_none() {
                    return;
                }
            }
        }
    })
    .await;
    let client = server.client().build().expect("a client");
    for _ in 0..5 {
        let stats = client.send(GetUserStats::new()).await.expect("stats");
        assert_eq!(stats.total, 1);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let location = format!("http://{}/elsewhere", target.address);
    let reply = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    );
    let server = Scripted::answering(reply).await;
    let error = stats_error(server.client()).await;
    assert_eq!(error.kind(), ErrorKind::Redirect);
    let origin = format!(
        "redirects to http://{}, which is not followed",
        target.address
    );
    assert!(error.to_string().contains(&origin), "{error}");
    assert_eq!((server.connections(), target.connections()), (1, 0));
}

#[tokio::test]
async fn a_reply_that_breaks_off_keeps_its_head() {
    for reply in [
        "HTTP/1.1 200 OK\r\ncf-ray: 8c1f-LHR\r\ncontent-length: 100\r\n\r\n{\"total\"",
        "HTTP/1.1 200 OK\r\ncf-ray: 8c1f-LHR\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"tot\r\n",
    ] {
        let server = Scripted::answering(reply).await;
        let error = stats_error(server.client()).await;
        assert_eq!(error.kind(), ErrorKind::Truncated);
        assert_eq!(error.status(), Some(StatusCode::OK));
        assert_eq!(error.request_id(), Some("8c1f-LHR"));
        assert_eq!(error.delivery(), Delivery::Answered);
        assert!(error.is_retryable());
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn an_endless_reply_is_cut_at_the_limit() {
    let server = Scripted::new(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncf-ray: 8c1f-LHR\r\ntransfer-encoding: chunked\r\n\r\n";
        if stream.write_all(head.as_bytes()).await.is_ok() {
            let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
        }
    })
    .await;
    let error = stats_error(server.client().max_reply_bytes(100_000)).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.request_id(), Some("8c1f-LHR"));
}

#[tokio::test]
async fn a_declared_length_is_not_trusted() {
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 9000000000000000000\r\n\r\n";
    let server = Scripted::answering(huge).await;
    let error = stats_error(server.client()).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    // Within the limit it is believed no further than it is kept.
    let large = "HTTP/1.1 200 OK\r\ncontent-length: 16000000\r\n\r\n{}";
    let server = Scripted::answering(large).await;
    let error = stats_error(server.client()).await;
    assert_eq!(error.kind(), ErrorKind::Truncated);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Scripted::new(|stream| async move {
        tokio::time::sleep(Duration::from_secs(600)).await;
        drop(stream);
    })
    .await;
    let error = stats_error(server.client().attempt_timeout(SHORT)).await;
    assert_eq!(
        error.timeout().map(layers::Timeout::scope),
        Some(TimeoutScope::Attempt)
    );
    assert_eq!(error.delivery(), Delivery::Unknown);
    let error = stats_error(server.client().deadline(SHORT)).await;
    assert_eq!(
        error.timeout().map(layers::Timeout::scope),
        Some(TimeoutScope::Call)
    );
}

#[tokio::test]
async fn a_reply_that_drips_is_given_up_and_keeps_its_head() {
    let server = Scripted::new(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncf-ray: 8c1f-LHR\r\ncontent-length: 1000000\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let error = stats_error(server.client().attempt_timeout(SHORT)).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.status(), Some(StatusCode::OK));
    assert_eq!(error.request_id(), Some("8c1f-LHR"));
    assert_eq!(error.delivery(), Delivery::Answered);
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let client = Client::builder(format!("http://{address}"))
        .api_key("idk_test")
        .retry(layers::RetryPolicy::new().attempts(1));
    let error = stats_error(client).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), "getUserStats failed: could not connect");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn what_is_no_http_is_an_exchange_that_failed() {
    let headers = "x: y\r\n".repeat(5000);
    for reply in [
        String::new(),
        String::from("SSH-2.0-OpenSSH_9.2\r\n"),
        String::from("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{headers}\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)),
    ] {
        let start: String = reply.chars().take(40).collect();
        let server = Scripted::answering(reply).await;
        let error = stats_error(server.client()).await;
        assert_eq!(error.kind(), ErrorKind::Transport, "{start}");
        assert_eq!(error.delivery(), Delivery::Unknown, "{start}");
    }
}
