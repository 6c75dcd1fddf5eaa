//! What becomes of answers that come after their time.

use super::*;

/// Half of what an answer takes that comes after 250 ms, the limit.
const SLOW: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn a_slow_backend_hands_out_nothing_that_nobody_uses() {
    let net = Net::new(SLOW);
    let rate = rate(10, 4);
    let end = Instant::now() + Duration::from_secs(30);
    let fleet: Vec<_> = (0..60)
        .map(|_| {
            let limiter = net.limiter(rate, 1, WhenAway::FailClosed);
            tokio::spawn(async move {
                while Instant::now() < end {
                    if let Err(error) = send(&limiter).await {
                        sleep(typed::<RateLimited>(&error).retry_after()).await;
                    }
                }
            })
        })
        .collect();
    for instance in fleet {
        instance.await.expect("no panic");
    }
    // Each has asked for one, in six times as many seconds as that takes.
    let granted = net.0.granted.load(Ordering::SeqCst);
    assert!(granted <= 120, "{granted}");
    net.takes(MILLI);
    sleep(Duration::from_secs(3)).await;
    let started = Instant::now();
    let late = net.limiter(rate, 1, WhenAway::FailClosed);
    let waited = send(&late).await.expect("a permit") - started;
    assert!(waited <= Duration::from_secs(1), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_is_used_all_the_same() {
    let net = Net::new(SLOW);
    let told = Told::default();
    let quota = net.quota(rate(100, 100), WhenAway::FailClosed);
    let limiter = RateLimiter::from(quota.recorder(told.clone()));
    *net.0.notice.lock().expect("not poisoned") = Some(QuotaNotice::StateLost);
    let error = send(&limiter).await.expect_err("slow");
    assert_eq!(typed::<QuotaError>(&error).failure(), QuotaFailure::Timeout);
    sleep(SLOW).await;
    let started = Instant::now();
    assert_eq!(send(&limiter).await.expect("it has come"), started);
    assert_eq!(net.0.granted.load(Ordering::SeqCst), 1);
    let lost = vec![QuotaNotice::StateLost];
    assert_eq!(
        told.take(),
        [
            (QuotaQuestion::Lease, "timeout", vec![]),
            (QuotaQuestion::Lease, "late", lost)
        ]
    );
    // It is away all the same, until it has answered in time.
    send(&limiter).await.expect_err("asked, and slow again");
    net.takes(MILLI);
    sleep(Duration::from_secs(2)).await;
    send(&limiter).await.expect("back");
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_and_is_far_away_is_given_back() {
    let net = Net::new(SLOW);
    let rate = rate(1, 4);
    let limiter = net.limiter(rate, 5, WhenAway::FailOpen);
    let request = LeaseRequest::new(rate, 10, Duration::from_secs(60));
    net.0.quota.lease(request).await.expect("for another one");
    send(&limiter).await.expect("open");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(net.0.granted.load(Ordering::SeqCst), 1);
    assert_eq!(net.0.returned.load(Ordering::SeqCst), 1);
    let started = Instant::now();
    assert_eq!(send(&limiter).await.expect("open"), started);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_learned_late_holds() {
    let net = Net::new(SLOW);
    let rate = rate(10, 4);
    let limiter = net.limiter(rate, 5, WhenAway::FailOpen);
    let pause = Duration::from_secs(10);
    net.0.quota.pause(rate, pause).await.expect("a pause");
    send(&limiter).await.expect("open");
    sleep(SLOW).await;
    let error = send_within(&limiter, Some(Duration::from_secs(1))).await;
    let error = error.expect_err("paused");
    assert!(typed::<RateLimited>(&error).retry_after() > Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_is_left_to_use_is_given_back() {
    for trip in [MILLI, SLOW] {
        let net = Net::new(trip);
        let limiter = net.limiter(rate(10, 4), 5, WhenAway::FailOpen);
        assert!(timeout(trip, send(&limiter)).await.is_err());
        drop(limiter);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(net.0.returned.load(Ordering::SeqCst), 1);
    }
}

/// Answers only who asks for nothing.
#[derive(Clone, Debug, Default)]
struct Grudging {
    asking: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
}

struct Asking(Arc<AtomicU32>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl QuotaBackend for Grudging {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        if request.permits == 0 {
            return Ok(Lease::new(Duration::ZERO, Vec::new()));
        }
        let asking = 1 + self.asking.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(asking, Ordering::SeqCst);
        let _asking = Asking(Arc::clone(&self.asking));
        std::future::pending().await
    }

    async fn pause(&self, _: Rate, _: Duration) -> Result<(), QuotaError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn few_late_answers_are_waited_for_and_none_for_ever() {
    let backend = Grudging::default();
    let quota = SharedQuota::new(rate(10, 4), backend.clone(), WhenAway::FailClosed);
    let limiter = RateLimiter::from(quota.expect("a quota"));
    for _ in 0..20 {
        let error = send(&limiter).await.expect_err("no answer");
        sleep(typed::<RateLimited>(&error).retry_after()).await;
    }
    // Those, and the one that is not late yet.
    assert_eq!(backend.most.load(Ordering::SeqCst), 5);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(backend.asking.load(Ordering::SeqCst), 0);
    // Then others are.
    send(&limiter).await.expect_err("no answer");
    assert_eq!(backend.asking.load(Ordering::SeqCst), 1);
}
