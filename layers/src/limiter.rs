use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

#[cfg(all(test, idpflare_loom))]
use loom::sync::Mutex;
#[cfg(all(test, idpflare_loom))]
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(not(all(test, idpflare_loom)))]
use std::sync::Mutex;
#[cfg(not(all(test, idpflare_loom)))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::time::Instant;

use crate::found_rate::REFUSAL_PAUSE;
use crate::limiter_builder::{Permits, RateLimiterBuilder};
use crate::permit::{Permit, Ticket};
use crate::queue::Queue;
use crate::quota::{SharedSource, give_back_later, run};
use crate::source::Source;
use crate::wakes::Wakes;
use crate::{Rate, SharedQuota};

/// Keeps calls within a [`Rate`], in the order in which they came, and pauses them when the server
/// asks for it.
///
/// Clones share the quota: keep one for each credential, and give a clone to each
/// [`RateLimitLayer`](crate::RateLimitLayer) that uses it, in any task, thread or runtime.
///
/// After a pause one call goes first, and the others wait for its answer, for a second at most. If it
/// is dropped before, the next one goes first.
///
/// A server that refuses with a 429 and names no time keeps to a rate of its own. The
/// limiter finds it: it lowers the rate to 0.7 of the successes of the last second, and raises it by
/// a tenth each second; after the first such refusal, which says little, to at least 5 a second, and
/// doubles it each second. A minute without such a refusal ends that.
///
/// A future that waits for a permit and is not polled when its turn comes loses its place. Those
/// behind it get their permits at most 100 ms late, and it gets in line at the end when it is polled
/// again.
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
    queue: Mutex<Queue>,
    /// Whether the answer to a probe is waited for. Written under the lock of the queue.
    is_probing: AtomicBool,
    successes: AtomicU64,
    max_wait: Option<Duration>,
    max_pause: Duration,
    /// There only if the permits are not those of this process alone.
    quota: Option<SharedQuota>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(quota) = &self.quota {
            let queue = self.queue.get_mut();
            let queue = queue.unwrap_or_else(PoisonError::into_inner);
            if let Some(source) = queue.shared() {
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
    /// Creates a limiter of this rate. Calls wait for as long as it takes, and a pause ends after 20
    /// seconds at most.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::builder(rate).build()
    }

    /// Starts a limiter of this rate, to be configured further.
    pub fn builder(rate: Rate) -> RateLimiterBuilder {
        RateLimiterBuilder::new(Permits::Local(rate))
    }

    /// Starts a limiter of a rate that other processes share, to be configured further.
    pub fn shared(quota: SharedQuota) -> RateLimiterBuilder {
        RateLimiterBuilder::new(Permits::Shared(quota))
    }

    /// Holds back all calls of all clones for so long, at most for the limit that
    /// [`max_pause`](RateLimiterBuilder::max_pause) set. Then one goes first.
    ///
    /// If the quota is [shared](Self::shared), the other processes pause too. A task of the tokio
    /// runtime that this is called in announces it to them; outside of one, only clones pause.
    ///
    /// It never shortens a pause that there is already. One of zero only makes one call go first.
    pub fn pause(&self, wait: Duration) {
        if !self.shared.max_pause.is_zero() {
            self.with_queue(|queue, now, wakes| self.pause_queue(queue, now, wait, wakes));
        }
    }

    fn pause_queue(&self, queue: &mut Queue, now: Instant, wait: Duration, wakes: &mut Wakes) {
        let until = now.checked_add(wait.min(self.shared.max_pause));
        let until = until.unwrap_or(now);
        if let Some(source) = queue.shared() {
            source.paused(now, until);
        }
        queue.pause(until, now, wakes);
    }

    /// Lowers the rate after a refusal that names no time, of the request that had this `permit`.
    pub(crate) fn refused(&self, permit: &Permit) {
        if self.shared.max_pause.is_zero() {
            return;
        }
        self.with_queue(|queue, now, wakes| {
            let successes = self.successes();
            let found = &mut queue.schedule.found;
            if found.refused(now, permit.epoch(), successes) {
                self.pause_queue(queue, now, REFUSAL_PAUSE, wakes);
            }
        });
    }

    /// Takes in a reply that asks for no pause.
    pub(crate) fn passed(&self) {
        if self.shared.is_probing.load(Ordering::Acquire) {
            self.with_queue(|queue, now, wakes| {
                queue.schedule.open();
                queue.wake_first(now, wakes);
            });
        }
    }

    /// Counts a request that the server has served.
    pub(crate) fn succeeded(&self) {
        self.shared.successes.fetch_add(1, Ordering::Relaxed);
    }

    fn successes(&self) -> u64 {
        self.shared.successes.load(Ordering::Relaxed)
    }

    /// Takes a permit at once, if no call waits, there is one, and it is before `deadline`.
    pub(crate) fn try_take(&self, deadline: Option<Instant>) -> Option<Permit> {
        self.with_queue(|queue, now, wakes| {
            let in_time = deadline.is_none_or(|deadline| now < deadline);
            let probe = in_time.then(|| queue.try_take(now, wakes)).flatten()?;
            Some(self.permit(queue, probe, now, wakes))
        })
    }

    /// A place in the line, which is taken when it is first polled.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket::new(self.clone())
    }

    pub(crate) fn permit(
        &self,
        queue: &mut Queue,
        probe: Option<u64>,
        now: Instant,
        wakes: &mut Wakes,
    ) -> Permit {
        let found = &mut queue.schedule.found;
        let epoch = found.epoch();
        if found.took(now, self.successes()) {
            queue.turns_come_earlier(wakes);
        }
        Permit::new(epoch, probe.map(|number| (self.clone(), number)))
    }

    pub(crate) fn max_wait(&self) -> Option<Duration> {
        self.shared.max_wait
    }

    /// The clock is read under the lock, so that times never come out of order. Wakers are woken, and
    /// tasks spawned, without it: either may come back here.
    pub(crate) fn with_queue<T>(
        &self,
        act: impl FnOnce(&mut Queue, Instant, &mut Wakes) -> T,
    ) -> T {
        let mut wakes = Wakes::default();
        let queue = &self.shared.queue;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut queue, Instant::now(), &mut wakes);
        let is_probing = queue.schedule.is_probing();
        self.shared.is_probing.store(is_probing, Ordering::Release);
        let tasks = match &self.shared.quota {
            Some(quota) => queue.shared().map(|source| (source.errands(), quota)),
            None => None,
        };
        drop(queue);
        if let Some((errands, quota)) = &tasks {
            run(errands, quota, || WeakLimiter(Arc::downgrade(&self.shared)));
        }
        wakes.wake();
        result
    }

    pub(crate) fn with(
        source: Source,
        quota: Option<SharedQuota>,
        max_wait: Option<Duration>,
        max_pause: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(Queue::new(source)),
                is_probing: AtomicBool::new(false),
                successes: AtomicU64::new(0),
                max_wait,
                max_pause,
                quota,
            }),
        }
    }
}

/// A limiter, for as long as it is used elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct WeakLimiter(Weak<Shared>);

impl WeakLimiter {
    /// Takes in an answer of the backend, for which the first in line waits.
    pub(crate) fn answer<T>(&self, act: impl FnOnce(&mut SharedSource, Instant) -> T) -> Option<T> {
        self.upgrade()?.with_queue(|queue, now, wakes| {
            let result = queue.shared().map(|source| act(source, now));
            queue.wake_first(now, wakes);
            result
        })
    }

    /// Looks at what is held, and whether a call waits for it.
    pub(crate) fn look<T>(
        &self,
        act: impl FnOnce(&mut SharedSource, bool, Instant) -> T,
    ) -> Option<T> {
        self.upgrade()?.with_queue(|queue, now, _| {
            let is_awaited = queue.is_awaited();
            let source = queue.shared()?;
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

#[cfg(all(test, idpflare_loom))]
#[path = "limiter_model.rs"]
mod model;
#[cfg(all(test, not(idpflare_loom)))]
#[path = "limiter_tests.rs"]
mod tests;
