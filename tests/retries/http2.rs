//! What HTTP/2 tells of requests that were not looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use idpflare_management::layers::RetryPolicy;
use idpflare_management::*;

use crate::support::tls::{Ca, at, listen, trusting};
use crate::{client, of_each_kind, quick};

/// What a server does with each stream.
#[derive(Clone, Copy, Debug)]
enum Act {
    Reset(Reason),
    /// Goes away, and has looked at no stream beyond this one.
    GoAway(u32),
}

/// A client of a server of HTTP/2 that does this with everything, and how many requests arrived.
async fn connected(act: Act) -> (Client, Arc<AtomicUsize>) {
    connected_with(quick(), act).await
}

/// The same with this policy.
async fn connected_with(policy: RetryPolicy, act: Act) -> (Client, Arc<AtomicUsize>) {
    let ca = Ca::new();
    let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
    let address = listener.local_addr().expect("an address");
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&arrived);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.expect("TLS");
                match act {
                    Act::Reset(reason) => reset(stream, reason, &count).await,
                    Act::GoAway(last_stream) => go_away(stream, last_stream, &count).await,
                }
            });
        }
    });
    let transport = trusting(&ca).build().expect("a transport");
    let client = client(&at("localhost", address)).retry(policy);
    let client = client.build_with(transport);
    (client.expect("a client"), arrived)
}

type Stream = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn reset(stream: Stream, reason: Reason, count: &AtomicUsize) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        count.fetch_add(1, Ordering::SeqCst);
        respond.send_reset(reason);
    }
}

async fn go_away(mut stream: Stream, last_stream: u32, count: &AtomicUsize) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    stream
        .write_all(&frame(SETTINGS, &[]))
        .await
        .expect("written");
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.expect("a preface");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.expect("a frame");
        if head[3] == HEADERS {
            break;
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    let no_error = [last_stream.to_be_bytes(), [0; 4]].concat();
    stream
        .write_all(&frame(GOAWAY, &no_error))
        .await
        .expect("written");
    let _ = stream.shutdown().await;
    // What is left unread would take the frame with it.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// A frame that belongs to the connection (RFC 9113, section 4.1).
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn only_a_request_above_the_last_stream_of_a_goaway_is_sent_again_whatever_it_is() {
    for (act, expected, delivery) in [
        (
            Act::Reset(Reason::REFUSED_STREAM),
            [3, 3, 1],
            Delivery::Unknown,
        ),
        (Act::GoAway(0), [3, 3, 3], Delivery::NotSent),
        (
            Act::Reset(Reason::INTERNAL_ERROR),
            [3, 3, 1],
            Delivery::Unknown,
        ),
        (Act::GoAway(1), [3, 3, 1], Delivery::Unknown),
    ] {
        let (client, arrived) = connected(act).await;
        let arrivals = of_each_kind(
            || client.clone(),
            |outcome| {
                let error = outcome.expect_err("no reply");
                assert_eq!(error.delivery(), delivery, "{act:?}: {error:?}");
                let arrivals = arrived.swap(0, Ordering::SeqCst);
                assert_eq!(error.attempts() as usize, arrivals, "{act:?}");
                arrivals
            },
        );
        assert_eq!(arrivals.await, expected, "{act:?}");
    }
}

#[tokio::test]
async fn creates_that_were_performed_and_then_refused_are_not_doubled() {
    let (client, arrived) = connected(Act::Reset(Reason::REFUSED_STREAM)).await;
    for number in 1..=30 {
        let error = client.send(CreateUser::new("a@b.c")).await;
        let error = error.expect_err("it is reset");
        assert_eq!((error.attempts(), error.delivery()), (1, Delivery::Unknown));
        assert!(!error.is_retryable(), "{error:?}");
        assert_eq!(arrived.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn a_policy_can_trust_refused_streams() {
    let trusting = quick().repeat_once_after_refused_stream(true);
    let (client, arrived) = connected_with(trusting, Act::Reset(Reason::REFUSED_STREAM)).await;
    let error = client.send(CreateUser::new("a@b.c")).await;
    let error = error.expect_err("it is reset");
    assert_eq!((error.attempts(), error.delivery()), (3, Delivery::Unknown));
    assert_eq!(arrived.load(Ordering::SeqCst), 3);
}
