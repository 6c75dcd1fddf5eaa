//! Every order of the standard slots, over a service that insists on Tower's contract: what the
//! layers promise together holds in each of them.
//!
//! In process, and in paused time.

use std::collections::VecDeque;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use idpflare_management::layers::{ApiKey, BoxError, TimeoutScope};
use idpflare_management::*;
use tokio::time::Instant;
use tower::Service;

const OLD_KEY: &str = "idk_old_secret";
const NEW_KEY: &str = "idk_new_secret";
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

/// What the server does with one request.
#[derive(Clone, Copy)]
enum Act {
    Answer(u16),
    /// 429, asking for a wait of so many seconds.
    TooMany(u64),
    Hang,
    /// 401, after the key was rotated behind the client's back.
    RotateAndRefuse,
}

/// A transport that plays a script, and panics where it is called without having said that it is
/// ready, or by a clone of the one that was asked.
struct Strict {
    script: Arc<Mutex<Script>>,
    is_ready: bool,
}

struct Script {
    acts: VecDeque<Act>,
    key: KeyHandle,
    sends: u32,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            is_ready: false,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called unready");
        let mut script = self.script.lock().expect("not poisoned");
        script.sends += 1;
        assert!(request.headers().contains_key("authorization"));
        let act = script.acts.pop_front().unwrap_or(Act::Answer(204));
        let mut reply = Response::new(Full::default());
        match act {
            Act::Hang => return Box::pin(std::future::pending()),
            Act::Answer(status) => {
                *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
            }
            Act::TooMany(wait) => {
                *reply.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                reply
                    .headers_mut()
                    .insert("retry-after", HeaderValue::from(wait));
            }
            Act::RotateAndRefuse => {
                script.key.rotate(ApiKey::new(NEW_KEY).expect("a key"));
                *reply.status_mut() = StatusCode::UNAUTHORIZED;
            }
        }
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// What came of one call.
struct Outcome {
    result: Result<(), Error>,
    sends: u32,
    elapsed: Duration,
}

async fn play(order: &[&'static str], acts: &[Act]) -> Outcome {
    let key = KeyHandle::new(ApiKey::new(OLD_KEY).expect("a key"));
    let script = Arc::new(Mutex::new(Script {
        acts: acts.iter().copied().collect(),
        key: key.clone(),
        sends: 0,
    }));
    let transport = Strict {
        script: Arc::clone(&script),
        is_ready: false,
    };
    let order = order.to_vec();
    let client = Client::builder("https://idp.example.com")
        .key_handle(key)
        .stack(move |mut stack| {
            for pair in order.windows(2).rev() {
                stack = stack.move_before(pair[0], pair[1])?;
            }
            assert!(stack.names().eq(order.iter().copied()), "{stack}");
            Ok(stack)
        })
        .build_with(transport)
        .expect("a client");
    let started = Instant::now();
    let result = client.send(DeleteUser::new("usr_1")).await;
    let sends = script.lock().expect("not poisoned").sends;
    Outcome {
        result,
        sends,
        elapsed: started.elapsed(),
    }
}

/// What holds whatever happened.
fn check(outcome: &Outcome, place: &str) {
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
        let text = format!("{error} {error:?}");
        assert!(!text.contains("secret"), "{place}: {text}");
    }
}

/// Whether `outer` is outside of `inner` in this order.
fn is_outside(order: &[&str], outer: &str, inner: &str) -> bool {
    let at = |name| order.iter().position(|slot| *slot == name);
    at(outer) < at(inner)
}

async fn check_order(order: &[&'static str]) {
    let place = order.join(" > ");

    let success = play(order, &[]).await;
    check(&success, &place);
    assert!(success.result.is_ok() && success.sends == 1, "{place}");

    let passing = play(order, &[Act::Answer(503)]).await;
    check(&passing, &place);
    assert!(
        passing.result.is_ok() && passing.sends == 2,
        "{place}: {:?}",
        passing.result
    );

    let limited = play(order, &[Act::TooMany(2)]).await;
    check(&limited, &place);
    assert!(
        limited.result.is_ok() && limited.sends == 2,
        "{place}: {:?}",
        limited.result
    );
    assert!(limited.elapsed >= Duration::from_secs(2), "{place}");

    let hung = play(order, &[Act::Hang; 3]).await;
    check(&hung, &place);
    let error = hung.result.expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{place}: {error:?}");
    assert_eq!(error.delivery(), Delivery::Unknown, "{place}");

    let worse = play(order, &[Act::Answer(503), Act::Hang, Act::Hang]).await;
    check(&worse, &place);
    let error = worse.result.expect_err("it hangs in the end");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{place}: {error:?}");
    assert_eq!(
        error.status(),
        Some(StatusCode::SERVICE_UNAVAILABLE),
        "{place}: {error:?}"
    );
    assert_eq!(error.delivery(), Delivery::Unknown, "{place}");
    let scope = error.timeout().expect("typed").scope();
    assert!(
        matches!(scope, TimeoutScope::Call | TimeoutScope::Attempt),
        "{place}"
    );

    let rotated = play(order, &[Act::RotateAndRefuse]).await;
    check(&rotated, &place);
    if is_outside(order, Stack::RETRY, Stack::AUTH) {
        assert!(
            rotated.result.is_ok() && rotated.sends == 2,
            "{place}: {:?}",
            rotated.result
        );
    } else {
        // Each attempt of a call has the key of the first.
        let error = rotated.result.expect_err("the old key");
        assert_eq!(
            error.status(),
            Some(StatusCode::UNAUTHORIZED),
            "{place}: {error:?}"
        );
        assert_eq!(rotated.sends, 1, "{place}");
    }
}

/// All orders of `items`, by Heap's algorithm.
fn for_each_order(items: &mut Vec<&'static str>, visit: &mut impl FnMut(&[&'static str])) {
    fn permute(
        count: usize,
        items: &mut Vec<&'static str>,
        visit: &mut impl FnMut(&[&'static str]),
    ) {
        if count <= 1 {
            visit(items);
            return;
        }
        for index in 0..count {
            permute(count - 1, items, visit);
            if index + 1 < count {
                let other = if count.is_multiple_of(2) { index } else { 0 };
                items.swap(other, count - 1);
            }
        }
    }
    permute(items.len(), items, visit);
}

#[test]
fn all_orders_keep_the_promises() {
    let mut slots = SLOTS.to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let mut orders = 0;
    for_each_order(&mut slots, &mut |order| {
        runtime.block_on(check_order(order));
        orders += 1;
    });
    assert_eq!(orders, (1..=SLOTS.len()).product::<usize>());
    // Not `println!`, which is shown only where a test fails.
    writeln!(std::io::stdout(), "{orders} orders").expect("written");
}
