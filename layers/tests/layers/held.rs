//! Futures that are held without being polled, while other calls go on through clones of the same
//! service: these take as long as they need, and 100 ms at the most beyond that.
//!
//! `rate_limit` has the limiter's own test of this.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body, Frame};
use idpflare_layers::{
    ApiKey, ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, Backoff, BoxError, CallSpanLayer,
    CollectLayer, Credential, DeadlineLayer, DeliveryLayer, KeyHandle, MetricsLayer, Origin,
    Recorder, RetryLayer, RetryPolicy,
};
use proptest::prelude::*;
use tokio::time::{Sleep, sleep, timeout};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};

const HERE: &str = "https://api.example.com/";

/// How much longer a call may take because others are held.
const MORE: Duration = Duration::from_millis(100);

/// How long the provider of the API key takes.
const PROVIDER: Duration = Duration::from_millis(200);

/// The longest wait between attempts.
const BACKOFF: Duration = Duration::from_millis(10);

/// A call, and the service's answer to it.
#[derive(Clone, Debug)]
struct Plan {
    starts: Duration,
    /// After so many polls it is held.
    held_after: Option<u32>,
    /// The statuses of the attempts; the last one repeats.
    statuses: Vec<u16>,
    takes: Duration,
    /// Each comes after as long again.
    pieces: u32,
    attempts: Arc<AtomicU32>,
}

impl Plan {
    /// How long it takes at most, if nothing else is there.
    fn own(&self) -> Duration {
        let attempts = u32::try_from(self.statuses.len()).expect("few");
        attempts * (self.takes * (1 + self.pieces) + BACKOFF) + 2 * PROVIDER
    }
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (
        0..400_u64,
        prop::option::of(0..6_u32),
        prop::sample::select(vec![vec![200], vec![503, 200], vec![401, 200], vec![404]]),
        0..40_u64,
        0..4_u32,
    );
    let plan = plan.prop_map(|(starts, held_after, statuses, takes, pieces)| Plan {
        starts: Duration::from_millis(starts),
        held_after,
        statuses,
        takes: Duration::from_millis(takes),
        pieces,
        attempts: Arc::default(),
    });
    prop::collection::vec(plan, 2..24)
}

/// A body of some bytes, each after a while.
struct Paced {
    pieces: u32,
    takes: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.pieces == 0 {
            return Poll::Ready(None);
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.pieces -= 1;
        let takes = self.takes;
        self.sleep.set(sleep(takes));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

type Inner = BoxCloneSyncService<Request<()>, Response<Paced>, BoxError>;

/// Takes any number of calls, each as it was planned.
fn inner() -> Inner {
    BoxCloneSyncService::new(service_fn(async |request: Request<()>| {
        let plan = request.extensions().get::<Plan>().expect("planned").clone();
        sleep(plan.takes).await;
        let attempt = plan.attempts.fetch_add(1, Ordering::SeqCst) as usize;
        let status = plan.statuses[attempt.min(plan.statuses.len() - 1)];
        let mut reply = Response::new(Paced {
            pieces: plan.pieces,
            takes: plan.takes,
            sleep: Box::pin(sleep(plan.takes)),
        });
        *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
        Ok::<_, BoxError>(reply)
    }))
}

/// Polls the future so many times and then never again, though it is kept.
struct HeldAfter<F> {
    polls: u32,
    call: F,
}

impl<F: Future + Unpin> Future for HeldAfter<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(polls) = self.polls.checked_sub(1) else {
            return Poll::Pending;
        };
        self.polls = polls;
        Pin::new(&mut self.call).poll(cx)
    }
}

