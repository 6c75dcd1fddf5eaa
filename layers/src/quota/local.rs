use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Lease, LeaseRequest, QuotaBackend, QuotaError};
use crate::Rate;
use crate::gcra::{Gcra, duration};

/// A quota that limiters of one process share, in its memory, on tokio's clock.
///
/// It is the plainest [`QuotaBackend`]: for tests, simulations, and to see what one has to do. Where
/// one process has one quota, a [`RateLimiter`](crate::RateLimiter) of a [`Rate`] does with clones
/// what takes several limiters here.
#[derive(Debug)]
pub struct LocalQuota {
    base: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// See [`Gcra`].
    next: u128,
    paused_until: u128,
}

impl LocalQuota {
    /// A quota that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            base: Instant::now(),
            state: Mutex::default(),
        }
    }

    fn with_state<T>(&self, act: impl FnOnce(&mut State, u128) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut state, self.base.elapsed().as_nanos())
    }
}

impl Default for LocalQuota {
    fn default() -> Self {
        Self::new()
    }
}

impl QuotaBackend for LocalQuota {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        Ok(self.with_state(|state, now| {
            if state.paused_until > now {
                return Lease::paused(duration(now), duration(state.paused_until));
            }
            if request.permits == 0 {
                return Lease::new(duration(now), Vec::new());
            }
            let mut gcra = Gcra::new(request.rate, self.base);
            gcra.set_next(state.next);
            let permits = gcra.reserve(now, request.permits, request.horizon.as_nanos());
            state.next = gcra.next();
            Lease::new(duration(now), permits.map(duration).collect())
        }))
    }

    async fn give_back(&self, rate: Rate, unused: Vec<Duration>) -> Result<(), QuotaError> {
        self.with_state(|state, now| {
            let mut gcra = Gcra::new(rate, self.base);
            gcra.set_next(state.next);
            for from in unused.iter().rev() {
                if !gcra.revoke(now, from.as_nanos()) {
                    break;
                }
            }
            if state.paused_until > 0 {
                gcra.empty_at(state.paused_until);
            }
            state.next = gcra.next();
        });
        Ok(())
    }

    async fn pause(&self, rate: Rate, wait: Duration) -> Result<(), QuotaError> {
        self.with_state(|state, now| {
            let until = now.saturating_add(wait.as_nanos());
            state.paused_until = state.paused_until.max(until);
            let mut gcra = Gcra::new(rate, self.base);
            gcra.set_next(state.next);
            gcra.empty_at(state.paused_until);
            state.next = gcra.next();
        });
        Ok(())
    }
}
