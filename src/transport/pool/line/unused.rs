use std::time::Duration;

use tokio::time::Instant;

/// A connection that is kept while no request uses it.
pub(in crate::transport::pool) trait Keep {
    /// Returns whether a request can be sent over it, after it was unused for so long.
    fn is_usable(&self, unused: Duration) -> bool;
}

pub(super) struct Unused<C> {
    pub(super) connection: C,
    pub(super) since: Instant,
    pub(super) keep: Duration,
}

impl<C: Keep> Unused<C> {
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        let unused = now.saturating_duration_since(self.since);
        unused < self.keep && self.connection.is_usable(unused)
    }
}

impl<C> Unused<C> {
    /// The durations that are kept are bounded by the idle timeout.
    pub(super) fn expiry(&self) -> Instant {
        self.since + self.keep
    }
}
