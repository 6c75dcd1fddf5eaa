//! Which connections are kept, for how long, and what is sent over none.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Version};
use http_body_util::Full;
use idpflare_management::layers::{Delivery, TransportError, find_source};
use idpflare_management::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::support::server::{Scripted, read_request};
use crate::{STATS, ok};

/// A server that answers one request on each connection, and tells what it reads after that: nothing,
/// where the connection ended.
async fn server_that_tells_of_ends() -> (Scripted, mpsc::UnboundedReceiver<Option<usize>>) {
    let (ended, ends) = mpsc::unbounded_channel();
    let server = Scripted::new(move |mut stream| {
        let ended = ended.clone();
        async move {
            let answered = stream.write_all(ok(STATS).as_bytes()).await;
            answered.expect("a client");
            let _ = ended.send(stream.read(&mut [0]).await.ok());
        }
    })
    .await;
    (server, ends)
}

#[tokio::test]
async fn what_nobody_uses_for_a_minute_is_closed() {
    let (server, mut ends) = server_that_tells_of_ends().await;
    let client = server.client().build().expect("a client");
    client.send(GetUserStats::new()).await.expect("stats");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(ends.try_recv().is_err());
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert_eq!(ends.recv().await, Some(Some(0)));
}

/// A server that keeps connections for so many seconds, as its replies say.
async fn server_that_keeps(seconds: u32) -> Scripted {
    Scripted::new(move |mut stream| async move {
        let head = format!("HTTP/1.1 200 OK\r\nkeep-alive: timeout={seconds}, max=100\r\n");
        let length = STATS.len();
        let reply = format!("{head}content-length: {length}\r\n\r\n{STATS}");
        while stream.write_all(reply.as_bytes()).await.is_ok()
            && read_request(&mut stream).await.is_some()
        {}
    })
    .await
}

#[tokio::test]
async fn a_connection_is_used_no_longer_than_its_server_keeps_it() {
    for (seconds, idle, connections) in [(1, 0, 2), (5, 3, 1), (5, 4, 2), (3600, 50, 1)] {
        let server = server_that_keeps(seconds).await;
        let client = server.client().build().expect("a client");
        client.send(GetUserStats::new()).await.expect("stats");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(idle)).await;
        tokio::time::resume();
        client.send(GetUserStats::new()).await.expect("stats");
        assert_eq!(server.connections(), connections, "{seconds} {idle}");
    }
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_no_connection() {
    let (server, mut ends) = server_that_tells_of_ends().await;
    let client = server.client().build().expect("a client");
    client.send(GetUserStats::new()).await.expect("stats");
    drop(client);
    assert_eq!(ends.recv().await, Some(Some(0)));
}

#[tokio::test]
async fn a_reply_in_parts_leaves_its_connection_to_the_next_call() {
    let server = Scripted::new(|mut stream| async move {
        loop {
            for part in ok(STATS).as_bytes().chunks(40) {
                if stream.write_all(part).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if read_request(&mut stream).await.is_none() {
                return;
            }
        }
    })
    .await;
    let client = server.client().build().expect("a client");
    for _ in 0..5 {
        client.send(GetUserStats::new()).await.expect("stats");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_that_can_go_to_no_server_is_refused() {
    let transport = Transport::builder()
        .without_tls()
        .build()
        .expect("a transport");
    let request = |uri: &str| {
        let request = Request::get(uri).body(Full::<Bytes>::default());
        request.expect("a request")
    };
    let mut connect = request("http://idp.example/");
    *connect.method_mut() = Method::CONNECT;
    let mut http3 = request("http://idp.example/");
    *http3.version_mut() = Version::HTTP_3;
    for (request, why) in [
        (request("/users"), "make it absolute"),
        (connect, "CONNECT"),
        (http3, "HTTP/2"),
    ] {
        let outcome = transport.clone().oneshot(request).await;
        let error = outcome.expect_err("it is refused");
        let error = find_source::<TransportError>(&*error).expect("it is typed");
        assert_eq!(error.delivery(), Delivery::NotSent);
        assert!(error.is_permanent());
        let source = std::error::Error::source(error).expect("a source");
        assert!(source.to_string().contains(why), "{source}");
    }
}

#[test]
fn a_call_outside_of_a_runtime_is_refused() {
    let transport = Transport::builder().without_tls().build();
    let request = Request::get("http://idp.example/").body(Full::<Bytes>::default());
    let transport = transport.expect("a transport");
    let reply = transport
        .oneshot(request.expect("a request"))
        .now_or_never();
    let error = reply.expect("it does not wait").expect_err("it is refused");
    let error = find_source::<TransportError>(&*error).expect("it is typed");
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.is_permanent());
}

/// A connection lives and dies with the runtime of the call that made it.
#[test]
fn a_runtime_that_ends_takes_no_connection_from_another() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("one")
    };
    let of_server = runtime();
    let server = of_server.block_on(Scripted::new(|mut stream| async move {
        while stream.write_all(ok(STATS).as_bytes()).await.is_ok()
            && read_request(&mut stream).await.is_some()
        {}
    }));
    let client = server.client().build().expect("a client");
    for connections in 1..=3 {
        let runtime = runtime();
        for _ in 0..2 {
            let stats = runtime.block_on(client.send(GetUserStats::new()));
            stats.expect("stats");
        }
        assert_eq!(server.connections(), connections);
        runtime.shutdown_timeout(Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_body_can_be_dropped_outside_of_a_runtime() {
    let server = Scripted::new(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf";
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let transport = Transport::builder().without_tls().build();
    let uri = format!("http://{}/", server.address);
    let request = Request::get(uri).body(Full::<Bytes>::default());
    let reply = transport
        .expect("a transport")
        .oneshot(request.expect("a request"));
    let reply = reply.await.expect("a reply");
    std::thread::spawn(|| drop(reply)).join().expect("no panic");
}
