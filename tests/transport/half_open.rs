//! Peers that are gone without having said so: their side of a connection is silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use idpflare_management::layers::TimeoutScope;
use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::server::read_request;
use crate::support::tls::{Ca, at, listen, trusting};
use crate::{SHORT, STATS, ok, quick};

/// The connections that requests arrived on, in order; they are counted from zero.
type Arrivals = Arc<Mutex<Vec<usize>>>;

fn take(arrivals: &Arrivals) -> Vec<usize> {
    std::mem::take(&mut *arrivals.lock().expect("not poisoned"))
}

/// A server whose first connection answers one request, and then is silent; the others answer all.
/// `serve` is given the connection and how many requests it answers.
async fn falling_silent<F>(
    listener: TcpListener,
    serve: impl Fn(TcpStream, usize, Box<dyn Fn() + Send>) -> F + Send + 'static,
) -> Arrivals
where
    F: Future<Output = ()> + Send + 'static,
{
    let arrivals = Arrivals::default();
    let seen = Arc::clone(&arrivals);
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.expect("a connection");
            let answers = if connection == 0 { 1 } else { usize::MAX };
            let seen = Arc::clone(&seen);
            let arrived = move || seen.lock().expect("not poisoned").push(connection);
            tokio::spawn(serve(stream, answers, Box::new(arrived)));
        }
    });
    arrivals
}

async fn http1(mut stream: TcpStream, answers: usize, arrived: Box<dyn Fn() + Send>) {
    for _ in 0..answers {
        if read_request(&mut stream).await.is_none() {
            return;
        }
        arrived();
        let _ = stream.write_all(ok(STATS).as_bytes()).await;
    }
    if read_request(&mut stream).await.is_some() {
        arrived();
        std::future::pending::<()>().await;
    }
}

async fn http2(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    answers: usize,
    silence: Silence,
    arrived: Box<dyn Fn() + Send>,
) {
    let stream = acceptor.accept(stream).await.expect("TLS");
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    let mut answered = 0;
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        arrived();
        if answered == answers {
            let _body = match silence {
                Silence::Whole => None,
                Silence::InBody => {
                    let body = respond.send_response(http::Response::new(()), false);
                    // It goes out while the connection is polled.
                    let _ = tokio::time::timeout(SHORT / 10, connection.accept()).await;
                    Some(body)
                }
            };
            // What is not polled neither reads nor writes, pings included.
            std::future::pending::<()>().await;
        }
        answered += 1;
        let mut body = respond
            .send_response(http::Response::new(()), false)
            .expect("open");
        body.send_data(Bytes::from_static(STATS.as_bytes()), true)
            .expect("open");
    }
}

async fn client_of_http1() -> (ClientBuilder, Arrivals) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let authority = format!("http://{}", listener.local_addr().expect("an address"));
    let arrivals = falling_silent(listener, http1).await;
    (Client::builder(authority).api_key("idk_test"), arrivals)
}

async fn client_of_http2() -> (ClientBuilder, Transport, Arrivals) {
    client_of_silent_http2(Silence::Whole).await
}

/// From where on nothing more is said.
#[derive(Clone, Copy)]
enum Silence {
    Whole,
    /// After the head of the reply.
    InBody,
}

async fn client_of_silent_http2(silence: Silence) -> (ClientBuilder, Transport, Arrivals) {
    let ca = Ca::new();
    let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
    let authority = at("localhost", listener.local_addr().expect("an address"));
    let arrivals = falling_silent(listener, move |stream, answers, arrived| {
        http2(acceptor.clone(), stream, answers, silence, arrived)
    })
    .await;
    let transport = trusting(&ca).build().expect("a transport");
    let client = Client::builder(authority).api_key("idk_test");
    (client, transport, arrivals)
}

