//! The check of layers: who passes.
//!
//! Who does not is in `wrong_layers.rs`.

use std::future::{Ready, ready};
use std::time::Duration;

use http::{HeaderName, Request, Response, Uri, header};
use http_body_util::BodyExt;
use idpflare_management::ReplyBody;
use idpflare_management::layers::{
    ApiKey, ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, BoxError, CallSpanLayer,
    CollectLayer, DeadlineLayer, DeliveryLayer, MetricsLayer, Origin, Rate, RateLimitLayer,
    RateLimiter, Recorder, RetryLayer, RetryPolicy,
};
use idpflare_management::testing::assert_layer_contract;
use tower::ServiceBuilder;
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::retry::Policy;
use tower_http::decompression::DecompressionLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::request_id::{MakeRequestUuid, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use tower_http::trace::TraceLayer;

const LIMIT: Duration = Duration::from_secs(30);

/// It records nothing.
#[derive(Clone, Copy)]
struct Nothing;

impl Recorder for Nothing {}

/// Lets tower's retry make a second attempt.
#[derive(Clone)]
struct Twice(bool);

impl<B: Clone, Res, E> Policy<Request<B>, Response<Res>, E> for Twice {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<B>,
        result: &mut Result<Response<Res>, E>,
    ) -> Option<Self::Future> {
        let is_first = std::mem::take(&mut self.0);
        (is_first && result.is_err()).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn api_key() -> ApiKeyLayer {
    let origin = Origin::of(&Uri::from_static("https://idp.example.com")).expect("an origin");
    ApiKeyLayer::new(ApiKey::new("idk_example").expect("a key"), origin)
}

fn rate_limit(rate: Rate) -> RateLimitLayer {
    RateLimitLayer::new(RateLimiter::new(rate))
}

macro_rules! keep_the_contract {
    ($($name:ident: $layer:expr;)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            assert_layer_contract($layer).await;
        }
    )+};
}

keep_the_contract! {
    deadline: DeadlineLayer::new(LIMIT);
    deadline_without_limit: DeadlineLayer::new(Duration::MAX);
    retry: RetryLayer::default();
    retry_never: RetryLayer::new(RetryPolicy::new().attempts(0));
    rate_limit_without_rate: rate_limit(Rate::MAX);
    rate_limit_of_a_rate: rate_limit(Rate::per_second(5).expect("a rate"));
    attempt_timeout: AttemptTimeoutLayer::new(LIMIT);
    auth: api_key();
    collect: CollectLayer::new(64 * 1024);
    delivery: DeliveryLayer::new();
    call_span: CallSpanLayer::new();
    attempt_span: AttemptSpanLayer::new();
    metrics_per_call: MetricsLayer::per_call(Nothing);
    metrics_per_attempt: MetricsLayer::per_attempt(Nothing);
    all_of_ours: ServiceBuilder::new()
        .layer(CallSpanLayer::new())
        .layer(DeadlineLayer::new(LIMIT))
        .layer(RetryLayer::default())
        .layer(rate_limit(Rate::MAX))
        .layer(AttemptTimeoutLayer::new(LIMIT))
        .layer(AttemptSpanLayer::new())
        .layer(api_key())
        .layer(CollectLayer::new(64 * 1024))
        .layer(DeliveryLayer::new())
        .into_inner();

    towers_identity: tower::layer::util::Identity::new();
    towers_concurrency_limit: ConcurrencyLimitLayer::new(4);
    towers_concurrency_limit_of_one: ConcurrencyLimitLayer::new(1);
    towers_load_shed: LoadShedLayer::new();
    towers_retry: tower::retry::RetryLayer::new(Twice(true));
    towers_buffer: BufferLayer::new(4);
    tower_https_trace: TraceLayer::new_for_http();
    tower_https_timeout: tower_http::timeout::TimeoutLayer::with_status_code(
        http::StatusCode::GATEWAY_TIMEOUT,
        LIMIT,
    );
    tower_https_request_id: SetRequestIdLayer::new(
        HeaderName::from_static("x-request-id"),
        MakeRequestUuid,
    );
    tower_https_sensitive_headers: SetSensitiveHeadersLayer::new([header::AUTHORIZATION]);
    tower_https_decompression: DecompressionLayer::new();
    tower_https_map_response_body: MapResponseBodyLayer::new(
        |body: ReplyBody| body.map_err(BoxError::from),
    );
}

#[tokio::test]
async fn the_clock_need_not_be_paused() {
    assert_layer_contract(ConcurrencyLimitLayer::new(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_may_be_several_threads() {
    assert_layer_contract(BufferLayer::new(4)).await;
}
