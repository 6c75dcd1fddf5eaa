//! What faults are on a connection.

use std::io::ErrorKind as IoErrorKind;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use idpflare_management::layers::RetryPolicy;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultKind};
use idpflare_management::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{fake, once};

/// What a client of HTTP/1.1 reads, and how the connection ends.
async fn read(fake: &FakeIdpflare, fault: Fault) -> (String, Result<(), IoErrorKind>) {
    fake.set_faults(once(fault));
    let server = fake.serve().await.expect("a port");
    let mut connection = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .expect("a connection");
    let key = fake.api_key();
    let request = format!(
        "GET /api/v1/stats/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    connection
        .write_all(request.as_bytes())
        .await
        .expect("sent");
    let mut received = Vec::new();
    let end = connection.read_to_end(&mut received).await;
    let text = String::from_utf8(received).expect("text");
    (text, end.map(drop).map_err(|error| error.kind()))
}

#[tokio::test]
async fn a_reset_is_a_reset_of_tcp() {
    let (fake, _ledger) = fake();
    for fault in [Fault::reset_before_reply(), Fault::reply_lost()] {
        let (received, end) = read(&fake, fault).await;
        assert_eq!(received, "");
        assert_eq!(end, Err(IoErrorKind::ConnectionReset));
    }
    let (received, end) = read(&fake, Fault::reset_during_reply()).await;
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(
        received.ends_with(r#"{"total":0,"active":0,"verified"#),
        "{received}"
    );
    assert_eq!(end, Err(IoErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_truncated_body_is_shorter_than_its_length() {
    let (fake, _ledger) = fake();
    let (received, end) = read(&fake, Fault::truncated_body()).await;
    assert_eq!(end, Ok(()));
    let (head, body) = received.split_once("\r\n\r\n").expect("a head");
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.parse().ok())
        .expect("a length");
    assert_eq!(body.len(), length / 2, "{received}");
}

/// A client over HTTP/2. Its transport does not tell what is known of an error.
fn http2(authority: &str, key: String) -> Client {
    let transport: legacy::Client<_, Full<Bytes>> = legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    Client::builder(authority)
        .api_key(key)
        .retry(RetryPolicy::new().attempts(1))
        .build_with(transport)
        .expect("a client")
}

#[tokio::test]
async fn over_http2() {
    let (fake, mut ledger) = fake();
    let server = fake.serve().await.expect("a port");
    let client = http2(&server.authority(), fake.api_key());
    let broken = (ErrorKind::Truncated, Delivery::Answered);
    let lost = (ErrorKind::Service, Delivery::Unknown);
    for (fault, expected) in [
        (Fault::reset_before_reply(), Some(lost)),
        (Fault::reply_lost(), Some(lost)),
        (Fault::reset_during_reply(), Some(broken)),
        (Fault::truncated_body(), Some(broken)),
        (Fault::slow_body(3, Duration::from_millis(5)), None),
        (Fault::oversized_body(100_000), None),
        (Fault::unknown_fields(), None),
    ] {
        let kind = fault.kind();
        fake.set_faults(once(fault));
        let outcome = client.send(GetUserStats::new()).await;
        let met = outcome.map_err(|error| (error.kind(), error.delivery()));
        assert_eq!(met.err(), expected, "{kind}");
        let entry = ledger.recv().await.expect("an entry");
        assert_eq!(entry.fault, Some(kind));
        assert_eq!(entry.performed, kind != FaultKind::ResetBeforeReply);
        // The next one finds a connection, be it a new one.
        client.send(GetUserStats::new()).await.expect("no fault");
        ledger.recv().await.expect("an entry");
    }
}

#[tokio::test]
async fn a_server_stops_though_there_were_faults() {
    let (fake, _ledger) = fake();
    let server = fake.serve().await.expect("a port");
    for fault in [
        Fault::oversized_body(u64::MAX),
        Fault::delay(Duration::from_secs(3600)),
        Fault::slow_body(9, Duration::from_secs(3600)),
    ] {
        fake.set_faults(once(fault));
        let client = Client::builder(server.authority())
            .api_key(fake.api_key())
            .retry(RetryPolicy::new().attempts(1))
            .attempt_timeout(Duration::from_millis(50))
            .max_reply_bytes(1024 * 1024)
            .build()
            .expect("a client");
        client.send(GetUserStats::new()).await.expect_err("a fault");
    }
    server.shutdown().await;
}
