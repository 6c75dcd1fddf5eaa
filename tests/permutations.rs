//! Every order of the standard slots, over a service that insists on Tower's contract: what the
//! layers promise together holds in each of them.
//!
//! In process, and in paused time.

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use idpflare_management::layers::{
    ApiKey, AttemptFinished, CallFinished, MetricsLayer, Rate, RateLimiter, Recorder, Subject,
};
use idpflare_management::*;
use support::capture::Capture;
use support::strict::{Act, OLD_KEY, Strict};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(30);
const ATTEMPT_LIMIT: u32 = 3;

const SLOTS: [&str; 8] = [
    Stack::CALL_SPAN,
    Stack::DEADLINE,
    Stack::RETRY,
    Stack::RATE_LIMIT,
    Stack::ATTEMPT_TIMEOUT,
    Stack::ATTEMPT_SPAN,
    Stack::AUTH,
    Stack::COLLECT,
];

type Order = [&'static str; SLOTS.len()];

/// Keeps all that it is told as text.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    fn push(&self, what: impl std::fmt::Debug) {
        let mut text = self.0.lock().expect("not poisoned");
        text.push_str(&format!("{what:?}\n"));
    }
}

impl Recorder for Told {
    fn call_started(&self, subject: &Subject) {
        self.push(subject);
    }

    fn call_finished(&self, call: &CallFinished<'_>) {
        self.push(call);
    }

    fn attempt_started(&self, subject: &Subject) {
        self.push(subject);
    }

    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        self.push(attempt);
    }
}

/// What came of one call.
struct Outcome {
    place: String,
    result: Result<(), Error>,
    sends: u32,
    elapsed: Duration,
}

impl Outcome {
    fn assert_success(&self, sends: u32) {
        let Self { place, result, .. } = self;
        assert!(result.is_ok(), "{place}: {result:?}");
        assert_eq!(self.sends, sends, "{place}");
    }

    fn assert_error(&self, kind: ErrorKind, delivery: Delivery) -> &Error {
        let place = &self.place;
        let error = self.result.as_ref().expect_err(place);
        assert_eq!(error.kind(), kind, "{place}: {error:?}");
        assert_eq!(error.delivery(), delivery, "{place}: {error:?}");
        error
    }
}

/// What meets one call.
#[derive(Clone)]
struct Scene {
    acts: Vec<Act>,
    /// For how long another call has had the limiter pause.
    paused: Duration,
    deadline: Duration,
    /// How long a provider takes for the key; without, it is there.
    provider: Option<Duration>,
}

impl Scene {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            acts: acts.into_iter().collect(),
            paused: Duration::ZERO,
            deadline: DEADLINE,
            provider: None,
        }
    }

    fn key(&self) -> KeyHandle {
        let Some(delay) = self.provider else {
            return KeyHandle::new(ApiKey::new(OLD_KEY).expect("a key"));
        };
        KeyHandle::from_provider(move || async move {
            tokio::time::sleep(delay).await;
            ApiKey::new(OLD_KEY)
        })
    }
}

/// Sends one call through the layers in this order.
async fn play(capture: &Capture, order: &Order, scene: Scene) -> Outcome {
    let place = order.join(" > ");
    let key = scene.key();
    let transport = Strict::new(&scene.acts, &key);
    let limiter = RateLimiter::builder(Rate::MAX)
        .max_pause(Duration::from_secs(60))
        .build();
    limiter.pause(scene.paused);
    let told = Told::default();
    let (attempts, order) = (MetricsLayer::per_attempt(told.clone()), *order);
    let client = Client::builder("https://idp.example.com")
        .key_handle(key)
        .deadline(scene.deadline)
        .rate_limit(limiter)
        .stack(move |mut stack| {
            for pair in order.windows(2).rev() {
                stack = stack.move_before(pair[0], pair[1])?;
            }
            assert!(stack.names().eq(order.iter().copied()), "{stack}");
            stack.insert_after(order[order.len() - 1], "attempt metrics", attempts)
        })
        .build_with(transport.clone())
        .expect("a client")
        .map_service(|service| tower::Layer::layer(&MetricsLayer::per_call(told.clone()), service));
    let started = Instant::now();
    let result = client.send(DeleteUser::new("usr_1")).await;
    let outcome = Outcome {
        place,
        result,
        sends: transport.sends(),
        elapsed: started.elapsed(),
    };
    check(&outcome, scene.deadline);
    let told = told.0.lock().expect("not poisoned");
    assert!(told.contains("deleteUser"), "{}", outcome.place);
    let spans = capture.take();
    let has_spans = spans.contains("deleteUser");
    assert!(has_spans || outcome.sends == 0, "{}", outcome.place);
    for text in [&*told, &spans] {
        assert!(!text.contains("secret"), "{}: {text}", outcome.place);
    }
    outcome
}

/// What holds whatever happened.
fn check(outcome: &Outcome, deadline: Duration) {
    let place = &outcome.place;
    assert!(
        outcome.sends <= ATTEMPT_LIMIT,
        "{place}: {} sends",
        outcome.sends
    );
    // tokio's timers tick once a millisecond.
    assert!(
        outcome.elapsed <= deadline + Duration::from_millis(1),
        "{place}: {:?}",
        outcome.elapsed
    );
    if let Err(error) = &outcome.result {
        assert_eq!(error.attempts(), outcome.sends, "{place}: {error:?}");
        let mut text = format!("{error} {error:?}");
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push_str(&format!(" {error} {error:?}"));
            cause = error.source();
        }
        assert!(!text.contains("secret"), "{place}: {text}");
    }
}

