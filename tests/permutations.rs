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

/// Sends one call through the layers in this order.
async fn play(capture: &Capture, order: &Order, acts: &[Act], paused: Option<Duration>) -> Outcome {
    let place = order.join(" > ");
    let key = KeyHandle::new(ApiKey::new(OLD_KEY).expect("a key"));
    let transport = Strict::new(acts, &key);
    let limiter = RateLimiter::new(Rate::MAX);
    if let Some(wait) = paused {
        limiter.pause(wait);
    }
    let told = Told::default();
    let (attempts, order) = (MetricsLayer::per_attempt(told.clone()), *order);
    let client = Client::builder("https://idp.example.com")
        .key_handle(key)
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
    check(&outcome);
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
fn check(outcome: &Outcome) {
    let place = &outcome.place;
    assert!(
        outcome.sends <= ATTEMPT_LIMIT,
        "{place}: {} sends",
        outcome.sends
    );
    // tokio's timers tick once a millisecond.
    assert!(
        outcome.elapsed <= DEADLINE + Duration::from_millis(1),
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
    play(capture, order, &[], None).await.assert_success(1);

    let passing = play(capture, order, &[Act::Answer(503)], None).await;
    passing.assert_success(2);

    let limited = play(capture, order, &[Act::TooMany(2)], None).await;
    limited.assert_success(2);
    assert!(
        limited.elapsed >= Duration::from_secs(2),
        "{}",
        limited.place
    );

    // There is no time for the wait that the server asks for, which is told at once.
    let limited = play(capture, order, &[Act::TooMany(60)], None).await;
    let error = limited.assert_error(ErrorKind::Api, Delivery::Answered);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!((limited.sends, limited.elapsed), (1, Duration::ZERO));

    let hung = play(capture, order, &[Act::Hang; 3], None).await;
    hung.assert_error(ErrorKind::Timeout, Delivery::Unknown);

    // What the server said before is not lost to the timeout.
    let worse = play(
        capture,
        order,
        &[Act::Answer(503), Act::Hang, Act::Hang],
        None,
    )
    .await;
    let error = worse.assert_error(ErrorKind::Timeout, Delivery::Unknown);
    let earlier = Some(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error.status(), earlier, "{}: {error:?}", worse.place);

    let acts = [Act::Answer(503), Act::HangInBody, Act::HangInBody];
    let halfway = play(capture, order, &acts, None).await;
    let error = halfway.assert_error(ErrorKind::Timeout, Delivery::Unknown);
    assert_eq!(error.status(), Some(StatusCode::OK), "{}", halfway.place);
    let text = error.to_string();
    assert!(
        text.contains("an earlier attempt: 503 Service Unavailable"),
        "{}: {text}",
        halfway.place
    );

    // A pause that another call has caused.
    let waited = play(capture, order, &[], Some(Duration::from_secs(8))).await;
    waited.assert_success(1);
    assert!(waited.elapsed >= Duration::from_secs(8), "{}", waited.place);
    let refused = play(capture, order, &[], Some(Duration::from_secs(45))).await;
    refused.assert_error(ErrorKind::RateLimited, Delivery::NotSent);
    assert_eq!((refused.sends, refused.elapsed), (0, Duration::ZERO));

    let rotated = play(capture, order, &[Act::RotateAndRefuse], None).await;
    if is_outside(order, Stack::RETRY, Stack::AUTH) {
        rotated.assert_success(2);
    } else {
        // Each attempt of a call has the key of the first.
        let error = rotated.assert_error(ErrorKind::Api, Delivery::Answered);
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
        assert_eq!(rotated.sends, 1, "{}", rotated.place);
    }
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
    for order in orders {
        runtime.block_on(check_order(&capture, order));
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
