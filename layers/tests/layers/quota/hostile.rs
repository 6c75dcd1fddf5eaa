//! Answers that no quota gives.

use super::*;

/// A backend whose clock stands at a day, and that answers with these times beyond that.
#[derive(Clone, Debug, Default)]
struct Absurd {
    permit: Arc<Mutex<Duration>>,
    pause: Arc<Mutex<Option<Duration>>>,
}

const NOW: Duration = Duration::from_secs(86_400);

impl QuotaBackend for Absurd {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        let at = |ahead: Duration| NOW.saturating_add(ahead);
        if let Some(pause) = *self.pause.lock().expect("not poisoned") {
            return Ok(Lease::paused(NOW, at(pause)));
        }
        let permit = at(*self.permit.lock().expect("not poisoned"));
        let permits = vec![permit; usize::from(request.permits > 0)];
        Ok(Lease::new(NOW, permits))
    }

    async fn pause(&self, _: Rate, _: Duration) -> Result<(), QuotaError> {
        Ok(())
    }
}

async fn call(limiter: &RateLimiter) -> Result<(), BoxError> {
    let transport =
        service_fn(|_: http::Request<()>| ready(Ok::<_, BoxError>(http::Response::new(()))));
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    let mut request = http::Request::new(());
    Call::of_or_insert(&mut request).limit_to(Duration::from_secs(30));
    service.oneshot(request).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_too_far_ahead_is_no_answer() {
    for ahead in [Duration::from_secs(3600), Duration::MAX] {
        let backend = Absurd::default();
        *backend.permit.lock().expect("not poisoned") = ahead;
        let quota = SharedQuota::new(rate(50, 10), backend.clone(), WhenAway::FailClosed);
        let limiter = RateLimiter::from(quota.expect("a quota"));
        let error = call(&limiter).await.expect_err("no permit");
        let failure = find_source::<QuotaError>(&*error).expect("typed").failure();
        assert_eq!(failure, QuotaFailure::Invalid);

        // As soon as the backend has been mended, calls go on.
        *backend.permit.lock().expect("not poisoned") = Duration::ZERO;
        sleep(Duration::from_secs(2)).await;
        call(&limiter).await.expect("a permit");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_backend_is_no_longer_than_the_longest_of_the_process() {
    for pause in [Duration::from_secs(3600 * 24 * 365), Duration::MAX] {
        let backend = Absurd::default();
        *backend.pause.lock().expect("not poisoned") = Some(pause);
        let quota = SharedQuota::new(rate(50, 10), backend.clone(), WhenAway::FailClosed);
        let limiter = RateLimiter::shared(quota.expect("a quota"));
        let limiter = limiter.max_pause(Duration::from_secs(20)).build();
        call(&limiter).await.expect_err("paused");
        *backend.pause.lock().expect("not poisoned") = None;
        sleep(Duration::from_secs(20)).await;
        call(&limiter).await.expect("a permit");
    }
}
