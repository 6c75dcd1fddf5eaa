//! The layers, their services and futures, and what they are configured with and fail with.

use std::fmt::Debug;
use std::future::{Ready, ready};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, Uri};
use http_body_util::Full;
use idpflare_management::layers::*;
use idpflare_management::{ApiRequest, Authority, CreateUser};
use tower::{Layer, Service};

use crate::secrets::{API_KEY, PASSWORD, RAW_KEY, ROTATED_KEY, UNSENDABLE_KEY};
use crate::witness::Notes;

type Reply = Result<Response<Full<Bytes>>, BoxError>;

/// Replies with a secret, or fails, in a future that shows with what.
#[derive(Clone, Debug)]
struct Transport {
    fails: bool,
}

impl Service<Request<Full<Bytes>>> for Transport {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Ready<Reply> {
        let body = Full::new(Bytes::from_static(RAW_KEY.as_bytes()));
        ready(if self.fails {
            Err(TransportError::lost("reset".into()).into())
        } else {
            Ok(Response::new(body))
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Deaf;

impl Recorder for Deaf {}

fn request(authority: &str) -> Request<Full<Bytes>> {
    let authority = Authority::try_from(authority).expect("an authority");
    let new = CreateUser::new("ada@example.com").password(PASSWORD);
    new.to_http(&authority).expect("a request")
}

/// Shows a layer, its service, and its future before and after it was polled.
async fn around<L>(notes: &Notes, layer: &L)
where
    L: Layer<Transport> + Debug,
    L::Service: Service<Request<Full<Bytes>>, Error: Into<BoxError>, Future: Debug> + Debug,
{
    notes.debug(layer);
    let mut cx = Context::from_waker(Waker::noop());
    for fails in [false, true] {
        for authority in ["https://idp.example.com", "https://other.example.com"] {
            let mut service = layer.layer(Transport { fails });
            notes.debug(&service);
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut future = pin!(service.call(request(authority)));
            notes.debug(&future);
            let mut outcome = future.as_mut().poll(&mut cx);
            if outcome.is_pending() {
                // A provider is asked in a task.
                tokio::task::yield_now().await;
                outcome = future.as_mut().poll(&mut cx);
            }
            if let Poll::Ready(Err(error)) = outcome {
                let error: BoxError = error.into();
                notes.debug(&error);
                notes.error(&io::Error::other(error));
            }
            notes.debug(&future);
        }
    }
}

pub(crate) async fn all_layers(notes: &Notes) {
    let minute = Duration::from_secs(60);
    let origin = Origin::of(&Uri::from_static("https://idp.example.com")).expect("an origin");
    let paused = RateLimiter::new(Rate::MAX);
    paused.pause(minute / 2);
    let hasty = RateLimiter::builder(Rate::MAX)
        .max_wait(Duration::ZERO)
        .build();
    hasty.pause(minute / 2);
    let silent = KeyHandle::from_provider(std::future::pending::<Result<ApiKey, BoxError>>);
    let failing = KeyHandle::from_provider(async || ApiKey::new(UNSENDABLE_KEY));
    around(notes, &CallSpanLayer::new()).await;
    around(notes, &DeadlineLayer::new(minute)).await;
    around(notes, &RetryLayer::new(RetryPolicy::new().attempts(2))).await;
    around(notes, &RateLimitLayer::new(RateLimiter::new(Rate::MAX))).await;
    around(notes, &RateLimitLayer::new(paused)).await;
    around(notes, &RateLimitLayer::new(hasty)).await;
    around(notes, &AttemptTimeoutLayer::new(minute)).await;
    around(notes, &AttemptSpanLayer::new()).await;
    around(notes, &ApiKeyLayer::new(key(API_KEY), origin.clone())).await;
    around(notes, &ApiKeyLayer::new(silent, origin.clone())).await;
    around(notes, &ApiKeyLayer::new(failing, origin)).await;
    around(notes, &CollectLayer::new(1024)).await;
    around(notes, &CollectLayer::new(4)).await;
    around(notes, &DeliveryLayer::new()).await;
    around(notes, &MetricsLayer::per_call(Deaf)).await;
    around(notes, &MetricsLayer::per_attempt(Deaf)).await;
}

fn key(key: &str) -> ApiKey {
    ApiKey::new(key).expect("a key")
}

/// What a call leaves behind whose reply had a key among its headers.
fn call_with_a_key(notes: &Notes) {
    let call = Call::new();
    notes.debug(&call.connecting());
    let reply = || {
        let mut reply = Response::new(Full::new(Bytes::from_static(RAW_KEY.as_bytes())));
        let value = format!("Bearer {API_KEY}").try_into().expect("a header");
        reply.headers_mut().insert(AUTHORIZATION, value);
        reply
    };
    let mut collecting = pin!(collect(reply(), 4, call.clone()));
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(Err(error)) = collecting.as_mut().poll(&mut cx) {
        notes.error(&error);
        call.record_failure(Failure::from(BoxError::from(error)));
    }
    notes.debug(&call);
    notes.debug(&call.last_failure());
    {
        let body = crate::support::Pending;
        let mut interrupted = pin!(collect(reply().map(|_| body), 4, call.clone()));
        assert!(interrupted.as_mut().poll(&mut cx).is_pending());
    }
    notes.debug(&call.interrupted_reply().expect("the head of one"));
    notes.debug(&call);
    let attempt: Reply = Ok(reply());
    notes.debug(&AttemptOutcome::of(&attempt));
}

pub(crate) fn parts_of_layers(notes: &Notes) {
    call_with_a_key(notes);
    let handle = KeyHandle::new(key(API_KEY));
    handle.rotate(key(ROTATED_KEY));
    notes.debug(&handle);
    notes.debug(&key(API_KEY));
    notes.debug(key(API_KEY).authorization());
    notes.debug(&Credential::new(key(API_KEY)));
    notes.debug(&NewerCredential::new());
    notes.error(&ApiKey::new(PASSWORD).expect_err("it has a space"));
    let second = Duration::from_secs(1);
    notes.error(&Timeout::new(TimeoutScope::Attempt, second, second));
    notes.debug(&TimeoutScope::Call);
    notes.error(&TransportError::connect("refused".into()));
    notes.debug(&TransportPhase::Connect);
    notes.debug(&Delivery::Unknown);
    notes.debug(&ErrorType::Other);
    notes.debug(&Outcome::Cancelled);
    notes.error(&Origin::of(&Uri::from_static("/")).expect_err("no origin"));
    let backoff = Backoff::new(second, Duration::ZERO);
    notes.error(&backoff.expect_err("a cap below the base"));
    notes.debug(&Backoff::default());
    notes.debug(&RetryBudget::default());
    notes.debug(&RetryPolicy::new().on_decision(|_| ()));
    notes.debug(&RetryOverride::never());
    notes.debug(&RetryClass::Final);
    notes.debug(&RetryStop::Final);
    notes.error(&Rate::per_second(0).expect_err("no rate"));
    notes.debug(&Rate::MAX);
    notes.debug(&RateLimiter::builder(Rate::MAX));
    notes.debug(&RateLimiter::new(Rate::MAX));
    #[cfg(feature = "metrics")]
    notes.debug(&FacadeRecorder::new());
    #[cfg(feature = "opentelemetry")]
    notes.debug(&OpenTelemetryRecorder::new());
}
