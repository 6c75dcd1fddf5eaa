//! The stack is data: print it, move a slot, remove one, replace one, and see what that changes
//! when the server says 429.
//!
//! `cargo run --example reorder`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use idpflare_management::layers::{AttemptTimeoutLayer, CollectLayer};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Client, GetUserStats, Stack};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    try_out("As it comes", Ok).await?;
    // One permit for a whole call, and only its last reply is heard: that others were refused holds
    // nobody up, so each call runs into the 429 by itself.
    try_out("The rate limit outside of retry", |stack| {
        stack.move_before(Stack::RATE_LIMIT, Stack::RETRY)
    })
    .await?;
    // Nobody heeds the quota, and nobody tries again: the refusals reach the caller.
    try_out("Neither retry nor rate limit", |stack| {
        stack.remove(Stack::RETRY)?.remove(Stack::RATE_LIMIT)
    })
    .await?;
    try_out("Other limits", |stack| {
        stack
            .replace(
                Stack::ATTEMPT_TIMEOUT,
                AttemptTimeoutLayer::new(Duration::from_secs(2)),
            )?
            .replace(Stack::COLLECT, CollectLayer::new(64 * 1024))
    })
    .await
}

/// Makes six calls at once to a server that allows two a second, after another client of the same
/// key has used these up.
async fn try_out(
    title: &str,
    change: fn(Stack) -> Result<Stack, idpflare_management::Error>,
) -> Result<(), Box<dyn Error>> {
    let fake = FakeIdpflare::new();
    fake.set_quota(2, Duration::from_secs(1));
    let refused = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&refused);
    fake.on_request(move |entry| {
        count.fetch_add(
            u32::from(entry.status.is_some_and(|status| status == 429)),
            Ordering::Relaxed,
        );
    });

    let neighbour = fake.client();
    for _ in 0..2 {
        neighbour.send(GetUserStats::new()).await?;
    }

    println!("{title}");
    let client = Client::builder("https://idp.example.com")
        .api_key(fake.api_key())
        .stack(move |stack| {
            let stack = change(stack)?;
            println!("  {stack}");
            Ok(stack)
        })
        .build_with(fake.service())?;

    let started = Instant::now();
    let calls: Vec<_> = (0..6)
        .map(|_| tokio::spawn(client.send(GetUserStats::new())))
        .collect();
    let mut failed = 0;
    for call in calls {
        failed += u32::from(call.await?.is_err());
    }
    println!(
        "  6 calls in {:.1} s: {failed} failed, the server said 429 {} times\n",
        started.elapsed().as_secs_f64(),
        refused.load(Ordering::Relaxed),
    );
    Ok(())
}
