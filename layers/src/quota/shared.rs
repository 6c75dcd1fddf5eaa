use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Lease, LeaseRequest, QuotaBackend, QuotaError};
use crate::{Rate, Recorder};

const DEFAULT_LEASE: u32 = 10;
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(250);
const DEFAULT_HORIZON: Duration = Duration::from_secs(1);

/// A [`Rate`] that several processes share, by way of a [`QuotaBackend`].
///
/// A [`RateLimiter`](crate::RateLimiter) of it takes permits by the lease, several for one question,
/// and uses each at its own time: a lease is no burst. **Any window `w` on the backend's clock sees at
/// most `burst + w / interval` calls of all processes together**, for as long as the backend keeps its
/// state. How far the clocks of the processes are off does not matter; they may drift from the
/// backend's by one part in 1000. After a machine was suspended with its clock, what its processes held
/// may be used too late: one lease each.
///
/// A permit may be used for some time after its own, the *lateness*; then it lapses. Half of the burst
/// goes into that, as the time that so many calls take: at 50 calls a second with a burst of 10, the
/// backend spaces calls with a burst of 5, and each permit is good for 100 ms. That must be longer than
/// an answer of the backend takes, and a timer, which is a millisecond.
///
/// The first lease is of one permit. As long as all are used, each is twice as large as the one before,
/// up to [`lease`](Self::lease); when half are used, they are topped up. What nobody waits for is given
/// back where that is possible, and lapses otherwise. A process that is killed loses what it held, at
/// most one lease.
///
/// A pause that one process learns of holds all: those that hold permits learn of it with their next
/// question, when they have used half of these.
///
/// ```
/// use std::time::Duration;
///
/// use idpflare_layers::{LocalQuota, Rate, RateLimitLayer, RateLimiter, SharedQuota, WhenAway};
///
/// // Other processes need another backend.
/// let backend = LocalQuota::new();
/// let rate = Rate::per_second(50)?.with_burst(10)?;
/// let quota = SharedQuota::new(rate, backend, WhenAway::LocalShare { instances: 4 })?
///     .lease(20)
///     .timeout(Duration::from_millis(100));
/// let limiter = RateLimiter::shared(quota)
///     .max_wait(Duration::from_secs(5))
///     .build();
/// let layer = RateLimitLayer::new(limiter);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Questions are asked in tasks of the runtime that the call is polled on, which should go on running
/// between calls. A call waits for answers no longer than until its own deadline, nor than twice the
/// [`timeout`](Self::timeout). If the runtime of the call that asked stands still, another call asks 100 ms
/// after the timeout.
///
/// A backend that has not answered in time is away, and calls do what [`WhenAway`] says. But it may have
/// granted permits, so the answer is waited for in the background, for a minute at most and four at a time:
/// what it grants for the time of the [`horizon`](Self::horizon) is held like any other permit, and the
/// rest is given back. Meanwhile the backend is asked only whether it is there, for no permit: one that is
/// slower than the timeout hands out no more than one lease, each time that it goes away. One that answers
/// in time, but too late for its permits to be used, is away after three leases in a row.
#[derive(Clone)]
#[must_use]
pub struct SharedQuota {
    pub(super) rate: Rate,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) away: WhenAway,
    pub(super) lease: u32,
    pub(super) timeout: Duration,
    pub(super) horizon: Duration,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
}

/// What calls do while the backend can't be asked, or answers with an error.
///
/// Permits that are held already are used first. The backend is asked again after 50 to 100 ms, and less
/// and less often until a permit of it is used, but every 2 s at least, as long as there are calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenAway {
    /// They go at once, and only the server's word limits them.
    FailOpen,
    /// They fail with [`RateLimited`](crate::RateLimited), which has the [`QuotaError`] for its
    /// source and tells when the backend will be asked again.
    FailClosed,
    /// Each process keeps to its own share of the rate, beginning with no burst saved up. All together
    /// keep the law then, where there are no more instances than said, nor than the burst; but not with
    /// those that can still reach the backend, or hold permits of before.
    LocalShare {
        /// How many processes share the rate evenly. Zero counts as one.
        instances: u32,
    },
}

