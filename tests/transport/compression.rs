//! Compressed replies: not asked for, unless the user adds the layer; then as bounded as others.

use std::io::Write;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tower_http::decompression::DecompressionLayer;

use crate::support::server::{Scripted, read_request};
use crate::{STATS, ok, quick, stats_error};

const LIMIT: usize = 100_000;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("in memory");
    encoder.finish().expect("in memory")
}

/// A reply that says that `body` is compressed.
fn compressed(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// With the layer where it belongs.
fn decompressing(client: ClientBuilder) -> ClientBuilder {
    client.stack(|stack| {
        stack.insert_after(Stack::COLLECT, "decompression", DecompressionLayer::new())
    })
}

#[tokio::test]
async fn only_the_layer_asks_for_it() {
    let head = Arc::new(Mutex::new(String::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let authority = format!("http://{}", listener.local_addr().expect("an address"));
    let heard = Arc::clone(&head);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = read_request(&mut stream).await.expect("a request");
            *heard.lock().expect("not poisoned") = request;
            let _ = stream.write_all(ok(STATS).as_bytes()).await;
        }
    });
    for asks in [false, true] {
        let client = Client::builder(&authority).api_key("idk_test");
        let client = if asks { decompressing(client) } else { client };
        let client = client.retry(quick(1)).build().expect("a client");
        client.send(GetUserStats::new()).await.expect("stats");
        let head = head.lock().expect("not poisoned");
        let asked = head.contains("accept-encoding: gzip\r\n");
        assert_eq!(asked, asks, "{head}");
        assert_eq!(head.contains("accept-encoding"), asks, "{head}");
    }
}

#[tokio::test]
async fn with_the_layer_a_compressed_reply_is_read() {
    let server = Scripted::answering(compressed(&gzip(STATS.as_bytes()))).await;
    let client = decompressing(server.client()).build().expect("a client");
    let stats = client.send(GetUserStats::new()).await.expect("stats");
    assert_eq!(stats.total, 1);
}

#[tokio::test]
async fn without_it_the_error_says_what_is_missing() {
    let server = Scripted::answering(compressed(&gzip(STATS.as_bytes()))).await;
    let error = stats_error(server.client()).await;
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.delivery(), Delivery::Answered);
    assert!(!error.is_retryable());
    assert_eq!(
        error.to_string(),
        "getUserStats failed: 200 OK: the body is not what the protocol says: \
         its Content-Encoding is gzip, and no layer has undone that: \
         one that does belongs inside of collect"
    );
}

#[tokio::test]
async fn a_compressed_reply_that_breaks_off_is_one_that_breaks_off() {
    let body = gzip(STATS.as_bytes());
    let (half, _) = body.split_at(body.len() / 2);
    let whole = compressed(&body);
    let broken = whole.len() - half.len();
    for reply in [compressed(half), whole[..broken].to_vec()] {
        let server = Scripted::answering(reply).await;
        let error = stats_error(decompressing(server.client())).await;
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error:?}");
        assert_eq!(error.delivery(), Delivery::Answered);
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn the_limit_is_one_for_what_comes_out() {
    // Far below the limit as it arrives, and just above it afterwards.
    let padded = format!("{STATS}{}", " ".repeat(LIMIT + 1 - STATS.len()));
    let small = compressed(&gzip(padded.as_bytes()));
    assert!(small.len() < LIMIT / 100);
    let server = Scripted::answering(small).await;
    let client = || decompressing(server.client());
    let error = stats_error(client().max_reply_bytes(LIMIT)).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.delivery(), Delivery::Answered);
    let client = client().max_reply_bytes(LIMIT + 1).build();
    let stats = client.expect("a client").send(GetUserStats::new()).await;
    assert_eq!(stats.expect("stats").total, 1);
}

#[tokio::test]
async fn a_bomb_is_not_unpacked() {
    // It has no end, so whatever wanted all of it would still be at it.
    let server = Scripted::new(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut pack = || {
            encoder.write_all(&[b' '; 1 << 18]).expect("in memory");
            encoder.flush().expect("in memory");
            std::mem::take(encoder.get_mut())
        };
        let _ = stream.write_all(&pack()).await;
        // It only refers to what was there before, so it can be repeated.
        let more = pack();
        while stream.write_all(&more).await.is_ok() {}
    })
    .await;
    let error = stats_error(decompressing(server.client()).max_reply_bytes(LIMIT)).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
}
