//! What Tower expects of every service, and what each layer keeps.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use idpflare_layers::{
    ApiKey, ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, BoxError, CallSpanLayer,
    CollectLayer, Credential, DeadlineLayer, DeliveryLayer, KeyHandle, MetricsLayer, Origin, Rate,
    RateLimitLayer, RateLimiter, Recorder, RetryLayer, RetryPolicy,
};
use tower::{Layer, Service, ServiceExt};

use crate::support::{Held, Stage, Strict, StrictError, poll, secs, typed};

const HERE: &str = "https://api.example.com/";

type Request = http::Request<Held<()>>;

fn request(token: &Arc<()>) -> Request {
    let body = Held::new((), Arc::clone(token));
    http::Request::get(HERE).body(body).expect("a request")
}

fn is_send_sync_clone<L>(layer: &L)
where
    L: Layer<Strict> + Send + Sync + Clone + 'static,
    L::Service: Service<Request, Future: Send + 'static> + Send + Sync + Clone + 'static,
{
    fn assert<T: Send + Sync + Clone + 'static>(_: &T) {}
    assert(layer);
    assert(&layer.layer(Strict::new(Stage::Replies, &Arc::new(()))));
}

async fn passes_on_that_it_is_not_ready<L>(layer: &L)
where
    L: Layer<Strict, Service: Service<Request>>,
{
    let mut service = layer.layer(Strict::new(Stage::NeverReady, &Arc::new(())));
    assert!(poll(pin!(service.ready())).is_pending());
    assert!(poll(pin!(service.ready())).is_pending());
}

async fn a_clone_must_be_ready_itself<L>(layer: &L)
where
    L: Layer<Strict, Service: Service<Request, Error = BoxError> + Clone>,
{
    let token = Arc::new(());
    let mut service = layer.layer(Strict::new(Stage::Replies, &token));
    service.ready().await.expect("ready");
    let mut clone = service.clone();
    let called = catch_unwind(AssertUnwindSafe(|| drop(clone.call(request(&token)))));
    assert!(called.is_err(), "the clone has taken over readiness");
}

async fn readiness_is_that_of_the_service_that_is_called<L>(layer: &L)
where
    L: Layer<Strict, Service: Service<Request, Error = BoxError> + Clone>,
{
    let token = Arc::new(());
    let mut service = layer.layer(Strict::new(Stage::Replies, &token));
    for _ in 0..3 {
        service.ready().await.expect("ready");
        let mut clone = service.clone();
        assert!(service.call(request(&token)).await.is_ok());
        clone.ready().await.expect("ready");
        assert!(clone.call(request(&token)).await.is_ok());
        // Asking twice is allowed.
        service.ready().await.expect("ready");
    }
}

async fn a_ready_service_can_be_dropped_unused<L>(layer: &L)
where
    L: Layer<Strict, Service: Service<Request, Error = BoxError>>,
{
    let token = Arc::new(());
    let mut service = layer.layer(Strict::new(Stage::Replies, &token));
    service.ready().await.expect("ready");
    drop(service);
    assert_eq!(Arc::strong_count(&token), 1);
}

async fn cancellation_leaves_nothing_behind<L>(layer: &L)
where
    L: Layer<Strict, Service: Service<Request, Error = BoxError> + Clone>,
{
    for stage in [
        Stage::NeverReady,
        Stage::HangsInCall,
        Stage::HangsInBody,
        Stage::FailsReadiness,
        Stage::FailsInCall,
        Stage::Replies,
    ] {
        for polls in 0..4 {
            let token = Arc::new(());
            let service = layer.layer(Strict::new(stage, &token));
            let idle = Arc::strong_count(&token);
            {
                let mut reply = pin!(service.clone().oneshot(request(&token)));
                let mut done = false;
                for _ in 0..polls {
                    done = done || poll(reply.as_mut()).is_ready();
                }
                if !done {
                    assert!(Arc::strong_count(&token) > idle, "{stage:?}");
                }
            }
            let left = Arc::strong_count(&token);
            assert_eq!(left, idle, "{stage:?} after {polls} polls");
            drop(service);
            let left = Arc::strong_count(&token);
            assert_eq!(left, 1, "{stage:?} after {polls} polls");
        }
    }
}

async fn errors_of_the_service_below_keep_their_type<L>(layer: &L)
where
    L: Layer<Strict, Service: Service<Request, Response: Sized, Error = BoxError>>,
{
    for stage in [Stage::FailsReadiness, Stage::FailsInCall] {
        let token = Arc::new(());
        let service = layer.layer(Strict::new(stage, &token));
        let outcome = service.oneshot(request(&token)).await;
        let error = outcome.err().expect("an error");
        assert_eq!(typed::<StrictError>(&error), &StrictError(stage));
        let own = error.downcast::<StrictError>().expect("not wrapped");
        assert_eq!(*own, StrictError(stage));
    }
}

