//! Limiters that share one quota by way of a backend.

use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::BoxFuture;
use idpflare_layers::{
    BoxError, Call, InvalidQuota, Lease, LeaseRequest, LocalQuota, QuotaAsked, QuotaBackend,
    QuotaError, QuotaFailure, QuotaNotice, QuotaQuestion, Rate, RateLimitLayer, RateLimited,
    RateLimiter, Recorder, SharedQuota, Timeout, WhenAway, find_source,
};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

mod away;
mod held;
mod hostile;
mod late;
mod law;
mod pause;

const MILLI: Duration = Duration::from_millis(1);

fn rate(calls: u32, burst: u32) -> Rate {
    let rate = Rate::per_second(calls).and_then(|rate| rate.with_burst(burst));
    rate.expect("a rate")
}

/// What a backend is to do in place of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Fails(QuotaFailure),
    Hangs,
}

/// A quota behind a network: slow, with another clock, and out of order when told to be.
#[derive(Debug)]
struct Remote {
    quota: LocalQuota,
    trip: Mutex<Duration>,
    offset: Mutex<Duration>,
    trouble: Mutex<Trouble>,
    notice: Mutex<Option<QuotaNotice>>,
    leases: AtomicU32,
    granted: AtomicU32,
    returned: AtomicU32,
}

/// All instances see the same.
#[derive(Clone, Debug)]
struct Net(Arc<Remote>);

impl Net {
    fn new(trip: Duration) -> Self {
        Self(Arc::new(Remote {
            quota: LocalQuota::new(),
            trip: Mutex::new(trip),
            offset: Mutex::new(Duration::from_secs(1_700_000_000)),
            trouble: Mutex::new(Trouble::None),
            notice: Mutex::new(None),
            leases: AtomicU32::new(0),
            granted: AtomicU32::new(0),
            returned: AtomicU32::new(0),
        }))
    }

    /// Half of an exchange takes so long from now on.
    fn takes(&self, trip: Duration) {
        *self.0.trip.lock().expect("not poisoned") = trip;
    }

    fn half(&self) -> Duration {
        *self.0.trip.lock().expect("not poisoned")
    }

    fn set(&self, trouble: Trouble) {
        *self.0.trouble.lock().expect("not poisoned") = trouble;
    }

    fn offset(&self) -> Duration {
        *self.0.offset.lock().expect("not poisoned")
    }

    fn leases(&self) -> u32 {
        self.0.leases.load(Ordering::SeqCst)
    }

    async fn trip(&self) -> Result<(), QuotaError> {
        sleep(self.half()).await;
        let trouble = *self.0.trouble.lock().expect("not poisoned");
        match trouble {
            Trouble::None => Ok(()),
            Trouble::Fails(failure) => Err(QuotaError::new(failure, "as told")),
            Trouble::Hangs => std::future::pending().await,
        }
    }

    fn limiter(&self, rate: Rate, lease: u32, away: WhenAway) -> RateLimiter {
        RateLimiter::from(self.quota(rate, away).lease(lease))
    }

    fn quota(&self, rate: Rate, away: WhenAway) -> SharedQuota {
        SharedQuota::new(rate, self.clone(), away).expect("a quota")
    }
}

impl QuotaBackend for Net {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        self.0.leases.fetch_add(1, Ordering::SeqCst);
        self.trip().await?;
        let lease = self.0.quota.lease(request).await?;
        sleep(self.half()).await;
        let granted = u32::try_from(lease.permits().len()).expect("few");
        self.0.granted.fetch_add(granted, Ordering::SeqCst);
        let offset = self.offset();
        let shifted = match lease.paused_until() {
            Some(until) => Lease::paused(lease.now() + offset, until + offset),
            None => {
                let permits = lease.permits().iter().map(|from| *from + offset);
                Lease::new(lease.now() + offset, permits.collect())
            }
        };
        let notice = self.0.notice.lock().expect("not poisoned").take();
        Ok(match notice {
            Some(notice) => shifted.with_notice(notice),
            None => shifted,
        })
    }

    async fn give_back(&self, rate: Rate, unused: Vec<Duration>) -> Result<(), QuotaError> {
        self.trip().await?;
        let number = u32::try_from(unused.len()).expect("few");
        self.0.returned.fetch_add(number, Ordering::SeqCst);
        let offset = self.offset();
        let unused = unused.into_iter().map(|from| from - offset).collect();
        self.0.quota.give_back(rate, unused).await
    }

    async fn pause(&self, rate: Rate, wait: Duration) -> Result<(), QuotaError> {
        self.trip().await?;
        self.0.quota.pause(rate, wait).await
    }
}

type Asked = (QuotaQuestion, &'static str, Vec<QuotaNotice>);

/// Keeps what a recorder is told.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<Asked>>>);

impl Recorder for Told {
    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        let told = (asked.question, asked.outcome(), asked.notices.to_vec());
        self.0.lock().expect("not poisoned").push(told);
    }
}

