//! Whatever a server says about when to come back, a client waits for that, and never for ever.

use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use idpflare_management::layers::{BoxError, Rate, RateLimitLayer, RateLimiter, retry_after};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::exchange::Exchange;

/// The most that a limiter can be told to pause for.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What timers count in.
const TICK: Duration = Duration::from_millis(1);

/// The last second that an HTTP-date can name.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

pub(crate) fn check(data: &[u8]) {
    let Exchange { mut reply, .. } = Exchange::read(data);
    let status = reply.status();
    is_a_wait(reply.headers());
    assert!(wait_after(status, reply.headers()) <= DAY + TICK);
    // With one that can't be read the clock of this machine counts, and no two answers are the same.
    let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
    reply.headers_mut().insert(DATE, date);
    waits_for_the_longest(reply.headers());
    pauses_as_it_is_told(status, reply.headers());
}

/// Each value is a number of seconds, or a wait until a date, or nothing.
fn is_a_wait(headers: &HeaderMap) {
    for value in headers.get_all(RETRY_AFTER) {
        let text = value.to_str().unwrap_or_default().trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match alone(value, headers) {
            Some(wait) if digits => {
                let expected = text.parse().map_or(Duration::MAX, Duration::from_secs);
                assert_eq!(wait, expected);
            }
            Some(wait) => assert!(wait <= LAST_DATE, "{text}: {wait:?}"),
            None => assert!(!digits, "{text}"),
        }
    }
}

/// What is made of one value where the others are not there.
fn alone(value: &HeaderValue, headers: &HeaderMap) -> Option<Duration> {
    let mut headers = headers.clone();
    headers.insert(RETRY_AFTER, value.clone());
    retry_after(&headers)
}

/// Whichever comes first.
fn waits_for_the_longest(headers: &HeaderMap) {
    let told = retry_after(headers);
    let values: Vec<_> = headers.get_all(RETRY_AFTER).iter().collect();
    let waits = values.iter().filter_map(|value| alone(value, headers));
    assert_eq!(told, waits.max());
    let mut reversed = headers.clone();
    reversed.remove(RETRY_AFTER);
    for value in values.into_iter().rev() {
        reversed.append(RETRY_AFTER, value.clone());
    }
    assert_eq!(retry_after(&reversed), told);
}

fn pauses_as_it_is_told(status: StatusCode, headers: &HeaderMap) {
    let waited = wait_after(status, headers);
    let refused = status == StatusCode::TOO_MANY_REQUESTS;
    let quota = says_zero(headers);
    match retry_after(headers) {
        // That of a 503 speaks of its resource.
        Some(wait) if refused => assert_eq!(waited, wait.min(DAY)),
        Some(wait) => assert!(waited.is_zero() || waited == wait.min(DAY) && quota),
        None if refused => {}
        None => assert!(
            waited.is_zero() || quota,
            "{status} {headers:?}: {waited:?}"
        ),
    }
}

/// Whether there is a header of quotas with a zero in it.
fn says_zero(headers: &HeaderMap) -> bool {
    let names = ["ratelimit", "ratelimit-remaining", "x-ratelimit-remaining"];
    let mut values = names.iter().flat_map(|name| headers.get_all(*name));
    values.any(|value| value.as_bytes().contains(&b'0'))
}

/// How long the next request is kept after such a reply, on a clock that does not wait.
fn wait_after(status: StatusCode, headers: &HeaderMap) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let limiter = RateLimiter::builder(Rate::MAX).max_pause(DAY).build();
        let transport = tower::service_fn(|_: Request<()>| {
            let mut reply = Response::new(());
            *reply.status_mut() = status;
            *reply.headers_mut() = headers.clone();
            std::future::ready(Ok::<_, BoxError>(reply))
        });
        let mut service = RateLimitLayer::new(limiter).layer(transport);
        let mut send = async || {
            let ready = service.ready().await.expect("ready");
            ready.call(Request::new(())).await.expect("a reply");
        };
        send().await;
        let answered = Instant::now();
        send().await;
        answered.elapsed()
    })
}