fn api_key() -> ApiKeyLayer {
    let origin = Origin::of(&Uri::from_static(HERE)).expect("an origin");
    ApiKeyLayer::new(ApiKey::new("idk_example").expect("a key"), origin)
}

/// With a key that is there after so long, and is used once.
fn provided(delay: Duration) -> ApiKeyLayer {
    let origin = Origin::of(&Uri::from_static(HERE)).expect("an origin");
    let provider = move || async move {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let key = ApiKey::new("idk_example")?;
        Ok::<_, BoxError>(Credential::new(key).expires_in(Duration::ZERO))
    };
    ApiKeyLayer::new(KeyHandle::from_provider(provider), origin)
}

fn rate_limiter() -> RateLimiter {
    let rate = Rate::per_second(100).and_then(|rate| rate.with_burst(100));
    RateLimiter::new(rate.expect("a rate"))
}

/// With this one, the first call waits, and goes first.
fn paused() -> RateLimiter {
    let limiter = rate_limiter();
    limiter.pause(secs(5));
    limiter
}

/// It records nothing.
#[derive(Clone, Copy)]
struct Nothing;

impl Recorder for Nothing {}

/// A layer that makes spans, with somebody who listens to them.
#[derive(Clone)]
struct Heard<L>(L);

impl<S, L: Layer<S>> Layer<S> for Heard<L> {
    type Service = HeardService<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        HeardService(self.0.layer(inner))
    }
}

#[derive(Clone)]
struct HeardService<S>(S);

impl<R, S: Service<R>> Service<R> for HeardService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        let _listening = tracing::subscriber::set_default(tracing_subscriber::registry());
        self.0.call(request)
    }
}

macro_rules! each_layer {
    ($($name:ident: $layer:expr, [$($promise:ident),+ $(,)?];)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn is_send_sync_clone() {
                super::is_send_sync_clone(&$layer);
            }

            $(
                #[tokio::test(start_paused = true)]
                async fn $promise() {
                    super::$promise(&$layer).await;
                }
            )+
        }
    )+};
}

each_layer! {
    // It is always ready itself, and waits in its future: `deadline.rs` tells the rest.
    deadline: DeadlineLayer::new(secs(30)), [
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    deadline_without_limit: DeadlineLayer::new(Duration::MAX), [
        readiness_is_that_of_the_service_that_is_called,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    // What fails is tried again, so it is not at once that the error is there.
    retry: RetryLayer::default(), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
    ];
    retry_never: RetryLayer::new(RetryPolicy::new().attempts(0)), [
        readiness_is_that_of_the_service_that_is_called,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    rate_limit: RateLimitLayer::new(rate_limiter()), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    rate_limit_paused: RateLimitLayer::new(paused()), [
        passes_on_that_it_is_not_ready,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
    ];
    attempt_timeout: AttemptTimeoutLayer::new(secs(10)), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    auth: api_key(), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    // The service below is called once there is an answer, so not before the first poll.
    auth_provided: provided(Duration::ZERO), [
        passes_on_that_it_is_not_ready,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    auth_waits: provided(secs(3)), [
        passes_on_that_it_is_not_ready,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
    ];
    collect: CollectLayer::new(1024), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    delivery: DeliveryLayer::new(), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    call_span: CallSpanLayer::new(), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    call_span_heard: Heard(CallSpanLayer::new()), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    attempt_span: AttemptSpanLayer::new(), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    attempt_span_heard: Heard(AttemptSpanLayer::new()), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    metrics_per_call: MetricsLayer::per_call(Nothing), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    metrics_per_attempt: MetricsLayer::per_attempt(Nothing), [
        passes_on_that_it_is_not_ready,
        a_clone_must_be_ready_itself,
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
    all: (
        CallSpanLayer::new(),
        MetricsLayer::per_call(Nothing),
        DeadlineLayer::new(secs(30)),
        RetryLayer::new(RetryPolicy::new().attempts(1)),
        RateLimitLayer::new(rate_limiter()),
        MetricsLayer::per_attempt(Nothing),
        AttemptTimeoutLayer::new(secs(10)),
        AttemptSpanLayer::new(),
        api_key(),
        CollectLayer::new(1024),
        DeliveryLayer::new(),
    ), [
        readiness_is_that_of_the_service_that_is_called,
        a_ready_service_can_be_dropped_unused,
        cancellation_leaves_nothing_behind,
        errors_of_the_service_below_keep_their_type,
    ];
}