fn others_go_on<L, R>(layer: &L, plans: &[Plan]) -> Result<(), TestCaseError>
where
    L: Layer<Inner>,
    L::Service: Service<Request<()>, Response = R, Error = BoxError>,
    L::Service: Service<Request<()>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(async {
        let service = layer.layer(inner());
        let mut others = tokio::task::JoinSet::new();
        let mut held = tokio::task::JoinSet::new();
        for plan in plans {
            let mut request = Request::get(HERE).body(()).expect("a request");
            request.extensions_mut().insert(plan.clone());
            let plan = plan.clone();
            let call: BoxFuture<'static, Result<R, BoxError>> =
                Box::pin(service.clone().oneshot(request));
            match plan.held_after {
                Some(polls) => held.spawn(async move {
                    sleep(plan.starts).await;
                    let _ = HeldAfter { polls, call }.await;
                }),
                None => others.spawn(async move {
                    sleep(plan.starts).await;
                    match timeout(plan.own() + MORE, call).await {
                        Ok(Ok(_)) => Ok(()),
                        Ok(Err(error)) => Err(format!("{error}: {plan:?}")),
                        Err(late) => Err(format!("{late}: {plan:?}")),
                    }
                }),
            };
        }
        let outcomes: Result<Vec<()>, String> = others.join_all().await.into_iter().collect();
        drop(held);
        outcomes.map(drop).map_err(TestCaseError::fail)
    })
}

fn origin() -> Origin {
    Origin::of(&Uri::from_static(HERE)).expect("an origin")
}

/// With keys that are good for so long.
fn provided(lifetime: Duration) -> ApiKeyLayer {
    let handle = KeyHandle::from_provider(move || async move {
        sleep(PROVIDER).await;
        let key = ApiKey::new("idk_example")?;
        Ok::<_, BoxError>(Credential::new(key).expires_in(lifetime))
    });
    ApiKeyLayer::new(handle, origin())
}

fn retry() -> RetryLayer {
    let backoff = Backoff::new(BACKOFF, BACKOFF).expect("a backoff");
    RetryLayer::new(RetryPolicy::new().backoff(backoff))
}

/// It records nothing.
#[derive(Clone, Copy)]
struct Nothing;

impl Recorder for Nothing {}

const LONG: Duration = Duration::from_secs(30);

macro_rules! each_layer {
    ($($name:ident: $layer:expr;)+) => {$(
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]
            #[test]
            fn $name(plans in plans()) {
                // The layers of spans do more if something listens.
                let heard = tracing::subscriber::set_default(tracing_subscriber::registry());
                others_go_on(&$layer, &plans)?;
                drop(heard);
            }
        }
    )+};
}

each_layer! {
    held_calls_stop_no_others_in_call_span: CallSpanLayer::new();
    held_calls_stop_no_others_in_deadline: DeadlineLayer::new(LONG);
    held_calls_stop_no_others_in_retry: retry();
    held_calls_stop_no_others_in_attempt_timeout: AttemptTimeoutLayer::new(LONG);
    held_calls_stop_no_others_in_attempt_span: AttemptSpanLayer::new();
    held_calls_stop_no_others_in_auth: provided(LONG);
    held_calls_stop_no_others_in_auth_with_short_lived_keys: provided(Duration::from_millis(150));
    held_calls_stop_no_others_in_collect: CollectLayer::new(1024);
    held_calls_stop_no_others_in_delivery: DeliveryLayer::new();
    held_calls_stop_no_others_in_metrics: (
        MetricsLayer::per_call(Nothing),
        MetricsLayer::per_attempt(Nothing),
    );
    held_calls_stop_no_others_in_all: (
        CallSpanLayer::new(),
        MetricsLayer::per_call(Nothing),
        DeadlineLayer::new(LONG),
        retry(),
        MetricsLayer::per_attempt(Nothing),
        AttemptTimeoutLayer::new(LONG),
        AttemptSpanLayer::new(),
        provided(Duration::from_millis(500)),
        CollectLayer::new(1024),
        DeliveryLayer::new(),
    );
}

#[test]
fn a_layer_in_which_a_held_call_stops_another_is_caught() {
    let plan = |starts, held_after| Plan {
        starts: Duration::from_millis(starts),
        held_after,
        statuses: vec![200],
        takes: Duration::from_millis(5),
        pieces: 0,
        attempts: Arc::default(),
    };
    let plans = [plan(0, Some(1)), plan(10, None)];
    assert!(others_go_on(&GlobalConcurrencyLimitLayer::new(1), &plans).is_err());
    assert!(others_go_on(&GlobalConcurrencyLimitLayer::new(2), &plans).is_ok());
}