impl Told {
    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

type Sent = BoxFuture<'static, Result<Instant, BoxError>>;

/// Sends a request, and tells when it came through.
fn send(limiter: &RateLimiter) -> Sent {
    send_within(limiter, None)
}

fn send_within(limiter: &RateLimiter, limit: Option<Duration>) -> Sent {
    let transport = service_fn(|_: http::Request<()>| {
        ready(Ok::<_, BoxError>(http::Response::new(Instant::now())))
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    let mut request = http::Request::new(());
    if let Some(limit) = limit {
        Call::of_or_insert(&mut request).limit_to(limit);
    }
    let reply = service.oneshot(request);
    Box::pin(reply.map_ok(http::Response::into_body))
}

/// Keeps `limiter` busy with so many callers until each has sent so much.
async fn busy(limiter: &RateLimiter, callers: u32, each: u32) -> Vec<Instant> {
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut sent = Vec::new();
                for _ in 0..each {
                    sent.push(send(&limiter).await.expect("a permit"));
                }
                sent
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("no panic"));
    }
    all
}

fn typed<E: std::error::Error + 'static>(error: &BoxError) -> &E {
    find_source(&**error).expect("typed")
}

fn assert_law(rate: Rate, mut sent: Vec<Instant>) {
    sent.sort();
    for (first, from) in sent.iter().enumerate() {
        for (last, to) in sent.iter().enumerate().skip(first) {
            let share = (*to - *from).as_nanos() / rate.interval().as_nanos();
            let count = u128::try_from(last - first + 1).expect("fits");
            let most = u128::from(rate.burst()) + share;
            assert!(count <= most, "{count} within {:?}", *to - *from);
        }
    }
}

#[test]
fn a_burst_of_one_leaves_no_time_to_use_a_permit_in() {
    let quota = SharedQuota::new(rate(50, 1), LocalQuota::new(), WhenAway::FailOpen);
    assert_eq!(quota.err(), Some(InvalidQuota::NoLateness));
    let quota = SharedQuota::new(rate(50, 10), LocalQuota::new(), WhenAway::FailOpen);
    assert_eq!(quota.expect("a quota").lateness(), 100 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn a_recorder_is_told_of_every_question() {
    let net = Net::new(MILLI);
    let told = Told::default();
    let quota = net.quota(rate(100, 10), WhenAway::FailOpen);
    let limiter = RateLimiter::from(quota.recorder(told.clone()));
    *net.0.notice.lock().expect("not poisoned") = Some(QuotaNotice::StateLost);
    send(&limiter).await.expect("a permit");
    let lost = vec![QuotaNotice::StateLost];
    assert_eq!(told.take(), [(QuotaQuestion::Lease, "ok", lost)]);
    net.set(Trouble::Fails(QuotaFailure::ReadOnly));
    send(&limiter).await.expect("open");
    assert_eq!(told.take(), [(QuotaQuestion::Lease, "read_only", vec![])]);
    limiter.pause(MILLI);
    sleep(10 * MILLI).await;
    assert_eq!(told.take(), [(QuotaQuestion::Pause, "read_only", vec![])]);
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_long_after_what_a_limiter_held_that_is_gone() {
    let net = Net::new(MILLI);
    // A permit is good for an hour.
    let slow = Rate::new(1, Duration::from_secs(1800)).and_then(|rate| rate.with_burst(5));
    let limiter = net.limiter(slow.expect("a rate"), 5, WhenAway::FailClosed);
    for _ in 0..2 {
        send(&limiter).await.expect("a permit");
    }
    let runtime = tokio::runtime::Handle::current();
    sleep(10 * MILLI).await;
    assert_eq!(runtime.metrics().num_alive_tasks(), 1);
    drop(limiter);
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_loses_nobody_his_permit() {
    let net = Net::new(5 * MILLI);
    let limiter = net.limiter(rate(100, 20), 10, WhenAway::FailClosed);
    // Asked for by one who has left when the answer comes.
    assert!(timeout(MILLI, send(&limiter)).await.is_err());
    sleep(20 * MILLI).await;
    let started = Instant::now();
    assert_eq!(send(&limiter).await.expect("a permit"), started);
    assert_eq!(net.leases(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_grants_nothing_or_too_much_does_no_harm() {
    #[derive(Debug)]
    struct Odd(Vec<Duration>);
    impl QuotaBackend for Odd {
        async fn lease(&self, _: LeaseRequest) -> Result<Lease, QuotaError> {
            Ok(Lease::new(Duration::ZERO, self.0.clone()))
        }
        async fn pause(&self, _: Rate, _: Duration) -> Result<(), QuotaError> {
            Ok(())
        }
    }
    let limiter = |permits| {
        let quota = SharedQuota::new(rate(10, 2), Odd(permits), WhenAway::FailClosed);
        RateLimiter::from(quota.expect("a quota").lease(3))
    };
    // A permit that is further away than a thousand others could bring it is none.
    for none in [Vec::new(), vec![Duration::MAX]] {
        let error = send(&limiter(none)).await.expect_err("nothing");
        assert_eq!(typed::<QuotaError>(&error).failure(), QuotaFailure::Invalid);
    }
    // No more than a lease is taken, and none before its time.
    let permits = [30, 20, 10, 0].map(|due| due * MILLI);
    let limiter = limiter([&[Duration::MAX], &permits[..]].concat());
    let started = Instant::now();
    for due in [10, 20, 30] {
        let sent = send(&limiter).await.expect("a permit");
        assert!(sent >= started + due * MILLI && sent <= started + (due + 2) * MILLI);
    }
}
