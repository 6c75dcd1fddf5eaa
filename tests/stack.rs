//! The stack as data: what can be done to it, what goes into it, and that it is what it replaces.

mod support;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use idpflare_management::layers::{
    ApiKey, AttemptFinished, Backoff, BoxError, MetricsLayer, Rate, RateLimiter, Recorder,
    RetryPolicy,
};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use support::capture::Capture;
use support::strict::{Act, OLD_KEY, Strict};
use tokio::time::Instant;
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::retry::{Policy, RetryLayer};
use tower::{Layer, Service, service_fn};
use tower_http::decompression::DecompressionLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::request_id::{MakeRequestUuid, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use tower_http::trace::TraceLayer;

fn builder(fake: &FakeIdpflare) -> ClientBuilder {
    Client::builder("https://idp.example.com").api_key(fake.api_key())
}

/// Notes when a request passes.
#[derive(Clone)]
struct Note {
    name: &'static str,
    passed: Arc<Mutex<Vec<&'static str>>>,
}

impl<S> Layer<S> for Note {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting {
            inner,
            note: self.clone(),
        }
    }
}

#[derive(Clone)]
struct Noting<S> {
    inner: S,
    note: Note,
}

impl<S: Service<R>, R> Service<R> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        let Note { name, passed } = &self.note;
        passed.lock().expect("not poisoned").push(name);
        self.inner.call(request)
    }
}

#[tokio::test]
async fn slots_are_inserted_moved_replaced_and_removed() {
    let fake = FakeIdpflare::new();
    let passed = Arc::default();
    let note = |name| Note {
        name,
        passed: Arc::clone(&passed),
    };
    let printed = Arc::new(Mutex::new(String::new()));
    let print = Arc::clone(&printed);
    let [outer, first, second, before, after, other] =
        ["outer", "first", "second", "before", "after", "other"].map(note);
    let client = builder(&fake)
        .layer(outer)
        .attempt_layer(first)
        .attempt_layer(second)
        .stack(|stack| {
            stack
                .insert_before(Stack::AUTH, "before auth", before)?
                .insert_after(Stack::AUTH, "after auth", after)?
                .move_before(Stack::COLLECT, Stack::ATTEMPT_TIMEOUT)?
                .remove("Note 3")
        })
        .stack(move |stack| {
            let stack = stack.replace("before auth", other)?;
            *print.lock().expect("not poisoned") = stack.to_string();
            Ok(stack)
        })
        .build_with(fake.service())
        .expect("a client");
    assert_eq!(
        *printed.lock().expect("not poisoned"),
        "Note > call span > deadline > retry > Note 2 > rate limit > collect > attempt timeout > attempt span > before auth > auth > after auth"
    );
    client.send(GetUserStats::new()).await.expect("stats");
    let passed = passed.lock().expect("not poisoned").clone();
    assert_eq!(passed, ["outer", "first", "other", "after"]);
}

#[test]
fn a_slot_that_is_not_there_is_told_with_those_that_are() {
    type Change = fn(Stack) -> Result<Stack, Error>;
    let same: Change = |stack| {
        let layer = ConcurrencyLimitLayer::new(1);
        stack.insert_before(Stack::AUTH, Stack::COLLECT, layer)
    };
    let changes: [(Change, &str); 3] = [
        (
            |stack| stack.remove("redirects"),
            "the stack has no slot \"redirects\": call span > ",
        ),
        (
            |stack| stack.move_before(Stack::AUTH, ""),
            "the stack has no slot \"\": call span > ",
        ),
        (
            same,
            "the stack already has a slot called \"collect\": call span > ",
        ),
    ];
    for (change, text) in changes {
        let fake = FakeIdpflare::new();
        let error = builder(&fake).stack(change).build_with(fake.service());
        let error = error.expect_err("no such slot");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with(text), "{error}");
    }
}

/// All that can be seen of one call to a server that does `acts`.
#[derive(Debug, PartialEq)]
struct Observed {
    outcome: String,
    sends: u32,
    elapsed: Duration,
    spans: String,
}

