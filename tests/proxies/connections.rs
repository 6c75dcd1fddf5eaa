//! Connections that end while they are used.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use idpflare_management::*;

use crate::nginx::{Nginx, Site};
use crate::upstream::Upstream;

/// nginx ends connections of HTTP/1.1 with `Connection: close`.
pub(crate) async fn three_requests_a_connection_fail_and_double_no_create() {
    let upstream = Upstream::start().await;
    let nginx = Nginx::start(&Site::of(upstream.port()).with("keepalive_requests 3;"));
    let client = nginx.client(upstream.key(), |builder| builder);
    for at_once in [1, 8] {
        create_keys(&client, 100, at_once).await;
        is_each_created_once(&upstream, 100);
    }
}

/// nginx says so with `Keep-Alive: timeout=2`.
pub(crate) async fn a_connection_is_not_used_in_its_last_second() {
    let upstream = Upstream::start().await;
    for (seconds, is_kept) in [(60, true), (2, false)] {
        let nginx = Nginx::start(&Site::of(upstream.port()).with(&format!(
            "keepalive_timeout 60s {seconds}s; add_header x-connection $connection;"
        )));
        let transport = nginx.transport().build().expect("a transport");
        let first = nginx.headers(&transport, &upstream.key()).await;
        assert_eq!(first["keep-alive"], format!("timeout={seconds}"));
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let second = nginx.headers(&transport, &upstream.key()).await;
        assert_eq!(first["x-connection"] == second["x-connection"], is_kept);
    }
}

/// nginx ends connections of HTTP/2 with GOAWAY.
pub(crate) async fn a_goaway_every_fifty_requests_fails_and_doubles_no_create() {
    let upstream = Upstream::start().await;
    let nginx = Nginx::start(
        &Site::of(upstream.port())
            .http2()
            .with("keepalive_requests 50; http2_max_concurrent_streams 32;"),
    );
    let client = nginx.client(upstream.key(), |builder| builder);
    for at_once in [1, 32] {
        create_keys(&client, 300, at_once).await;
        is_each_created_once(&upstream, 300);
    }
}

/// Each GOAWAY leaves requests above its last stream, which nginx has not looked at.
pub(crate) async fn bursts_beyond_the_requests_of_a_connection_succeed() {
    for (requests, streams, rounds) in [(1000, 128, 8), (50, 32, 1)] {
        let upstream = Upstream::start().await;
        let nginx = Nginx::start(&Site::of(upstream.port()).http2().with(&format!(
            "keepalive_requests {requests}; http2_max_concurrent_streams {streams};"
        )));
        let client = nginx.client(upstream.key(), |builder| builder);
        let mut succeeded = 0;
        for _ in 0..rounds {
            let calls = (0..490).map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.send(GetUserStats::new()).await })
            });
            let calls: Vec<_> = calls.collect();
            for call in calls {
                succeeded += usize::from(call.await.expect("no panic").is_ok());
            }
        }
        assert_eq!(succeeded, 490 * rounds, "{requests} a connection");
        // Repeated requests are those that nginx has not forwarded.
        assert_eq!(upstream.requests().len(), 490 * rounds);
    }
}

pub(crate) async fn a_reload_under_load_fails_no_read() {
    let upstream = Upstream::start().await;
    for listen in ["", "ssl http2"] {
        let nginx = Nginx::start(&Site {
            listen,
            ..Site::of(upstream.port())
        });
        let client = nginx.client(upstream.key(), |builder| builder);
        let mut reads = stream::iter(0..100_000)
            .map(|_| client.send(GetUserStats::new()))
            .buffer_unordered(16)
            .enumerate();
        let mut reloads = 0;
        while let Some((done, outcome)) = reads.next().await {
            outcome.expect("stats");
            let ended = nginx.log().matches("gracefully shutting down").count();
            if done % 20 == 0 && ended == reloads {
                if reloads == 5 {
                    break;
                }
                nginx.reload();
                reloads += 1;
            }
        }
        assert_eq!(reloads, 5, "{listen}");
    }
}

/// Creates API keys with names of their own, all of which succeed.
async fn create_keys(client: &Client, count: usize, at_once: usize) {
    let mut creates = stream::iter(0..count)
        .map(|number| {
            client.send(CreateApiKey::new(format!("key {number}")).scopes([Scope::UsersRead]))
        })
        .buffer_unordered(at_once);
    while let Some(outcome) = creates.next().await {
        outcome.expect("a key");
    }
}

fn is_each_created_once(upstream: &Upstream, count: usize) {
    let performed = upstream
        .requests()
        .iter()
        .filter(|entry| entry.performed)
        .count();
    assert_eq!(performed, count);
}