/// Whether `outer` is outside of `inner` in this order.
fn is_outside(order: &Order, outer: &str, inner: &str) -> bool {
    let at = |name| order.iter().position(|slot| *slot == name);
    at(outer) < at(inner)
}

async fn check_order(capture: &Capture, order: &Order) {
    let play = async |scene| play(capture, order, scene).await;
    play(Scene::new([])).await.assert_success(1);

    play(Scene::new([Act::Answer(503)])).await.assert_success(2);

    let limited = play(Scene::new([Act::TooMany(2)])).await;
    limited.assert_success(2);
    assert!(
        limited.elapsed >= Duration::from_secs(2),
        "{}",
        limited.place
    );

    let hung = play(Scene::new([Act::Hang; 3])).await;
    hung.assert_error(ErrorKind::Timeout, Delivery::Unknown);

    // What the server said before is not lost to the timeout.
    let worse = play(Scene::new([Act::Answer(503), Act::Hang, Act::Hang])).await;
    let error = worse.assert_error(ErrorKind::Timeout, Delivery::Unknown);
    let earlier = Some(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error.status(), earlier, "{}: {error:?}", worse.place);

    let rotated = play(Scene::new([Act::RotateAndRefuse])).await;
    if is_outside(order, Stack::RETRY, Stack::AUTH) {
        rotated.assert_success(2);
    } else {
        // Each attempt of a call has the key of the first.
        let error = rotated.assert_error(ErrorKind::Api, Delivery::Answered);
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
        assert_eq!(rotated.sends, 1, "{}", rotated.place);
    }
}

/// What takes more time than there is to look at it in each order.
async fn check_more(capture: &Capture, order: &Order) {
    let play = async |scene| play(capture, order, scene).await;
    let success = Scene::new([]);

    // There is no time for the wait that the server asks for, which is told at once.
    let limited = play(Scene::new([Act::TooMany(60)])).await;
    let error = limited.assert_error(ErrorKind::Api, Delivery::Answered);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!((limited.sends, limited.elapsed), (1, Duration::ZERO));

    let halfway = [Act::Answer(503), Act::HangInBody, Act::HangInBody];
    let halfway = play(Scene::new(halfway)).await;
    let error = halfway.assert_error(ErrorKind::Timeout, Delivery::Unknown);
    assert_eq!(error.status(), Some(StatusCode::OK), "{}", halfway.place);
    let text = error.to_string();
    assert!(
        text.contains("an earlier attempt: 503 Service Unavailable"),
        "{}: {text}",
        halfway.place
    );

    // A pause that another call has caused.
    let paused = |seconds| Scene {
        paused: Duration::from_secs(seconds),
        ..success.clone()
    };
    let waited = play(paused(8)).await;
    waited.assert_success(1);
    assert!(waited.elapsed >= Duration::from_secs(8), "{}", waited.place);
    let refused = play(paused(45)).await;
    refused.assert_error(ErrorKind::RateLimited, Delivery::NotSent);
    assert_eq!((refused.sends, refused.elapsed), (0, Duration::ZERO));

    // A key that has to be waited for, in vain where the call has less time.
    let provided = |seconds| Scene {
        provider: Some(Duration::from_secs(2)),
        deadline: Duration::from_secs(seconds),
        ..success.clone()
    };
    let waited = play(provided(30)).await;
    waited.assert_success(1);
    assert_eq!(waited.elapsed, Duration::from_secs(2), "{}", waited.place);
    let refused = play(provided(1)).await;
    refused.assert_error(ErrorKind::Timeout, Delivery::NotSent);
    assert_eq!(refused.sends, 0, "{}", refused.place);
}

/// All orders of `items`, by Heap's algorithm.
fn orders(mut items: Order) -> Vec<Order> {
    fn permute(count: usize, items: &mut Order, found: &mut Vec<Order>) {
        if count <= 1 {
            found.push(*items);
            return;
        }
        for index in 0..count {
            permute(count - 1, items, found);
            if index + 1 < count {
                let other = if count.is_multiple_of(2) { index } else { 0 };
                items.swap(other, count - 1);
            }
        }
    }
    let mut found = Vec::new();
    permute(items.len(), &mut items, &mut found);
    found
}

fn check_orders(orders: &[Order]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (capture, _listening) = Capture::start();
    for (number, order) in orders.iter().enumerate() {
        runtime.block_on(check_order(&capture, order));
        if number.is_multiple_of(7) {
            runtime.block_on(check_more(&capture, order));
        }
    }
}

#[test]
fn all_orders_keep_the_promises() {
    let orders = orders(SLOTS);
    assert_eq!(orders.len(), (1..=SLOTS.len()).product::<usize>());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for part in orders.chunks(orders.len().div_ceil(threads)) {
            scope.spawn(|| check_orders(part));
        }
    });
    // Not `println!`, which is shown only where a test fails.
    writeln!(std::io::stdout(), "{} orders", orders.len()).expect("written");
}
