//! Replies that never come to an end: no piece of them takes long, so only a limit for the whole
//! helps.

use std::time::Duration;

use http::StatusCode;
use idpflare_management::layers::TimeoutScope;
use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::server::Scripted;
use crate::{SHORT, stats_error};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncf-ray: 8c1f-LHR\r\n";

/// A server that answers with `start`, and then with `drop` again and again, until nobody listens.
pub(crate) async fn dripping(start: impl Into<String>, drop: impl Into<String>) -> Scripted {
    let (start, drop) = (start.into(), drop.into());
    Scripted::new(move |mut stream| {
        let (start, drop) = (start.clone(), drop.clone());
        async move {
            let _ = stream.write_all(start.as_bytes()).await;
            while stream.write_all(drop.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    })
    .await
}

/// What a reply drips from, how, and the status that arrives before that.
type Row = (&'static str, &'static str, Option<StatusCode>);

#[tokio::test]
async fn whatever_drips_is_given_up_by_the_attempt_or_by_the_call() {
    let rows: [Row; 8] = [
        // Nothing, a name, a value, informational replies without end.
        ("", "", None),
        ("HTTP/1.1 200 OK\r\n", "x", None),
        ("HTTP/1.1 200 OK\r\nserver: ", "x", None),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", None),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n", None),
        // A body: of known length, in chunks, until the end of the connection.
        ("content-length: 1000000\r\n\r\n", " ", Some(StatusCode::OK)),
        (
            "transfer-encoding: chunked\r\n\r\n",
            "1\r\n \r\n",
            Some(StatusCode::OK),
        ),
        ("\r\n", " ", Some(StatusCode::OK)),
    ];
    // At the same time, because each takes as long as the limit.
    let mut checks = JoinSet::new();
    for row in rows {
        checks.spawn(check(row, TimeoutScope::Attempt));
        checks.spawn(check(row, TimeoutScope::Call));
    }
    checks.join_all().await;
}

async fn check((start, drop, status): Row, scope: TimeoutScope) {
    let server = match status {
        None => dripping(start, drop).await,
        Some(_) => dripping(format!("{HEAD}{start}"), drop).await,
    };
    let client = match scope {
        TimeoutScope::Attempt => server.client().attempt_timeout(SHORT),
        _ => server.client().deadline(SHORT),
    };
    let error = stats_error(client).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{start}{drop}: {error:?}");
    assert_eq!(error.timeout().map(layers::Timeout::scope), Some(scope));
    assert_eq!(error.status(), status, "{start}{drop}");
    assert_eq!(error.request_id(), status.map(|_| "8c1f-LHR"));
    let delivery = match status {
        None => Delivery::Unknown,
        Some(_) => Delivery::Answered,
    };
    assert_eq!(error.delivery(), delivery, "{start}{drop}");
}
