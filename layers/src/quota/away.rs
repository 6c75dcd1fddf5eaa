//! What happens while the backend of a quota can't be asked.

use std::time::Duration;

use tokio::time::Instant;

use super::{QuotaError, WhenAway};
use crate::gcra::Gcra;
use crate::permits::{Decision, PermitSource};
use crate::{Backoff, Rate};

/// When a backend that is away is asked again.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Whether the backend answers, and what calls do where it does not.
#[derive(Debug)]
pub(super) struct Health {
    away: Option<Away>,
    /// How often it has failed since it was last of use.
    failures: u32,
    policy: WhenAway,
    /// The share of this process.
    share: Rate,
    retry: Retry,
}

/// When who was not answered asks again.
#[derive(Debug)]
pub(super) struct Retry(Backoff);

impl Retry {
    pub(super) fn new() -> Self {
        Self(Backoff::new(FIRST_RETRY, LAST_RETRY).unwrap_or_default())
    }

    /// After so many failures in a row: later each time, and spread over the second half of that.
    pub(super) fn after(&self, failures: u32) -> Duration {
        (self.0.ceiling(failures) + self.0.delay(failures)) / 2
    }
}

#[derive(Debug)]
struct Away {
    error: QuotaError,
    retry_at: Instant,
    share: Option<Gcra>,
}

impl Health {
    /// One of a backend that nobody has asked yet.
    pub(super) fn new(policy: WhenAway, rate: Rate) -> Self {
        let instances = match policy {
            WhenAway::LocalShare { instances } => instances,
            WhenAway::FailOpen | WhenAway::FailClosed => 1,
        };
        Self {
            away: None,
            failures: 0,
            policy,
            share: rate.share(instances),
            retry: Retry::new(),
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Whether it was away until now.
    pub(super) fn is_back(&mut self) -> bool {
        self.away.take().is_some()
    }

    /// A permit was used. One that merely answers may grant nothing of use again, and goes on being asked
    /// less and less often.
    pub(super) fn is_of_use(&mut self) {
        if self.away.is_none() {
            self.failures = 0;
        }
    }

    pub(super) fn fail(&mut self, now: Instant, error: QuotaError) {
        let share = self.away.take().and_then(|away| away.share);
        self.failures = self.failures.saturating_add(1);
        let retry_at = now.checked_add(self.retry.after(self.failures));
        let share = match (self.policy, share) {
            (WhenAway::LocalShare { .. }, None) => Some(Gcra::spent(self.share, now)),
            (_, share) => share,
        };
        self.away = Some(Away {
            error,
            retry_at: retry_at.unwrap_or(now),
            share,
        });
    }

    /// Whether it is time to ask it again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.away.as_ref().is_some_and(|away| away.retry_at <= now)
    }

    /// What a call does meanwhile; with nothing where it waits for the answer that is to come.
    pub(super) fn decide(&mut self, now: Instant, is_asking: bool) -> Option<Decision> {
        let Away {
            error,
            retry_at,
            share,
            ..
        } = self.away.as_mut()?;
        match (self.policy, share) {
            (WhenAway::LocalShare { .. }, Some(share)) => Some(share.take_permit(now)),
            (WhenAway::FailClosed, _) if is_asking => None,
            (WhenAway::FailClosed, _) => {
                let retry_after = retry_at.saturating_duration_since(now);
                Some(Decision::Unavailable(error.clone(), retry_after))
            }
            (WhenAway::FailOpen | WhenAway::LocalShare { .. }, _) => Some(Decision::Granted),
        }
    }

    /// The least time until there is a permit of the own share for who comes after `ahead` others; zero
    /// where there is no share.
    pub(super) fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        let share = self.away.as_ref().and_then(|away| away.share.as_ref());
        share.map_or(Duration::ZERO, |share| share.earliest(now, ahead))
    }
}
