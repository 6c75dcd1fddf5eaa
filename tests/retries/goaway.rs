//! Connections of HTTP/2 that the server ends gracefully, as nginx does after `keepalive_requests`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use idpflare_management::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::statuses::user;
use crate::support::tls::{Ca, at, listen, trusting};

/// The limits of a server like nginx.
#[derive(Clone, Copy)]
struct Limits {
    /// A connection takes so many requests. The last one is followed by GOAWAY, and later ones are
    /// ignored (`keepalive_requests`).
    requests: usize,
    /// More streams at once than this are refused (`http2_max_concurrent_streams`).
    streams: usize,
    /// The time from a request to its reply.
    delay: Duration,
    /// The same on the first connection.
    first_delay: Duration,
    /// The time from the last request to GOAWAY.
    goaway_delay: Duration,
}

impl Limits {
    fn new(requests: usize, streams: usize, delay: Duration) -> Self {
        Self {
            requests,
            streams,
            delay,
            first_delay: delay,
            goaway_delay: Duration::ZERO,
        }
    }
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    performed: AtomicUsize,
    refused: AtomicUsize,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) type Stream = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

/// A client with the default policy of a server with these limits.
async fn connected(limits: Limits) -> (Client, Arc<Counts>) {
    let ca = Ca::new();
    let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
    let address = listener.local_addr().expect("an address");
    let counts = Arc::new(Counts::default());
    let shared = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("an option of TCP");
            let (acceptor, counts) = (acceptor.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let mut limits = limits;
                    if counts.connections.fetch_add(1, Ordering::SeqCst) == 0 {
                        limits.delay = limits.first_delay;
                    }
                    // It fails where the client closes the connection.
                    let _ = serve(stream, limits, &counts).await;
                }
            });
        }
    });
    let transport = trusting(&ca).build().expect("a transport");
    let client = Client::builder(at("localhost", address)).api_key("idk_test");
    (client.build_with(transport).expect("a client"), counts)
}

async fn serve(stream: Stream, limits: Limits, counts: &Counts) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (sender, mut frames) = mpsc::unbounded_channel::<Vec<u8>>();
    let writing = tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            writer.write_all(&frame).await?;
            writer.flush().await?;
        }
        writer.shutdown().await
    });
    let send = |frame| {
        let _ = sender.send(frame);
    };
    let most = u32::try_from(limits.streams).expect("few").to_be_bytes();
    send(frame(SETTINGS, 0, 0, &[&[0, 3][..], &most].concat()));
    let mut preface = [0; 24];
    reader.read_exact(&mut preface).await?;
    let open = Arc::new(AtomicUsize::new(0));
    let mut accepted = HashSet::new();
    let mut taken = 0;
    while taken < limits.requests || open.load(Ordering::SeqCst) > 0 {
        let mut head = [0; 9];
        // A client that was sent GOAWAY closes the connection after the last reply.
        reader.read_exact(&mut head).await?;
        let [l0, l1, l2, kind, flags, id @ ..] = head;
        let id = u32::from_be_bytes(id);
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        reader.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => send(frame(SETTINGS, ACK, 0, &[])),
            PING if flags & ACK == 0 => send(frame(PING, ACK, 0, &payload)),
            HEADERS if taken == limits.requests => {}
            HEADERS if open.load(Ordering::SeqCst) >= limits.streams => {
                counts.refused.fetch_add(1, Ordering::SeqCst);
                send(frame(RST_STREAM, 0, id, &7_u32.to_be_bytes()));
            }
            HEADERS => {
                taken += 1;
                counts.performed.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                accepted.insert(id);
                if taken == limits.requests {
                    let no_error = [id.to_be_bytes(), [0; 4]].concat();
                    let goaway = frame(GOAWAY, 0, 0, &no_error);
                    if limits.goaway_delay.is_zero() {
                        send(goaway);
                    } else {
                        let sender = sender.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(limits.goaway_delay).await;
                            let _ = sender.send(goaway);
                        });
                    }
                }
            }
            _ => {}
        }
        let is_whole = matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        if is_whole && accepted.remove(&id) {
            let (open, sender) = (Arc::clone(&open), sender.clone());
            tokio::spawn(async move {
                tokio::time::sleep(limits.delay).await;
                open.fetch_sub(1, Ordering::SeqCst);
                let _ = sender.send(reply(id));
            });
        }
    }
    drop(sender);
    writing.await.expect("no panic")?;
    // What is left unread would take the replies with it.
    reader.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// A reply of 200 (RFC 7541, appendix A, index 8) with a user.