#[tokio::test]
async fn the_next_attempt_goes_over_another_connection() {
    let (client, arrivals) = client_of_http1().await;
    let client = client.retry(quick(2)).attempt_timeout(SHORT);
    let client = client.build().expect("a client");
    for _ in 0..2 {
        client.send(GetUserStats::new()).await.expect("stats");
    }
    assert_eq!(take(&arrivals), [0, 0, 1], "HTTP/1.1");

    let (client, transport, arrivals) = client_of_http2().await;
    let client = client.retry(quick(2)).attempt_timeout(SHORT);
    let client = client.build_with(transport).expect("a client");
    for _ in 0..2 {
        client.send(GetUserStats::new()).await.expect("stats");
    }
    assert_eq!(take(&arrivals), [0, 0, 1], "HTTP/2");
}

#[tokio::test]
async fn also_where_the_silence_comes_after_the_head() {
    let (client, transport, arrivals) = client_of_silent_http2(Silence::InBody).await;
    let client = client.retry(quick(2)).attempt_timeout(SHORT);
    let client = client.build_with(transport).expect("a client");
    for _ in 0..2 {
        client.send(GetUserStats::new()).await.expect("stats");
    }
    assert_eq!(take(&arrivals), [0, 0, 1]);
}

#[tokio::test]
async fn so_does_the_next_call_after_a_deadline() {
    let (client, transport, arrivals) = client_of_http2().await;
    let client = client.build_with(transport).expect("a client");
    client.send(GetUserStats::new()).await.expect("stats");
    let create = CreateUser::new("a@b.c").with(CallOptions::new().deadline(SHORT));
    let error = client.send(create).await;
    let error = error.expect_err("silence");
    assert_eq!(
        error.timeout().map(layers::Timeout::scope),
        Some(TimeoutScope::Call)
    );
    assert_eq!((error.attempts(), error.delivery()), (1, Delivery::Unknown));
    client.send(GetUserStats::new()).await.expect("stats");
    assert_eq!(take(&arrivals), [0, 0, 1]);
}

#[tokio::test]
async fn a_call_that_its_caller_drops_leaves_the_connection_to_the_others() {
    let (client, transport, arrivals) = client_of_http2().await;
    let client = client.build_with(transport).expect("a client");
    client.send(GetUserStats::new()).await.expect("stats");
    let dropped = client.send(GetUserStats::new());
    let _ = tokio::time::timeout(SHORT, dropped).await;
    let _ = tokio::time::timeout(SHORT, client.send(GetUserStats::new())).await;
    assert_eq!(take(&arrivals), [0, 0]);
}

#[tokio::test]
async fn a_ping_without_an_answer_ends_the_connection() {
    let (client, transport, arrivals) = client_of_http2().await;
    let endless = Duration::from_secs(3600);
    let client = client
        .retry(quick(1))
        .attempt_timeout(endless)
        .deadline(endless);
    let client = client.build_with(transport).expect("a client");
    client.send(GetUserStats::new()).await.expect("stats");
    let silent = tokio::spawn(client.send(DeleteUser::new("u")));
    while arrivals.lock().expect("not poisoned").len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // From here on nothing arrives any more, so the clock need not wait for anyone.
    tokio::time::pause();
    let error = silent.await.expect("no panic").expect_err("silence");
    tokio::time::resume();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert!(error.is_retryable());
    assert!(
        format!("{error:?}").contains("KeepAliveTimedOut"),
        "{error:?}"
    );
    client.send(GetUserStats::new()).await.expect("stats");
    assert_eq!(take(&arrivals), [0, 0, 1]);
}

#[tokio::test]
async fn a_request_that_nobody_reads_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move { listener.accept().await });
    let client = Client::builder(format!("http://{address}"))
        .api_key("idk_test")
        .retry(quick(1))
        .attempt_timeout(SHORT);
    let client = client.build().expect("a client");
    // More than the buffers of both sides hold.
    let picture = "x".repeat(16 * 1024 * 1024);
    let error = client.send(UpdateUser::new("u").picture_url(picture)).await;
    let error = error.expect_err("nobody reads it");
    assert_eq!(
        error.timeout().map(layers::Timeout::scope),
        Some(TimeoutScope::Attempt)
    );
    assert_eq!(error.delivery(), Delivery::Unknown);
    drop(server.await.expect("no panic"));
}
