//! What is known of another machine's clock.

/// The machines' clocks run alike but for one part in so many. NTP moves none by more than half of
/// that.
const DRIFT: i128 = 1000;

/// How finely a backend reads its clock at the worst, in nanoseconds.
const RESOLUTION: i128 = 1_000;

/// Between which values the backend's time less our own lies.
///
/// Whatever the backend reads on its clock, it does so between when it was asked and when the answer
/// is here. Of several answers each narrows it down: the fastest one counts, until the clocks have
/// had time to drift. Neither clock needs to be right, they only need to run.
///
/// All numbers are nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackendClock {
    least: i128,
    most: i128,
    /// Our own time when these were right.
    at: i128,
}

impl BackendClock {
    pub(super) fn new(sent: i128, received: i128, backend: i128) -> Self {
        let trip = received.saturating_sub(sent).max(0);
        Self {
            least: backend.saturating_sub(received),
            most: backend
                .saturating_add(RESOLUTION)
                .saturating_add(trip / DRIFT)
                .saturating_sub(sent),
            at: received,
        }
    }

    /// The clock after one more answer. `None` where that contradicts what was known, because it comes
    /// from a clock that was set, or from another machine.
    pub(super) fn observe(self, sent: i128, received: i128, backend: i128) -> Option<Self> {
        let new = Self::new(sent, received, backend);
        let drift = self.drift(received);
        let both = Self {
            least: new.least.max(self.least.saturating_sub(drift)),
            most: new.most.min(self.most.saturating_add(drift)),
            at: received,
        };
        (both.least <= both.most).then_some(both)
    }

    /// It is no earlier there.
    pub(super) fn earliest(self, now: i128) -> i128 {
        now.saturating_add(self.least)
            .saturating_sub(self.drift(now))
    }

    /// It is no later there.
    pub(super) fn latest(self, now: i128) -> i128 {
        now.saturating_add(self.most)
            .saturating_add(self.drift(now))
    }

    /// How long until it is certainly `backend` there; zero where it is.
    pub(super) fn until(self, backend: i128, now: i128) -> i128 {
        let missing = backend.saturating_sub(self.earliest(now));
        if missing <= 0 {
            return 0;
        }
        missing
            .saturating_add(missing / (DRIFT - 1))
            .saturating_add(1)
    }

    fn drift(self, now: i128) -> i128 {
        now.saturating_sub(self.at).max(0) / DRIFT
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_true_time_is_always_between_the_bounds(
            offset in -1_000_000_000_000_i128..1_000_000_000_000,
            // How much faster the other clock runs, in millionths.
            drift in -400_i128..400,
            exchanges in prop::collection::vec((0..5_000_000_000_i128, 0..50_000_000_i128, 0..100_i128), 1..40),
            later in 0..10_000_000_000_i128,
        ) {
            let backend = |now: i128| now + offset + now * drift / 1_000_000;
            let mut now = 0;
            let mut clock: Option<BackendClock> = None;
            for (gap, trip, share) in exchanges {
                let sent = now + gap;
                let read = sent + trip * share / 100;
                now = sent + trip;
                clock = Some(match clock {
                    Some(clock) => clock.observe(sent, now, backend(read)).expect("it was not set"),
                    None => BackendClock::new(sent, now, backend(read)),
                });
            }
            let clock = clock.expect("one exchange at least");
            for now in [now, now + later] {
                prop_assert!(clock.earliest(now) <= backend(now));
                prop_assert!(clock.latest(now) >= backend(now));
                let target = backend(now) + later;
                let due = now + clock.until(target, now);
                prop_assert!(clock.earliest(due) >= target);
            }
        }
    }

    #[test]
    fn a_fast_answer_counts_after_slow_ones_too() {
        let clock = BackendClock::new(0, 100, 1_000_050);
        let clock = clock.observe(1_000, 1_000_000, 1_600_000);
        let clock = clock.expect("it was not set");
        assert!(clock.latest(1_000_000) - clock.earliest(1_000_000) < 6_000);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let clock = BackendClock::new(0, 100, 1_000_000_000);
        assert!(clock.observe(200, 300, 5_250).is_none());
    }
}
