//! What is sent again, over real sockets: one scripted server for each row, and the requests counted
//! that arrive there.

mod support;

use std::time::Duration;

use idpflare_management::layers::{Backoff, RetryPolicy};
use idpflare_management::*;
use support::server::{Scripted, read_request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Short, because time is real here.
fn quick() -> RetryPolicy {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2))
        .and_then(|backoff| backoff.rate_limited_base(Duration::from_millis(1)));
    RetryPolicy::new().backoff(backoff.expect("valid"))
}

/// A server that answers each request on a connection of its own with `reply`.
async fn answering(reply: &str) -> Scripted {
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((reply, ""));
    Scripted::answering(format!("{head}\r\nconnection: close\r\n\r\n{body}")).await
}

/// How often each kind of operation arrives before it is given up: ReadOnly, Idempotent, Once.
async fn arrivals(server: &Scripted, builder: impl Fn() -> ClientBuilder) -> [usize; 3] {
    let mut arrivals = [0; 3];
    let mut before = 0;
    for (index, arrived) in arrivals.iter_mut().enumerate() {
        let client = builder()
            .retry(quick())
            // Pauses of the client's own would only make this slower.
            .stack(|stack| stack.remove(Stack::RATE_LIMIT))
            .build()
            .expect("a client");
        let error = match index {
            0 => client.send(GetUser::new("u")).await.err(),
            1 => client.send(DeleteUser::new("u")).await.err(),
            _ => client.send(CreateUser::new("a@b.c")).await.err(),
        };
        let error = error.expect("every row fails");
        *arrived = server.connections() - before;
        before = server.connections();
        assert_eq!(error.attempts() as usize, *arrived, "{error:?}");
    }
    arrivals
}

#[tokio::test]
async fn statuses() {
    for (status, expected) in [
        (400, [1, 1, 1]),
        (401, [1, 1, 1]),
        (403, [1, 1, 1]),
        (404, [1, 1, 1]),
        (409, [1, 1, 1]),
        (408, [3, 3, 1]),
        (425, [3, 3, 1]),
        (429, [3, 3, 3]),
        (500, [3, 3, 1]),
        (501, [1, 1, 1]),
        (502, [3, 3, 1]),
        (503, [3, 3, 1]),
        (504, [3, 3, 1]),
        (505, [1, 1, 1]),
        (520, [3, 3, 1]),
        (521, [3, 3, 1]),
        (522, [3, 3, 1]),
        (523, [3, 3, 1]),
        (524, [3, 3, 1]),
        (525, [1, 1, 1]),
        (526, [1, 1, 1]),
        (527, [3, 3, 1]),
        (530, [1, 1, 1]),
        (302, [1, 1, 1]),
    ] {
        let server = answering(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0")).await;
        let arrived = arrivals(&server, || server.client()).await;
        assert_eq!(arrived, expected, "{status}");
    }
}

#[tokio::test]
async fn what_breaks_after_sending() {
    // Nothing at all, then something that is no HTTP, then a body that breaks off.
    for reply in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let server = Scripted::answering(reply).await;
        let arrived = arrivals(&server, || server.client()).await;
        assert_eq!(arrived, [3, 3, 1], "{reply}");
    }
}

#[tokio::test]
async fn a_success_that_can_not_be_read_is_final() {
    let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let client = server.client().retry(quick()).build().expect("a client");
    let error = client.send(GetUser::new("u")).await.expect_err("a hole");
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_takes_too_long() {
    let server = Scripted::new(|stream| async move {
        tokio::time::sleep(Duration::from_secs(600)).await;
        drop(stream);
    })
    .await;
    let short = Duration::from_millis(100);
    let arrived = arrivals(&server, || server.client().attempt_timeout(short)).await;
    assert_eq!(arrived, [3, 3, 1]);
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let client = Client::builder(format!("http://{address}"))
        .api_key("idk_test")
        .retry(quick())
        .build()
        .expect("a client");
    // Nothing was sent, so even a create is tried again.
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("nobody");
    assert_eq!(error.attempts(), 3);
    assert_eq!(error.delivery(), Delivery::NotSent);
}

#[tokio::test]
async fn what_the_pool_kept_too_long_is_not_a_second_attempt() {
    // Each connection serves one request, and is closed without a word when the next one comes.
    let server = Scripted::new(|mut stream| async move {
        let reply = "HTTP/1.1 204 No Content\r\n\r\n";
        let _ = stream.write_all(reply.as_bytes()).await;
        read_request(&mut stream).await;
    })
    .await;
    let client = server.client().retry(quick()).build().expect("a client");
    client.send(DeleteUser::new("u")).await.expect("204");
    client
        .send(DeleteUser::new("u"))
        .await
        .expect("204, in the end");
}
