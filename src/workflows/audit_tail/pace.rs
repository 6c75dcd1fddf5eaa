use std::time::Duration;

use idpflare_layers::Backoff;

use crate::Error;

/// Less would keep a processor busy.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest wait that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(15 * 60);

/// How long a tail waits before it asks again.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    max_interval: Duration,
    backoff: Option<Backoff>,
    /// How often in a row there was nothing new.
    quiet: u32,
    failures: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            interval: Duration::from_secs(2),
            max_interval: Duration::from_secs(30),
            // A second and more: the client's own attempts have failed by then.
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).ok(),
            quiet: 0,
            failures: 0,
        }
    }

    pub(super) fn set_interval(&mut self, shortest: Duration, longest: Duration) {
        self.interval = shortest.max(SHORTEST);
        self.max_interval = longest.max(self.interval);
    }

    pub(super) fn set_backoff(&mut self, backoff: Backoff) {
        self.backoff = Some(backoff);
    }

    /// The log answers.
    pub(super) fn succeeds(&mut self) {
        self.failures = 0;
    }

    /// The wait before the log is read once more.
    pub(super) fn after_reading(&mut self, found_any: bool) -> Duration {
        if found_any {
            self.quiet = 0;
            return self.interval;
        }
        let factor = 1_u32.checked_shl(self.quiet).unwrap_or(u32::MAX);
        self.quiet = self.quiet.saturating_add(1);
        self.interval.saturating_mul(factor).min(self.max_interval)
    }

    /// How often it has failed in a row by now, and the wait before it is tried again.
    pub(super) fn after_failure(&mut self, error: &Error) -> (u32, Duration) {
        self.failures = self.failures.saturating_add(1);
        let drawn = self.backoff.as_ref().map(|backoff| {
            if error.status() == Some(http::StatusCode::TOO_MANY_REQUESTS) {
                backoff.rate_limited_delay(self.failures)
            } else {
                backoff.delay(self.failures)
            }
        });
        let asked = error.retry_after().map(|asked| asked.min(LONGEST_ASKED));
        let waits = [Some(self.interval), drawn, asked];
        let wait = waits.into_iter().flatten().max().unwrap_or(self.interval);
        (self.failures, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_times_are_asked_about_less_and_less() {
        let mut pace = Pace::new();
        let second = Duration::from_secs;
        pace.set_interval(second(1), second(10));
        let waits: Vec<_> = (0..6).map(|_| pace.after_reading(false)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10].map(second));
        assert_eq!(pace.after_reading(true), second(1));
        assert_eq!(pace.after_reading(false), second(1));
        for _ in 0..100 {
            assert!(pace.after_reading(false) <= second(10));
        }
    }

    #[test]
    fn no_interval_is_too_short_or_upside_down() {
        let mut pace = Pace::new();
        pace.set_interval(Duration::ZERO, Duration::ZERO);
        assert_eq!(pace.after_reading(true), SHORTEST);
        assert_eq!(pace.after_reading(false), SHORTEST);
        pace.set_interval(Duration::MAX, Duration::ZERO);
        assert_eq!(pace.after_reading(false), Duration::MAX);
    }
}
