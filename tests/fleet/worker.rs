//! What one process of the fleet does: it calls as often as it may, and tells of it line by line.

use std::fmt;
use std::future::{poll_fn, ready};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use idpflare_management::layers::{
    BoxError, Lease, LeaseRequest, QuotaAsked, QuotaBackend, QuotaError, QuotaKey, Rate,
    RateLimitLayer, RateLimiter, Recorder, RedisQuota, SharedQuota, WhenAway,
};
use tower::{Layer, ServiceExt, service_fn};

/// What a worker is told to do.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) url: String,
    pub(crate) quota: String,
    pub(crate) calls_per_second: u32,
    pub(crate) burst: u32,
    pub(crate) lease: u32,
    /// How often it calls, in all; without, until its input ends.
    pub(crate) calls: Option<u64>,
    /// How many calls at a time.
    pub(crate) callers: u64,
    /// How long an answer of the server may take.
    pub(crate) timeout: Duration,
}

impl Task {
    pub(crate) const VARIABLE: &str = "IDPFLARE_FLEET_WORKER";

    pub(crate) fn from_env() -> Option<Self> {
        let text = std::env::var(Self::VARIABLE).ok()?;
        let mut words = text.split(' ');
        let mut word = || words.next().expect("a word");
        Some(Self {
            url: word().to_owned(),
            quota: word().to_owned(),
            calls_per_second: word().parse().expect("a number"),
            burst: word().parse().expect("a number"),
            lease: word().parse().expect("a number"),
            calls: word().parse().ok(),
            callers: word().parse().expect("a number"),
            timeout: Duration::from_millis(word().parse().expect("a number")),
        })
    }

    pub(crate) fn rate(&self) -> Rate {
        let rate = Rate::per_second(self.calls_per_second);
        rate.and_then(|rate| rate.with_burst(self.burst))
            .expect("a rate")
    }

    pub(crate) fn key(&self) -> QuotaKey {
        QuotaKey::named(&self.quota)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            quota,
            calls_per_second,
            burst,
            lease,
            calls,
            callers,
            timeout,
        } = self;
        let calls = calls.map_or("-".to_owned(), |calls| calls.to_string());
        let timeout = timeout.as_millis();
        write!(
            f,
            "{url} {quota} {calls_per_second} {burst} {lease} {calls} {callers} {timeout}"
        )
    }
}

/// A line of a worker.
pub(crate) enum Report {
    /// When the server granted, and for when, in microseconds since 1970.
    Lease(u64, Vec<u64>),
    /// Between which two times a call went, in nanoseconds since 1970.
    Call(u64, u64),
    Lapsed(u64),
    /// A call was refused, because the server could not be asked.
    Refused,
    End,
}

impl Report {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (kind, numbers) = line.split_once(' ')?;
        let mut numbers = numbers.split(' ').map(|number| number.parse::<u64>().ok());
        Some(match kind {
            "lease" => Self::Lease(numbers.next()??, numbers.collect::<Option<_>>()?),
            "call" => Self::Call(numbers.next()??, numbers.next()??),
            "lapsed" => Self::Lapsed(numbers.next()??),
            "refused" => Self::Refused,
            _ => return None,
        })
    }
}

fn tell(line: &str) {
    // In one piece, so that a line is there or not when the process is killed. Who listened may be gone.
    let _ = std::io::stdout()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}

fn nanos() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(now.as_nanos()).expect("before 2554")
}

/// Tells of the leases that it is granted.
#[derive(Debug)]
struct Telling {
    redis: RedisQuota,
    /// How many questions are under way.
    asking: Arc<AtomicU64>,
}

impl QuotaBackend for Telling {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        let _asking = Asking::begin(&self.asking);
        let lease = self.redis.lease(request).await?;
        let mut line = format!("lease {}", lease.now().as_micros());
        for permit in lease.permits() {
            line.push_str(&format!(" {}", permit.as_micros()));
        }
        tell(&line);
        Ok(lease)
    }

    async fn pause(&self, rate: Rate, wait: Duration) -> Result<(), QuotaError> {
        self.redis.pause(rate, wait).await
    }
}

/// A question that is under way, until it is dropped.
struct Asking<'a>(&'a AtomicU64);

impl<'a> Asking<'a> {
    fn begin(number: &'a AtomicU64) -> Self {
        number.fetch_add(1, Ordering::SeqCst);
        Self(number)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Lapses;

impl Recorder for Lapses {
    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        if asked.lapsed > 0 {
            tell(&format!("lapsed {}", asked.lapsed));
        }
    }
}

pub(crate) fn run(task: &Task) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work(task));
}

async fn work(task: &Task) {
    let backend = RedisQuota::new(&task.url, task.key()).expect("a URL");
    let asking = Arc::new(AtomicU64::new(0));
    let telling = Telling {
        redis: backend,
        asking: Arc::clone(&asking),
    };
    let quota = SharedQuota::new(task.rate(), telling, WhenAway::FailClosed);
    let quota = quota.expect("a quota").lease(task.lease);
    let limiter = RateLimiter::from(quota.timeout(task.timeout).recorder(Lapses));
    let left = Arc::new(AtomicU64::new(task.calls.unwrap_or(u64::MAX)));
    std::thread::spawn({
        let left = Arc::clone(&left);
        move || {
            // Nothing is written to it: it ends where no more calls are wanted, or nobody is left.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            left.store(0, Ordering::SeqCst);
        }
    });
    let callers: Vec<_> = (0..task.callers)
        .map(|_| tokio::spawn(call(limiter.clone(), Arc::clone(&left))))
        .collect();
    for caller in callers {
        caller.await.expect("no panic");
    }
    // What was granted last is told of, too.
    while asking.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn call(limiter: RateLimiter, left: Arc<AtomicU64>) {
    let take = || {
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
    };
    while take().is_ok() {
        while !try_call(&limiter).await {
            tell("refused 0");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A call, and between which times it had its permit: after the last look at the limiter began, and
/// before the transport was called.
async fn try_call(limiter: &RateLimiter) -> bool {
    let after = Arc::new(Mutex::new(0));
    let transport = service_fn({
        let after = Arc::clone(&after);
        move |_: http::Request<()>| {
            *after.lock().expect("not poisoned") = nanos();
            ready(Ok::<_, BoxError>(http::Response::new(())))
        }
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    let mut reply: BoxFuture<'static, _> = Box::pin(service.oneshot(http::Request::new(())));
    let mut before = 0;
    let reply = poll_fn(|cx| {
        before = nanos();
        reply.as_mut().poll(cx)
    });
    if reply.await.is_err() {
        return false;
    }
    let after = *after.lock().expect("not poisoned");
    tell(&format!("call {before} {after}"));
    true
}
