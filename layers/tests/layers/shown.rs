//! What the `Debug` of a future shows.

use std::future::ready;
use std::time::Duration;

use idpflare_layers::{
    AttemptSpanLayer, AttemptTimeoutLayer, BoxError, CallSpanLayer, DeliveryLayer, MetricsLayer,
    Recorder,
};
use tower::{Layer, Service, service_fn};

#[derive(Clone, Copy)]
struct Nothing;

impl Recorder for Nothing {}

#[tokio::test]
async fn no_future_shows_the_body_that_it_comes_to() {
    // A future that is ready has its reply in it, and shows that.
    let transport = service_fn(|_: http::Request<()>| {
        ready(Ok::<_, BoxError>(http::Response::new("a secret")))
    });
    macro_rules! shown {
        ($($layer:expr),* $(,)?) => {
            [$(format!("{:?}", $layer.layer(transport).call(http::Request::new(())))),*]
        };
    }
    for text in shown![
        AttemptSpanLayer::new(),
        AttemptTimeoutLayer::new(Duration::from_secs(1)),
        CallSpanLayer::new(),
        DeliveryLayer::new(),
        MetricsLayer::per_call(Nothing),
    ] {
        assert!(text.contains("Future {"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
