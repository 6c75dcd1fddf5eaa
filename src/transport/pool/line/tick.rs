//! Changes that come with time.

use std::time::Duration;

use tokio::time::Instant;

use super::unused::{Keep, Unused};
use super::waiter::Claim;
use super::{CLAIM, Line, Wakes};

/// The time after which more connections are tried, if no descriptor was left for them.
pub(super) const RECOVERY: Duration = Duration::from_secs(1);

/// The time until waiters are woken again that only had to show that they are polled, for each of them.
const COST_OF_WAKING: Duration = Duration::from_micros(20);

impl<E: Keep, S: Keep + Clone> Line<E, S> {
    /// Passes late claims on; runs every [`CLAIM`]. Returns whether there are waiters.
    ///
    /// - Waiters with late claims leave the line. Then all others are woken: those that are not polled
    ///   until the next time leave it as well, so that many held calls delay the others no more than one.
    /// - If no waiter went on for too long, one may exceed the limits: callers may hold replies unread, and
    ///   a server may be one of many behind an address, and dead.
    pub(in crate::transport::pool) fn tick(
        &mut self,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) -> bool {
        let is_over = |since: Option<Instant>, limit| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
        };
        self.waiting.retain(|_, waiter| {
            if waiter.is_asked {
                wakes.discard(waiter.take_waker());
            }
            !waiter.is_asked
        });
        let called = self.called.len();
        self.called
            .retain(|_, called| !is_over(Some(called.at), CLAIM));
        let cost = COST_OF_WAKING * u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        if self.called.len() < called && self.asked.is_none_or(|asked| is_over(Some(asked), cost)) {
            self.asked = Some(now);
            for waiter in self.waiting.values_mut() {
                waiter.is_asked = true;
                wakes.add(waiter.waker.clone());
            }
        }
        if is_over(self.lowered, RECOVERY) {
            self.ceiling = self.limits.connections;
            self.lowered = None;
        }
        // None takes so long, unless its server answered before it read the request.
        self.returning = 0;
        self.settle(now, wakes);
        if is_over(self.moved, self.limits.patience)
            && self.claims(Claim::Excess) == 0
            && let Some((ticket, waiter)) = self.first(true)
        {
            self.call(ticket, waiter, Claim::Excess, now, wakes);
        }
        self.has_waiting()
    }

    /// Closes unused connections whose time is over, and returns when the next one's is.
    pub(in crate::transport::pool) fn close_expired(
        &mut self,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) -> Option<Instant> {
        let expired = self.free.extract_if(.., |unused| !unused.is_usable(now));
        wakes.close(expired.map(|unused| unused.connection));
        let expired = self.shared.take_if(|shared| !shared.is_usable(now));
        wakes.close_shared(expired.map(|shared| shared.connection));
        self.next_expiry(now)
    }

    /// When the time of the next unused connection is over.
    pub(in crate::transport::pool) fn next_expiry(&self, now: Instant) -> Option<Instant> {
        let free = self.free.iter().filter(|unused| unused.is_usable(now));
        let shared = self.shared.iter().filter(|shared| shared.is_usable(now));
        free.map(Unused::expiry)
            .chain(shared.map(Unused::expiry))
            .min()
    }
}
