//! Replies that are not what they should be.

use std::error::Error as _;

use http::StatusCode;
use idpflare_management::*;
use tokio::io::AsyncWriteExt;

use crate::stats_error;
use crate::support::server::Scripted;

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
        "redirects to http://{}, which is not followed: correct the authority",
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
