//! Each layer by itself, over the bare mock.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::{
    ApiKey, ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, BoxError, CallSpanLayer,
    CollectLayer, DeadlineLayer, DeliveryLayer, MetricsLayer, Rate, RateLimitLayer, RateLimiter,
    Recorder, RetryLayer,
};
use tower::{Layer, Service};

use crate::measure::Bench;
use crate::mock::{Mock, authority, request, send};

#[derive(Clone, Copy)]
struct Nothing;

impl Recorder for Nothing {}

pub(crate) fn run(bench: &mut Bench) {
    let key = ApiKey::new("idk_1f3870be274f6c49b3e31a0c6728957f").expect("a key");
    let limiter = RateLimiter::new(Rate::MAX);
    one(bench, "call_span", CallSpanLayer::new());
    one(
        bench,
        "deadline",
        DeadlineLayer::new(Duration::from_secs(30)),
    );
    one(bench, "retry", RetryLayer::default());
    one(bench, "rate_limit", RateLimitLayer::new(limiter));
    one(
        bench,
        "attempt_timeout",
        AttemptTimeoutLayer::new(Duration::from_secs(10)),
    );
    one(bench, "attempt_span", AttemptSpanLayer::new());
    one(
        bench,
        "auth",
        ApiKeyLayer::new(key, authority().origin().clone()),
    );
    one(bench, "collect", CollectLayer::new(16 * 1024 * 1024));
    one(bench, "delivery", DeliveryLayer::new());
    one(bench, "metrics_per_call", MetricsLayer::per_call(Nothing));
    one(
        bench,
        "metrics_per_attempt",
        MetricsLayer::per_attempt(Nothing),
    );
}

fn one<L>(bench: &mut Bench, name: &str, layer: L)
where
    L: Layer<Mock>,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = BoxError>,
{
    let request = request();
    let (mut bare, mut service) = (Mock, layer.layer(Mock));
    bench.excess(
        &format!("layer_{name}"),
        || send(&mut bare, &request),
        || send(&mut service, &request),
    );
}
