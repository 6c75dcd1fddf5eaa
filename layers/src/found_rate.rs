//! The rate that a server keeps to without saying so.
//!
//! A 429 that names no time says only that the last rate was too high. From then on permits are
//! spaced, beside the configured rate, at a rate that is looked for:
//!
//! - The first refusal leaves 0.7 of the successes of the last second, and at least 5 a second:
//!   after a quiet time few successes say little of the server's rate. Until the next refusal the
//!   rate doubles each second.
//! - A refusal within the next second, which measures nothing yet, halves the rate.
//! - Each later refusal leaves 0.7 of the successes of the last second, and at least one in two
//!   seconds. From then on the rate grows by a tenth each second; after a second without a success,
//!   which measures nothing, it doubles as before.
//! - The rate grows only after a second in which a permit waited for it and a request succeeded: a
//!   rate that is not used is not tested.
//! - A refusal of a request that was sent before the last change to a lower rate says nothing new.
//! - A minute without a refusal ends it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// For how long permits are held back after a refusal without a hint.
pub(crate) const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

const WINDOW: Duration = Duration::from_secs(1);
const CHECKPOINTS: u32 = 10;
const GOES_AFTER: Duration = Duration::from_secs(60);

/// The spacing at the lowest rate that is tried.
const WIDEST: Duration = Duration::from_secs(2);
/// The spacing at the lowest rate that is tried first.
const WIDEST_AT_FIRST: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(crate) struct FoundRate {
    /// Totals of successes, one for each tenth of the last second with a permit, oldest first.
    checkpoints: VecDeque<(Instant, u64)>,
    spacing: Option<Spacing>,
    /// Grows with each change to a lower rate.
    epoch: u32,
}

#[derive(Debug)]
struct Spacing {
    since: Instant,
    interval: Duration,
    /// When the next permit may be taken.
    next: Instant,
    refused_at: Instant,
    is_confirmed: bool,
    second: Second,
}

/// The use of the rate since it was changed last.
#[derive(Debug)]
struct Second {
    since: Instant,
    successes_before: u64,
    has_waited: bool,
}

impl Second {
    fn new(since: Instant, successes_before: u64) -> Self {
        Self {
            since,
            successes_before,
            has_waited: false,
        }
    }
}

impl FoundRate {
    /// Names the requests that are sent from now on.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// How long until a permit may be taken.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        let Some(spacing) = &mut self.spacing else {
            return Duration::ZERO;
        };
        let wait = spacing.next.saturating_duration_since(now);
        spacing.second.has_waited |= !wait.is_zero();
        wait
    }

    /// The least time until the caller behind `ahead` others may take a permit.
    pub(crate) fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        let Some(spacing) = &self.spacing else {
            return Duration::ZERO;
        };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let wait = spacing.next.saturating_duration_since(now);
        wait.saturating_add(spacing.interval.saturating_mul(ahead))
    }

    /// Counts a permit that was taken, when there had been `successes` in all. Returns whether the
    /// rate has grown.
    pub(crate) fn took(&mut self, now: Instant, successes: u64) -> bool {
        let last = self.checkpoints.back();
        if last.is_none_or(|(at, _)| now.saturating_duration_since(*at) >= WINDOW / CHECKPOINTS) {
            self.checkpoints.push_back((now, successes));
            // The first one that stays is the last one from before the window.
            while let Some((second, _)) = self.checkpoints.get(1)
                && now.saturating_duration_since(*second) >= WINDOW
            {
                self.checkpoints.pop_front();
            }
        }
        let Some(spacing) = &mut self.spacing else {
            return false;
        };
        if now.saturating_duration_since(spacing.refused_at) >= GOES_AFTER {
            self.spacing = None;
            return true;
        }
        spacing.next = now.checked_add(spacing.interval).unwrap_or(now);
        let second = &spacing.second;
        if now.saturating_duration_since(second.since) < WINDOW {
            return false;
        }
        let grows = second.has_waited && successes > second.successes_before;
        if grows {
            let interval = spacing.interval;
            spacing.interval = if spacing.is_confirmed {
                interval.saturating_mul(10) / 11
            } else {
                interval / 2
            };
        }
        spacing.second = Second::new(now, successes);
        grows
    }

    /// Lowers the rate after a refusal without a hint of a request that was sent in `epoch`. Returns
    /// whether the refusal says something new.
    pub(crate) fn refused(&mut self, now: Instant, epoch: u32, successes: u64) -> bool {
        if epoch != self.epoch {
            if let Some(spacing) = &mut self.spacing {
                spacing.refused_at = now;
            }
            return false;
        }
        self.epoch = epoch.wrapping_add(1);
        let (interval, is_confirmed) = match &self.spacing {
            None => {
                let measured = self.interval(now, successes).unwrap_or(WIDEST);
                (measured.min(WIDEST_AT_FIRST), false)
            }
            // There was no second yet in which something could be measured.
            Some(spacing) if now.saturating_duration_since(spacing.since) < WINDOW => {
                (spacing.interval.saturating_mul(2).min(WIDEST), false)
            }
            Some(_) => match self.interval(now, successes) {
                Some(measured) => (measured.min(WIDEST), true),
                None => (WIDEST, false),
            },
        };
        let since = self.spacing.as_ref().map_or(now, |spacing| spacing.since);
        self.spacing = Some(Spacing {
            since,
            interval,
            next: now,
            refused_at: now,
            is_confirmed,
            second: Second::new(now, successes),
        });
        true
    }

    /// The interval at 0.7 of the successes of the last second, if there were any.
    fn interval(&self, now: Instant, successes: u64) -> Option<Duration> {
        let within = |at: Instant| now.saturating_duration_since(at) <= WINDOW;
        let in_window = self.checkpoints.iter().position(|(at, _)| within(*at));
        let since = match in_window {
            // The one before is from before the window, and no longer than a tenth of it.
            Some(first) => self.checkpoints.get(first.saturating_sub(1)),
            None => self.checkpoints.back(),
        };
        let before = since.map_or(successes, |(_, before)| *before);
        let recent = u32::try_from(successes.saturating_sub(before)).unwrap_or(u32::MAX);
        WINDOW
            .saturating_mul(10)
            .checked_div(recent.saturating_mul(7))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_is_not_used_does_not_grow() {
        let mut found = FoundRate::default();
        let mut now = Instant::now();
        assert!(found.refused(now, found.epoch(), 0));
        for successes in 1..20 {
            let is_used = successes % 2 == 0;
            if is_used {
                assert!(!found.wait(now).is_zero(), "it comes before its time");
            }
            now += Duration::from_secs(2);
            assert_eq!(found.wait(now), Duration::ZERO);
            assert_eq!(found.took(now, successes), is_used, "{successes}");
        }
    }
}
