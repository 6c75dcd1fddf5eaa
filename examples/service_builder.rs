//! The standard stack without a builder of ours: composed with `tower::ServiceBuilder` alone, from
//! the same layers.
//!
//! `cargo run --example service_builder`

use std::error::Error;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use idpflare_management::layers::{
    ApiKey, ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, CallSpanLayer, CollectLayer,
    DeadlineLayer, DeliveryLayer, Rate, RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Authority, Client, ListUsers, Transport};
use tower::ServiceBuilder;
use tower_http::set_header::SetRequestHeaderLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let fake = FakeIdpflare::new();
    fake.seed(5);
    let server = fake.serve().await?;

    let authority: Authority = server.authority().parse()?;
    let key = ApiKey::new(fake.api_key())?;
    let agent = HeaderValue::from_static("service-builder-example/1");

    // Outermost first.
    let stack = ServiceBuilder::new()
        .layer(CallSpanLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(30)))
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(RateLimitLayer::new(RateLimiter::new(Rate::MAX)))
        .layer(AttemptTimeoutLayer::new(Duration::from_secs(10)))
        .layer(AttemptSpanLayer::new())
        .layer(ApiKeyLayer::new(key, authority.origin().clone()))
        .layer(CollectLayer::new(16 * 1024 * 1024))
        .layer(SetRequestHeaderLayer::overriding(USER_AGENT, agent))
        .layer(DeliveryLayer::new())
        .service(Transport::builder().without_tls().build()?);

    let client = Client::from_service(authority, stack)?.records_sends(true);
    let page = client.send(ListUsers::new()).await?;
    println!("{} users, through {}", page.total, client.authority());
    for user in page.users {
        println!("  {}  {}", user.id, user.email);
    }
    server.shutdown().await;
    Ok(())
}
