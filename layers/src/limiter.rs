use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::gcra::Gcra;
use crate::quota::{SharedSource, give_back_later, run};
#[cfg(test)]
use crate::turnstile::PermitSource;
use crate::turnstile::{Source, Turn, Turnstile};
use crate::{QuotaError, Rate, SharedQuota};

/// How long a pause is at most where nothing else was said.
const DEFAULT_MAX_PAUSE: Duration = Duration::from_secs(60);

/// How long a pause is at most, whatever was said: nothing that a server sends stops a client for
/// good.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Keeps calls within a [`Rate`], in the order in which they came, and pauses them where the server
/// asks for it.
///
/// Clones share the quota: keep one for each credential, and give a clone to each
/// [`RateLimitLayer`](crate::RateLimitLayer) that uses it, in whatever task, thread or runtime.
///
/// After a pause one call goes first, and the others wait until it is back: what it learns holds
/// for them too. Where it is dropped half-way, the next one goes first.
///
/// The clock is tokio's, so that a test may pause it.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::{Rate, RateLimiter};
///
/// let limiter = RateLimiter::builder(Rate::per_second(50)?.with_burst(10)?)
///     .max_wait(Duration::from_secs(5))
///     .build();
/// let same = limiter.clone();
///
/// // A message from elsewhere that the quota is used up.
/// same.pause(Duration::from_secs(10));
/// # Ok::<(), idpflare_layers::InvalidRate>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    turnstile: Mutex<Turnstile>,
    max_wait: Option<Duration>,
    max_pause: Duration,
    /// Where the permits are not those of this process alone.
    quota: Option<SharedQuota>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(quota) = &self.quota {
            let turnstile = self.turnstile.get_mut();
            let turnstile = turnstile.unwrap_or_else(PoisonError::into_inner);
            if let Some(source) = turnstile.shared() {
                give_back_later(quota, source.take_unused(Instant::now()));
            }
        }
    }
}

impl From<Rate> for RateLimiter {
    fn from(rate: Rate) -> Self {
        Self::new(rate)
    }
}

impl From<SharedQuota> for RateLimiter {
    fn from(quota: SharedQuota) -> Self {
        Self::shared(quota).build()
    }
}

impl RateLimiter {
    /// A limiter of this rate that makes calls wait for as long as it takes, and pauses for at most
    /// a minute.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::builder(rate).build()
    }

    /// A limiter of this rate, to be configured further.
    pub fn builder(rate: Rate) -> RateLimiterBuilder {
        RateLimiterBuilder::new(Permits::Local(rate))
    }

    /// A limiter of a rate that other processes share, to be configured further.
    pub fn shared(quota: SharedQuota) -> RateLimiterBuilder {
        RateLimiterBuilder::new(Permits::Shared(quota))
    }

    /// Lets no further call through for so long, in any clone; at most for the limit that
    /// [`max_pause`](RateLimiterBuilder::max_pause) set. Then one goes first. Where the quota is
    /// [shared](Self::shared), the other processes are told to pause, too: by a task of the tokio runtime
    /// that this is called in. Outside of one they are not told, and only clones pause.
    ///
    /// It never shortens a pause that there is already. One of zero only makes one call go first.
    pub fn pause(&self, wait: Duration) {
        if self.shared.max_pause.is_zero() {
            return;
        }
        let waker = self.with_turnstile(|turnstile, now| {
            let until = now.checked_add(wait.min(self.shared.max_pause));
            let until = until.unwrap_or(now);
            if let Some(source) = turnstile.shared() {
                source.paused(now, until);
            }
            turnstile.pause(until)
        });
        wake(waker);
    }

    /// Goes through at once where nobody waits, there is a permit, and it is before `deadline`.
    pub(crate) fn try_enter(&self, deadline: Option<Instant>) -> Option<Entered> {
        let probe = self.with_turnstile(|turnstile, now| {
            let in_time = deadline.is_none_or(|deadline| now < deadline);
            in_time.then(|| turnstile.try_enter(now)).flatten()
        })?;
        Some(self.entered(probe))
    }

    /// A place in the line, which is taken when it is first polled.
    pub(crate) fn place(&self) -> Place {
        Place {
            limiter: self.clone(),
            ticket: None,
        }
    }

    fn entered(&self, probe: Option<u64>) -> Entered {
        Entered(probe.map(|number| Probe {
            limiter: self.clone(),
            number,
            learned: false,
        }))
    }

    /// The clock is read under the lock, so that times never come out of order.
    fn with_turnstile<T>(&self, act: impl FnOnce(&mut Turnstile, Instant) -> T) -> T {
        let turnstile = &self.shared.turnstile;
        let mut turnstile = turnstile.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut turnstile, Instant::now());
        let Some(quota) = &self.shared.quota else {
            return result;
        };
        let errands = turnstile.shared().map(SharedSource::errands);
        drop(turnstile);
        // Without the lock: a runtime that is being shut down gives up what it is given at once.
        if let Some(errands) = &errands {
            run(errands, quota, || WeakLimiter(Arc::downgrade(&self.shared)));
        }
        result
    }

    fn with(
        source: Source,
        quota: Option<SharedQuota>,
        max_wait: Option<Duration>,
        max_pause: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                turnstile: Mutex::new(Turnstile::new(source)),
                max_wait,
                max_pause,
                quota,
            }),
        }
    }

    #[cfg(test)]
    fn with_source(
        source: Box<dyn PermitSource>,
        max_wait: Option<Duration>,
        max_pause: Duration,
    ) -> Self {
        Self::with(Source::Scripted(source), None, max_wait, max_pause)
    }
}

