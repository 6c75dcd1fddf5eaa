//! What is sent again, over real sockets: one scripted server for each row of the table, and the
//! requests counted that arrive there.

#[path = "../support/mod.rs"]
mod support;

mod connecting;
mod detached;
mod exchanges;
mod goaway;
mod http2;
mod pool;
mod server;
mod statuses;
mod two_step_goaway;

use std::time::Duration;

use idpflare_management::layers::{Backoff, RetryPolicy};
use idpflare_management::*;

/// Short, because time is real here.
fn quick() -> RetryPolicy {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2))
        .and_then(|backoff| backoff.rate_limited_base(Duration::from_millis(1)));
    RetryPolicy::new().backoff(backoff.expect("valid"))
}

/// A client of the server at `authority`, with the standard stack.
fn client(authority: &str) -> ClientBuilder {
    Client::builder(authority)
        .api_key("idk_test")
        .retry(quick())
}

fn build(builder: ClientBuilder) -> Client {
    builder.build().expect("a client")
}

/// What comes of an operation of each kind: ReadOnly, Idempotent, Once.
async fn of_each_kind<T>(
    client: impl Fn() -> Client,
    mut tell: impl FnMut(Result<User, Error>) -> T,
) -> [T; 3] {
    [
        tell(client().send(GetUser::new("u")).await),
        tell(client().send(UpdateUser::new("u")).await),
        tell(client().send(CreateUser::new("a@b.c")).await),
    ]
}
