//! The quota of each API key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Client, GetUserStats, Scope, Stack};
use tokio::time::advance;

/// A client that does not heed what the server says of its quota, and gives up at once.
fn heedless(fake: &FakeIdpflare, key: String) -> Client {
    Client::builder("https://idp.example.com")
        .api_key(key)
        .stack(|stack| stack.remove(Stack::RATE_LIMIT)?.remove(Stack::RETRY))
        .build_with(fake.service())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_and_every_reply_tells_it() {
    let fake = FakeIdpflare::new();
    fake.set_quota(2, Duration::from_millis(1500));
    let client = heedless(&fake, fake.api_key());
    for remaining in [1, 0] {
        let reply = client.execute(GetUserStats::new()).await.unwrap();
        let headers = reply.headers();
        assert_eq!(
            headers["ratelimit"],
            format!("\"default\";r={remaining};t=2")
        );
        assert_eq!(headers["ratelimit-policy"], "\"default\";q=2;w=2");
        assert!(!headers.contains_key("retry-after"));
    }
    advance(Duration::from_millis(600)).await;
    let error = client.send(GetUserStats::new()).await.unwrap_err();
    assert_eq!(error.message(), "Too many requests");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(error.headers().unwrap()["ratelimit"], "\"default\";r=0;t=1");
    // What was refused is not counted, and another key is not held up.
    let other = heedless(&fake, fake.api_key_with_scopes([Scope::StatsRead]));
    other.send(GetUserStats::new()).await.unwrap();
    advance(Duration::from_millis(900)).await;
    client.send(GetUserStats::new()).await.unwrap();
}

#[tokio::test]
async fn none_is_the_default_and_zero_lets_nothing_through() {
    let fake = FakeIdpflare::new();
    let reply = fake.client().execute(GetUserStats::new()).await.unwrap();
    assert!(!reply.headers().contains_key("ratelimit"));
    fake.set_quota(0, Duration::ZERO);
    let client = heedless(&fake, fake.api_key());
    let error = client.send(GetUserStats::new()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_heeds_it_is_never_refused() {
    let fake = FakeIdpflare::new();
    fake.set_quota(5, Duration::from_secs(1));
    let refused = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&refused);
    fake.on_request(move |entry| {
        count.fetch_add(
            u32::from(entry.status.is_some_and(|status| status == 429)),
            Ordering::Relaxed,
        );
    });
    let client = fake.client();
    for _ in 0..50 {
        client.send(GetUserStats::new()).await.unwrap();
    }
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}