/// A limiter, for as long as somebody else has it.
#[derive(Clone, Debug)]
pub(crate) struct WeakLimiter(Weak<Shared>);

impl WeakLimiter {
    /// Takes in an answer of the backend, for which the first in line waits.
    pub(crate) fn answer<T>(&self, act: impl FnOnce(&mut SharedSource, Instant) -> T) -> Option<T> {
        let limiter = self.upgrade()?;
        let (result, waker) = limiter.with_turnstile(|turnstile, now| {
            let result = turnstile.shared().map(|source| act(source, now));
            (result, turnstile.take_first())
        });
        wake(waker);
        result
    }

    /// Looks at what is held, and whether somebody waits for it.
    pub(crate) fn look<T>(
        &self,
        act: impl FnOnce(&mut SharedSource, bool, Instant) -> T,
    ) -> Option<T> {
        self.upgrade()?.with_turnstile(|turnstile, now| {
            let is_awaited = turnstile.is_awaited();
            let source = turnstile.shared()?;
            Some(act(source, is_awaited, now))
        })
    }

    fn upgrade(&self) -> Option<RateLimiter> {
        let shared = self.0.upgrade()?;
        Some(RateLimiter { shared })
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("max_wait", &self.shared.max_wait)
            .field("max_pause", &self.shared.max_pause)
            .finish_non_exhaustive()
    }
}

/// How a [`RateLimiter`] is made: see [`RateLimiter::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RateLimiterBuilder {
    permits: Permits,
    max_wait: Option<Duration>,
    max_pause: Duration,
}

/// Where the permits come from.
#[derive(Clone, Debug)]
enum Permits {
    Local(Rate),
    Shared(SharedQuota),
}

impl RateLimiterBuilder {
    fn new(permits: Permits) -> Self {
        Self {
            permits,
            max_wait: None,
            max_pause: DEFAULT_MAX_PAUSE,
        }
    }

    /// No call waits for longer than this: it fails with [`RateLimited`](crate::RateLimited), at
    /// once where that can be told. By default only the deadline of the call counts.
    ///
    /// At zero no call waits at all; what is too long for the clock is no limit.
    pub fn max_wait(mut self, limit: Duration) -> Self {
        self.max_wait = Some(limit);
        self
    }

    /// No pause is longer than this, whatever the server asks for. By default a minute; a day is
    /// the most.
    ///
    /// At zero there are no pauses. Where a quota is shared, one that another process was asked for is kept
    /// to for 100 ms at the least, as nothing is granted until it ends: then the backend is asked again.
    pub fn max_pause(mut self, limit: Duration) -> Self {
        self.max_pause = limit;
        self
    }

    /// The limiter.
    #[must_use]
    pub fn build(self) -> RateLimiter {
        let now = Instant::now();
        let max_pause = self.max_pause.min(LONGEST_PAUSE);
        let (source, quota) = match self.permits {
            Permits::Local(rate) => (Source::Local(Gcra::new(rate, now)), None),
            Permits::Shared(quota) => {
                let source = SharedSource::new(&quota, max_pause, now);
                (Source::Shared(Box::new(source)), Some(quota))
            }
        };
        RateLimiter::with(source, quota, self.max_wait, max_pause)
    }
}

/// A place in the line in front of the turnstile. Dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: RateLimiter,
    ticket: Option<u64>,
}

/// The answer to who has a [`Place`].
#[derive(Debug)]
pub(crate) enum Answer {
    Entered(Entered),
    Wait {
        at_least: Duration,
        look_again: Option<Instant>,
    },
    /// See [`Turn::Refused`].
    Refused(QuotaError, Duration),
}

impl Place {
    pub(crate) fn max_wait(&self) -> Option<Duration> {
        self.limiter.shared.max_wait
    }

    pub(crate) fn poll_enter(&mut self, cx: &mut Context<'_>) -> Answer {
        // Dropped at the end of this function, outside of the lock.
        let mut stale = None;
        let ticket = &mut self.ticket;
        let turn = self
            .limiter
            .with_turnstile(|turnstile, now| turnstile.poll_enter(ticket, now, cx, &mut stale));
        match turn {
            Turn::Enter(probe) => {
                let entered = self.limiter.entered(probe);
                self.leave();
                Answer::Entered(entered)
            }
            Turn::Refused(error, wait) => {
                self.leave();
                Answer::Refused(error, wait)
            }
            Turn::Wait {
                at_least,
                look_again,
            } => Answer::Wait {
                at_least,
                look_again,
            },
        }
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let (own, next) = self
                .limiter
                .with_turnstile(|turnstile, _| turnstile.leave(ticket));
            drop(own);
            wake(next);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Proof that a permit was taken.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entered(Option<Probe>);

impl Entered {
    /// There is an answer that asks for no pause, or as much of one as there will be.
    pub(crate) fn learned(mut self) {
        if let Some(probe) = &mut self.0 {
            probe.learned = true;
        }
    }
}

/// The call that goes first after a pause.
#[derive(Debug)]
struct Probe {
    limiter: RateLimiter,
    number: u64,
    learned: bool,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let (number, learned) = (self.number, self.learned);
        wake(
            self.limiter
                .with_turnstile(|turnstile, now| turnstile.probe_is_back(number, learned, now)),
        );
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