pub(crate) fn reply(id: u32) -> Vec<u8> {
    let http1 = user();
    let (_, body) = http1.split_once("\r\n\r\n").expect("a head");
    let mut frames = frame(HEADERS, END_HEADERS, id, &[0x88]);
    frames.extend(frame(DATA, END_STREAM, id, body.as_bytes()));
    frames
}

/// RFC 9113, section 4.1.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// Sends so many creates at once, so often, and checks that each was performed once and succeeded.
async fn check(limits: Limits, rounds: usize, calls: usize) {
    let (client, counts) = connected(limits).await;
    for round in 0..rounds {
        let creates = (0..calls).map(|_| client.send(CreateUser::new("a@b.c")));
        let outcomes = join_all(creates).await;
        let errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert!(
            errors.is_empty(),
            "{} in round {round}: {:?}",
            errors.len(),
            errors[0]
        );
    }
    assert_eq!(counts.performed.load(Ordering::SeqCst), rounds * calls);
    assert_eq!(counts.refused.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_graceful_goaway_fails_no_call() {
    goaways().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_graceful_goaway_fails_no_call_on_several_threads() {
    goaways().await;
}

async fn goaways() {
    for (requests, streams, calls) in [
        (1000, 128, 490),
        (50, 128, 490),
        (50, 32, 490),
        (3, 128, 60),
    ] {
        let limits = Limits::new(requests, streams, Duration::from_millis(1));
        check(limits, 8, calls).await;
    }
}

/// The first replies come long after GOAWAY: nothing but them shows that the server is at work.
#[tokio::test]
async fn a_goaway_before_the_first_reply_fails_no_call() {
    let limits = Limits::new(50, 128, Duration::from_millis(150));
    check(limits, 1, 490).await;
}

#[tokio::test]
async fn streams_that_the_server_may_not_allow_wait_for_its_settings() {
    for streams in [1, 2, 7] {
        let limits = Limits::new(1000, streams, Duration::from_millis(1));
        check(limits, 1, 50).await;
    }
}

/// The second call can't know that the first one is never polled again, or never answered.
#[tokio::test]
async fn a_call_without_a_reply_does_not_hold_those_above_a_goaway() {
    let mut limits = Limits::new(1, 128, Duration::ZERO);
    limits.first_delay = Duration::from_secs(600);
    // The second request comes before it.
    limits.goaway_delay = Duration::from_millis(300);
    let (client, counts) = connected(limits).await;
    let mut held = Box::pin(client.send(CreateUser::new("a@b.c")));
    while counts.performed.load(Ordering::SeqCst) == 0 {
        let step = tokio::time::timeout(Duration::from_millis(5), &mut held).await;
        assert!(step.is_err(), "it is not answered");
    }
    let started = Instant::now();
    client.send(CreateUser::new("a@b.c")).await.expect("a user");
    // It goes on by itself, and not because its first attempt reached its limit of 10 s.
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(counts.connections.load(Ordering::SeqCst), 2);
}

/// hyper's server announces the end, and processes all that arrives until that is acknowledged. Later
/// requests would reset the connection that it closes, so there are fewer calls than streams.
#[tokio::test]
async fn an_end_that_hyper_announces_fails_no_call() {
    let ca = Ca::new();
    let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
    let address = listener.local_addr().expect("an address");
    let performed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&performed);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("an option of TCP");
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_with_hyper(stream, count).await;
                }
            });
        }
    });
    let transport = trusting(&ca).build().expect("a transport");
    let client = Client::builder(at("localhost", address)).api_key("idk_test");
    let client = client.build_with(transport).expect("a client");
    for _ in 0..8 {
        let creates = (0..150).map(|_| client.send(CreateUser::new("a@b.c")));
        for outcome in join_all(creates).await {
            outcome.expect("a user");
        }
    }
    assert_eq!(performed.load(Ordering::SeqCst), 8 * 150);
}

async fn serve_with_hyper(stream: Stream, performed: Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let full = Arc::new(tokio::sync::Notify::new());
    let (count, is_full) = (Arc::clone(&taken), Arc::clone(&full));
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        performed.fetch_add(1, Ordering::SeqCst);
        if count.fetch_add(1, Ordering::SeqCst) + 1 == 50 {
            is_full.notify_one();
        }
        async move {
            let _ = request.into_body().collect().await;
            let http1 = user();
            let (_, body) = http1.split_once("\r\n\r\n").expect("a head");
            let body = http_body_util::Full::new(bytes::Bytes::from(body.to_owned()));
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        }
    });
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let connection = hyper::server::conn::http2::Builder::new(executor);
    let mut connection = std::pin::pin!(connection.serve_connection(io, service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = full.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