async fn observe(
    acts: &[Act],
    paused: Duration,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Observed {
    let (capture, _listening) = Capture::start();
    let key = KeyHandle::new(ApiKey::new(OLD_KEY).expect("a key"));
    let transport = Strict::new(acts, &key);
    let limiter = RateLimiter::new(Rate::MAX);
    limiter.pause(paused);
    let policy = RetryPolicy::new().backoff(Backoff::default().seeded(7));
    let builder = Client::builder("https://idp.example.com")
        .key_handle(key)
        .rate_limit(limiter)
        .retry(policy);
    let client = change(builder).build_with(transport.clone());
    let started = Instant::now();
    let outcome = client.expect("a client").send(DeleteUser::new("u")).await;
    Observed {
        outcome: format!("{outcome:?}"),
        sends: transport.sends(),
        elapsed: started.elapsed(),
        spans: capture.take(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_static_stack_and_the_one_of_data_do_the_same() {
    let printed = Arc::new(Mutex::new(String::new()));
    let none = Duration::ZERO;
    for (acts, paused) in [
        (vec![], none),
        (vec![Act::Answer(404)], none),
        (vec![Act::Answer(503), Act::Answer(502)], none),
        (vec![Act::TooMany(7)], none),
        (vec![Act::TooMany(70)], none),
        // The limit of an attempt, and that of the call.
        (vec![Act::Hang], none),
        (vec![Act::Hang; 3], none),
        (
            vec![Act::Answer(503), Act::HangInBody, Act::HangInBody],
            none,
        ),
        // Longer than an attempt may take: waiting does not count.
        (vec![], Duration::from_secs(15)),
        (vec![], Duration::from_secs(45)),
        (vec![Act::RotateAndRefuse], none),
    ] {
        let of_one_type = observe(&acts, paused, |builder| builder).await;
        let print = Arc::clone(&printed);
        let of_data = observe(&acts, paused, |builder| {
            builder.stack(move |stack| {
                *print.lock().expect("not poisoned") = stack.to_string();
                Ok(stack)
            })
        });
        assert_eq!(of_one_type, of_data.await, "{acts:?}");
        assert_eq!(
            *printed.lock().expect("not poisoned"),
            "call span > deadline > retry > rate limit > attempt timeout > attempt span > auth > collect"
        );
    }
}

/// Keeps the durations of attempts.
#[derive(Clone, Default)]
struct Durations(Arc<Mutex<Vec<Duration>>>);

impl Recorder for Durations {
    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        self.0.lock().expect("not poisoned").push(attempt.duration);
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_of_attempts_leave_out_the_wait_for_a_permit() {
    let durations = Durations::default();
    let recorder = durations.clone();
    let observed = observe(&[], Duration::from_secs(15), |builder| {
        builder.stack(|stack| {
            let layer = MetricsLayer::per_attempt(recorder);
            stack.insert_after(Stack::AUTH, "attempt metrics", layer)
        })
    });
    assert_eq!(observed.await.elapsed, Duration::from_secs(15));
    assert_eq!(*durations.0.lock().expect("not poisoned"), [Duration::ZERO]);
}

/// A retry of tower's own.
#[derive(Clone)]
struct Twice;

impl<B: Clone, Res, E> Policy<Request<B>, Response<Res>, E> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        request: &mut Request<B>,
        result: &mut Result<Response<Res>, E>,
    ) -> Option<Self::Future> {
        let failed = result.as_ref().is_ok_and(|reply| reply.status() == 503);
        let first = request.extensions_mut().insert(Twice).is_none();
        (failed && first).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn layers_of_tower_and_tower_http_go_in_as_they_are() {
    let fake = FakeIdpflare::new();
    let client = builder(&fake)
        .layer(TraceLayer::new_for_http())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(4))
        .layer(BufferLayer::new(4))
        .attempt_layer(RetryLayer::new(Twice))
        .attempt_layer(tower_http::timeout::TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(5),
        ))
        .attempt_layer(SetRequestIdLayer::new(
            HeaderName::from_static("x-request-id"),
            MakeRequestUuid,
        ))
        .attempt_layer(SetSensitiveHeadersLayer::new([http::header::AUTHORIZATION]))
        .stack(|stack| {
            stack
                .insert_after(Stack::COLLECT, "decompression", DecompressionLayer::new())?
                .insert_after(
                    Stack::COLLECT,
                    "map body",
                    MapResponseBodyLayer::new(|body: ReplyBody| body.map_err(BoxError::from)),
                )
        })
        .build_with(fake.service())
        .expect("a client");
    for _ in 0..3 {
        client.send(GetUserStats::new()).await.expect("stats");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_drops_extensions_sends_nothing() {
    let forget = tower::util::MapRequestLayer::new(|request: Request<Full<Bytes>>| {
        let (head, body) = request.into_parts();
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        request
    });
    for act in [Act::Answer(500), Act::Hang, Act::Answer(200)] {
        let forget = forget.clone();
        let acts = [act; 3];
        let change = |builder: ClientBuilder| builder.attempt_layer(forget);
        let observed = observe(&acts, Duration::ZERO, change).await;
        assert_eq!(observed.sends, 0, "{observed:?}");
        assert!(
            observed.outcome.contains("has dropped the extensions"),
            "{observed:?}"
        );
    }
}

#[tokio::test]
async fn what_a_layer_repeats_is_counted() {
    let sends = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&sends);
    let transport = service_fn(move |_: Request<Full<Bytes>>| {
        count.fetch_add(1, Ordering::Relaxed);
        let reply = Response::builder()
            .status(503)
            .body(Full::<Bytes>::default());
        std::future::ready(Ok::<_, Infallible>(reply.expect("a reply")))
    });
    let client = Client::builder("https://idp.example.com")
        .api_key("idk_test")
        .attempt_layer(RetryLayer::new(Twice))
        .stack(|stack| stack.remove(Stack::RETRY))
        .build_with(transport)
        .expect("a client");
    let error = client.send(GetUserStats::new()).await.expect_err("503");
    assert_eq!(sends.load(Ordering::Relaxed), 2);
    assert_eq!((error.attempts(), error.delivery()), (2, Delivery::Unknown));
}
