//! Calls and replies that are held without being polled, and the calls beside them.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use idpflare_management::layers::RetryPolicy;
use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::support::server::{Scripted, read_request};
use crate::{STATS, ok};

/// Out of reach, and so is a quarter of it.
const LONG: Duration = Duration::from_secs(600);

/// Answers each request when it is told so.
async fn server(told: &Arc<Semaphore>) -> Scripted {
    let told = Arc::clone(told);
    Scripted::new(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            loop {
                told.acquire().await.expect("it is open").forget();
                if stream.write_all(ok(STATS).as_bytes()).await.is_err()
                    || read_request(&mut stream).await.is_none()
                {
                    return;
                }
            }
        }
    })
    .await
}

fn client(server: &Scripted, transport: TransportBuilder) -> Client {
    Client::builder(format!("http://{}", server.address))
        .api_key("idk_test")
        .deadline(LONG)
        .attempt_timeout(LONG)
        .retry(RetryPolicy::new().attempts(1))
        .build_with(transport.build().expect("a transport"))
        .expect("a client")
}

fn transport(connections: usize) -> TransportBuilder {
    Transport::builder()
        .without_tls()
        .connect_timeout(LONG)
        .max_connections(connections)
}

#[tokio::test]
async fn held_calls_stop_no_others() {
    let told = Arc::new(Semaphore::new(0));
    let server = server(&told).await;
    let client = client(&server, transport(1));
    let first = tokio::spawn(client.send(GetUserStats::new()));
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let mut held: Vec<_> = (0..100)
        .map(|_| Box::pin(client.send(GetUserStats::new())))
        .collect();
    for call in &mut held {
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    let others: JoinSet<_> = (0..20).map(|_| client.send(GetUserStats::new())).collect();
    told.add_permits(121);
    first.await.expect("no panic").expect("stats");
    let limit = Duration::from_secs(60);
    let outcomes = tokio::time::timeout(limit, others.join_all()).await;
    for outcome in outcomes.expect("they are not stopped") {
        outcome.expect("stats");
    }
    for call in held {
        call.await.expect("stats");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn calls_beyond_the_maximum_of_connections_wait() {
    let told = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    let server = server(&told).await;
    let client = client(&server, transport(3));
    let calls: JoinSet<_> = (0..100).map(|_| client.send(GetUserStats::new())).collect();
    for outcome in calls.join_all().await {
        outcome.expect("stats");
    }
    assert!((1..=3).contains(&server.connections()));
}

#[tokio::test]
async fn replies_that_are_held_unread_stop_no_call() {
    let server = Scripted::new(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf";
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = read_request(&mut stream).await;
    })
    .await;
    // A quarter of this is waited for at the maximum.
    let limit = Duration::from_secs(2);
    let transport = transport(1).connect_timeout(limit).build();
    let transport = transport.expect("a transport");
    let mut held = Vec::new();
    for connections in 1..=3 {
        let uri = format!("http://{}/", server.address);
        let request = Request::get(uri).body(Full::<Bytes>::default());
        let reply = pin!(transport.clone().oneshot(request.expect("a request")));
        held.push(reply.await.expect("a reply"));
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_maximum_of_no_connections_is_refused() {
    let error = transport(0).build().expect_err("no call could be made");
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
