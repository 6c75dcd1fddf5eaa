use std::time::Duration;

use tokio::time::Instant;

use crate::gcra::Gcra;
use crate::quota::SharedSource;
use crate::source::Source;
use crate::{Rate, RateLimiter, SharedQuota};

/// The longest pause by default: shorter than a client's deadline, so that the first calls of a pause
/// are served late instead of failing at once.
const DEFAULT_MAX_PAUSE: Duration = Duration::from_secs(20);

/// The longest pause that can be set: no reply of a server stops a client for good.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Builds a [`RateLimiter`]: see [`RateLimiter::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RateLimiterBuilder {
    permits: Permits,
    max_wait: Option<Duration>,
    max_pause: Duration,
}

/// Where the permits come from.
#[derive(Clone, Debug)]
pub(crate) enum Permits {
    Local(Rate),
    Shared(SharedQuota),
}

impl RateLimiterBuilder {
    pub(crate) fn new(permits: Permits) -> Self {
        Self {
            permits,
            max_wait: None,
            max_pause: DEFAULT_MAX_PAUSE,
        }
    }

    /// Sets the longest wait of a call. It fails with [`RateLimited`](crate::RateLimited) after that,
    /// or at once if the wait is known to be longer. By default only the deadline of the call counts.
    ///
    /// At zero no call waits at all; a time that is too long for the clock is no limit.
    pub fn max_wait(mut self, limit: Duration) -> Self {
        self.max_wait = Some(limit);
        self
    }

    /// Sets the longest pause, even if the server asks for more. By default 20 seconds, which is less
    /// than a client's default deadline; a day is the most.
    ///
    /// At zero there are no pauses, and no rate is looked for: the configured rate alone counts. If a
    /// quota is shared, one that another process was asked for is
    /// kept to for 100 ms at the least, as nothing is granted until it ends: then the backend is asked
    /// again.
    pub fn max_pause(mut self, limit: Duration) -> Self {
        self.max_pause = limit;
        self
    }

    /// Builds the limiter.
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
