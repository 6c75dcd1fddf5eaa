//! The rate of a server that does not tell it.

use std::sync::{Arc, Mutex};

use idpflare_layers::{RetryLayer, RetryPolicy};

use super::*;

/// A server that keeps to a rate as nginx's `limit_req` does: a bucket of `burst` requests that leak
/// at the rate, and a 429 without a hint for what does not fit.
#[derive(Clone)]
struct Bucket {
    interval: Duration,
    burst: u32,
    /// When the bucket is empty.
    empty_at: Arc<Mutex<Instant>>,
    refused: Arc<Mutex<u32>>,
}

impl Bucket {
    fn new(calls: u32, burst: u32) -> Self {
        Self {
            interval: rate(calls).interval(),
            burst,
            empty_at: Arc::new(Mutex::new(Instant::now())),
            refused: Arc::default(),
        }
    }
}

impl Service<http::Request<()>> for Bucket {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        let now = Instant::now();
        let mut empty_at = self.empty_at.lock().expect("not poisoned");
        let waits = empty_at.saturating_duration_since(now);
        let status = if waits > self.interval * self.burst {
            *self.refused.lock().expect("not poisoned") += 1;
            429
        } else {
            *empty_at = now + waits + self.interval;
            200
        };
        let waits = if status == 200 { waits } else { Duration::ZERO };
        Box::pin(async move {
            sleep(5 * MILLI + waits).await;
            Ok(reply(status, &[]))
        })
    }
}

/// Sends so many requests by so many callers, and returns how many failed and how long it took.
async fn sends(server: &Bucket, callers: u32, requests: u32, attempts: u32) -> (u32, Duration) {
    let limiter = RateLimiter::new(Rate::MAX);
    let policy = RetryPolicy::new().attempts(attempts);
    let service = RetryLayer::new(policy)
        .layer(RateLimitLayer::new(limiter).layer(DeliveryLayer::new().layer(server.clone())));
    let started = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let service = service.clone();
            let own = requests / callers + u32::from(caller < requests % callers);
            tokio::spawn(async move {
                let mut failed = 0;
                for _ in 0..own {
                    let mut request = http::Request::new(());
                    Call::of_or_insert(&mut request).limit_to(secs(30));
                    let reply = service.clone().oneshot(request).await;
                    failed += u32::from(!reply.is_ok_and(|reply| reply.status() == 200));
                }
                failed
            })
        })
        .collect();
    let mut failed = 0;
    for caller in callers {
        failed += caller.await.expect("no panic");
    }
    (failed, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn refusals_without_a_hint_make_the_limiter_find_the_rate() {
    for callers in [1, 8, 32, 100] {
        let server = Bucket::new(50, 5);
        let (failed, took) = sends(&server, callers, 500, 10).await;
        let refused = *server.refused.lock().expect("not poisoned");
        println!("{callers} callers: {failed} failed, {refused} refused, {took:?}");
        assert_eq!(failed, 0, "{callers} callers");
        // At 25 a second or more; one caller at a time can't reach that with a wait of 5 ms and 20.
        assert!(took <= secs(20), "{callers} callers took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_found_of_slow_and_of_fast_servers() {
    for (calls, burst, callers, requests, at_most) in [
        (1, 1, 8, 40, secs(60)),
        (5, 2, 32, 200, secs(60)),
        (500, 20, 64, 5000, secs(25)),
        (1000, 50, 128, 10_000, secs(25)),
    ] {
        let server = Bucket::new(calls, burst);
        let (failed, took) = sends(&server, callers, requests, 10).await;
        let refused = *server.refused.lock().expect("not poisoned");
        println!("{calls}/s: {failed} failed, {refused} refused, {took:?}");
        assert_eq!(failed, 0, "{calls}/s");
        assert!(took <= at_most, "{calls}/s: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_without_a_refusal_ends_the_rate_that_was_found() {
    let (transport, mut server) = transport();
    let service = RateLimitLayer::new(RateLimiter::new(Rate::MAX)).layer(transport);
    let refused = tokio::spawn(send(&service));
    answer(&mut server, reply(429, &[])).await;
    assert!(refused.await.expect("no panic").is_ok());
    for (after, spaced) in [(secs(1), true), (secs(60), false)] {
        sleep(after).await;
        let started = Instant::now();
        let _replies: Vec<_> = (0..4).map(|_| tokio::spawn(send(&service))).collect();
        for _ in 0..4 {
            answer(&mut server, reply(200, &[])).await;
        }
        assert_eq!(started.elapsed() > MILLI * 100, spaced);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_one_moment_lower_the_rate_once() {
    let (transport, mut server) = transport();
    let service = RateLimitLayer::new(RateLimiter::new(Rate::MAX)).layer(transport);
    let _replies: Vec<_> = (0..20).map(|_| tokio::spawn(send(&service))).collect();
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push(server.next_request().await.expect("a request").1);
    }
    for refused in sent {
        refused.send_response(reply(429, &[]));
        sleep(MILLI * 10).await;
    }
    // Five a second, after a pause of 100 ms that has ended.
    let _replies: Vec<_> = (0..3).map(|_| tokio::spawn(send(&service))).collect();
    let started = Instant::now();
    for number in 0..3_u32 {
        answer(&mut server, reply(200, &[])).await;
        assert_eq!(started.elapsed(), MILLI * 200 * number);
    }
}
