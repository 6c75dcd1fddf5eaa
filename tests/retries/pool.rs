//! Connections that were kept, and are gone when they are needed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use http_body_util::Full;
use idpflare_management::*;
use tower::util::MapRequestLayer;

use crate::server::{Act, Server, empty};

/// One request without a body.
fn read_head(stream: &mut std::net::TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
}

/// On one thread that looks at its sockets after each task, so that the connection turns out to be
/// closed when it already has the request, and has not begun to send it.
#[test]
fn what_was_not_begun_is_sent_on_another_connection_and_is_no_second_attempt() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .event_interval(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(a_request_for_a_closed_connection());
}

async fn a_request_for_a_closed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let authority = format!("http://{}", listener.local_addr().expect("an address"));
    let (close, closing) = mpsc::channel();
    let (closed, is_closed) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let no_content = b"HTTP/1.1 204 No Content\r\n\r\n";
        let (mut first, _) = listener.accept().expect("a connection");
        read_head(&mut first);
        first.write_all(no_content).expect("written");
        closing.recv().expect("told to");
        drop(first);
        closed.send(()).expect("heard");
        let (mut second, _) = listener.accept().expect("another one");
        read_head(&mut second);
        second.write_all(no_content).expect("written");
    });

    let attempts = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&attempts);
    let client = crate::client(&authority)
        .attempt_layer(MapRequestLayer::new(
            move |request: http::Request<Full<Bytes>>| {
                count.fetch_add(1, Ordering::SeqCst);
                request
            },
        ))
        .build()
        .expect("a client");
    client.send(DeleteUser::new("u")).await.expect("204");
    close.send(()).expect("heard");
    is_closed.recv().expect("told");
    tokio::spawn(async {});
    client.send(DeleteUser::new("u")).await.expect("204");
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    server.join().expect("no panic");
}

#[tokio::test]
async fn what_was_begun_is_a_second_attempt() {
    // Each connection serves one request; the next one is read, and not answered.
    let server = Server::new(|request, before| {
        let is_first = before
            .iter()
            .all(|earlier| earlier.connection != request.connection);
        if is_first && !request.is_create() {
            empty("204 No Content")
        } else {
            Act::Close(String::new())
        }
    })
    .await;
    let client = server.client().build().expect("a client");
    for _ in 0..2 {
        client.send(DeleteUser::new("u")).await.expect("204");
    }
    let connections = |server: &Server| -> Vec<_> {
        let arrived = server.take().into_iter();
        arrived.map(|arrived| arrived.connection).collect()
    };
    assert_eq!(connections(&server), [0, 0, 1]);
    // What must act once is not sent again.
    let error = client.send(CreateUser::new("a@b.c")).await;
    let error = error.expect_err("no reply");
    assert_eq!((error.attempts(), error.delivery()), (1, Delivery::Unknown));
    assert_eq!(connections(&server), [1]);
}