impl SharedQuota {
    /// This `rate` for all who share the state of `backend`. They must all say the same.
    ///
    /// # Errors
    ///
    /// Where the rate has a burst of 1: no permit could be used a moment later than it was granted.
    pub fn new(
        rate: Rate,
        backend: impl QuotaBackend,
        away: WhenAway,
    ) -> Result<Self, InvalidQuota> {
        if rate.burst() < 2 {
            return Err(InvalidQuota::NoLateness);
        }
        Ok(Self {
            rate,
            backend: Arc::new(backend),
            away,
            lease: DEFAULT_LEASE,
            timeout: DEFAULT_TIMEOUT,
            horizon: DEFAULT_HORIZON,
            recorder: None,
        })
    }

    /// How many permits a process holds at most. The default is 10; zero counts as one.
    pub fn lease(mut self, permits: u32) -> Self {
        self.lease = permits.max(1);
        self
    }

    /// How long an answer of the backend may take, until it counts as away. The default is 250 ms.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How far ahead permits are taken when they are not needed yet: nobody waits longer for what
    /// others hold. Where calls want more than the rate allows, leases are so small that all
    /// together hold the permits of this time. The default is a second.
    pub fn horizon(mut self, limit: Duration) -> Self {
        self.horizon = limit;
        self
    }

    /// Who is told of every question to the backend, and what came of it: see
    /// [`Recorder::quota_asked`].
    pub fn recorder(mut self, recorder: impl Recorder + 'static) -> Self {
        self.recorder = Some(Arc::new(recorder));
        self
    }

    /// How long after its time a permit may be used.
    #[must_use]
    pub fn lateness(&self) -> Duration {
        self.rate.interval().saturating_mul(self.late_permits())
    }

    /// The rate that the backend is asked for.
    pub(super) fn granted_rate(&self) -> Rate {
        let burst = self.rate.burst() - self.late_permits();
        self.rate.with_burst(burst).unwrap_or(self.rate)
    }

    fn late_permits(&self) -> u32 {
        self.rate.burst() / 2
    }
}

impl fmt::Debug for SharedQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQuota")
            .field("rate", &self.rate)
            .field("backend", &self.backend)
            .field("away", &self.away)
            .field("lease", &self.lease)
            .field("timeout", &self.timeout)
            .field("horizon", &self.horizon)
            .finish_non_exhaustive()
    }
}

/// A quota that can't be shared as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidQuota {
    /// The rate has a burst of 1.
    NoLateness,
    /// The backend can't be reached as it is described; never with the description itself, which may
    /// have a password.
    Backend(String),
}

impl fmt::Display for InvalidQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLateness => f.write_str(
                "a rate with a burst of 1 leaves no time in which a shared permit could be used: allow a burst of 2 at least",
            ),
            Self::Backend(reason) => write!(f, "the backend of the quota: {reason}"),
        }
    }
}

impl Error for InvalidQuota {}

/// A [`QuotaBackend`] of any type.
pub(super) trait Backend: fmt::Debug + Send + Sync {
    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Lease, QuotaError>>;
    fn give_back(&self, rate: Rate, unused: Vec<Duration>)
    -> BoxFuture<'_, Result<(), QuotaError>>;
    fn pause(&self, rate: Rate, wait: Duration) -> BoxFuture<'_, Result<(), QuotaError>>;
}

impl<B: QuotaBackend> Backend for B {
    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Lease, QuotaError>> {
        Box::pin(QuotaBackend::lease(self, request))
    }

    fn give_back(
        &self,
        rate: Rate,
        unused: Vec<Duration>,
    ) -> BoxFuture<'_, Result<(), QuotaError>> {
        Box::pin(QuotaBackend::give_back(self, rate, unused))
    }

    fn pause(&self, rate: Rate, wait: Duration) -> BoxFuture<'_, Result<(), QuotaError>> {
        Box::pin(QuotaBackend::pause(self, rate, wait))
    }
}
