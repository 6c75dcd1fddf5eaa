//! The default transport against real sockets: servers that do what they should, and servers that
//! do not.

#[path = "../support/mod.rs"]
mod support;

mod compression;
mod connections;
#[cfg(unix)]
mod descriptors;
mod edge;
mod half_open;
mod held;
mod idle;
mod pool;
mod replies;
mod runtimes;
mod slow;
mod symptoms;

use std::time::Duration;

use idpflare_management::layers::{Backoff, RetryPolicy};
use idpflare_management::*;

/// How long an attempt may take where the test is about running out of time: as short as it can be
/// without a slow machine taking another way.
const SHORT: Duration = Duration::from_millis(1500);

const STATS: &str = r#"{"total":1,"active":1,"verified":0,"mfa_enabled":0}"#;

/// A reply with `body`.
fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Tries again as soon as may be, because time is real here.
fn quick(attempts: u32) -> RetryPolicy {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    RetryPolicy::new()
        .attempts(attempts)
        .backoff(backoff.expect("valid"))
}

async fn stats_error(client: ClientBuilder) -> Error {
    let client = client.build().expect("a client");
    let outcome = client.send(GetUserStats::new()).await;
    outcome.expect_err("no value can come of that")
}
