//! Connections that are not made, that are kept, and that end while nobody looks.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::server::{Nobody, Scripted, read_request};
use crate::{STATS, ok, quick, stats_error};

#[tokio::test]
async fn nobody_listens() {
    let nobody = Nobody::new();
    let client = Client::builder(format!("http://{}", nobody.address))
        .api_key("idk_test")
        .retry(quick(1));
    let error = stats_error(client).await;
    assert_eq!(error.to_string(), "getUserStats failed: could not connect");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_connection_serves_many_calls() {
    let server = Scripted::new(|mut stream| async move {
        while stream.write_all(ok(STATS).as_bytes()).await.is_ok()
            && read_request(&mut stream).await.is_some()
        {}
    })
    .await;
    let client = server.client().build().expect("a client");
    for _ in 0..5 {
        let stats = client.send(GetUserStats::new()).await.expect("stats");
        assert_eq!(stats.total, 1);
    }
    assert_eq!(server.connections(), 1);
}

/// How a server ends a connection once it has answered.
#[derive(Clone, Copy, Debug)]
enum End {
    Closes,
    /// It says so in its reply.
    Announces,
    Resets,
}

async fn answer_and_end(mut stream: TcpStream, end: End) {
    let reply = match end {
        End::Announces => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        End::Closes | End::Resets => "HTTP/1.1 204 No Content\r\n\r\n",
    };
    let _ = stream.write_all(reply.as_bytes()).await;
    if matches!(end, End::Resets) {
        // What is reset takes along what has not been read by then.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.set_zero_linger().expect("it can be reset");
    }
}

#[tokio::test]
async fn a_connection_that_ended_while_it_was_idle_costs_no_call() {
    for end in [End::Closes, End::Announces, End::Resets] {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ended);
        let server = Scripted::new(move |stream| {
            let count = Arc::clone(&count);
            async move {
                answer_and_end(stream, end).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await;
        let client = server.client().build().expect("a client");
        // The client makes one attempt only, so that none can make up for another.
        for call in 1..=3 {
            let outcome = client.send(DeleteUser::new("u")).await;
            assert!(outcome.is_ok(), "{end:?}: {outcome:?}");
            while ended.load(Ordering::SeqCst) < call {
                tokio::task::yield_now().await;
            }
            // Once this thread has been idle, the client has looked at its connections.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(server.connections(), 3, "{end:?}");
    }
}
