use std::time::Duration;

use tokio::time::Instant;

use crate::Rate;
use crate::permits::{Decision, PermitSource};

const NANOS_PER_SEC: u128 = 1_000_000_000;

/// The generic cell rate algorithm: permits at a steady rate, and a burst after a time without any.
///
/// It keeps one number, the time at which a caller that never bursts would come next. Each permit
/// moves that by one interval, and it may be ahead of the clock by no more than the burst. Hence
/// any window `w` sees at most `burst + w / interval` permits.
///
/// All times are nanoseconds after `base`. The longest `Duration` has less than 2^94 of them and
/// the largest burst takes less than 2^96, so that nothing here comes near the end of a `u128`.
#[derive(Debug)]
pub(crate) struct Gcra {
    base: Instant,
    interval: u128,
    /// `interval` times the burst.
    capacity: u128,
    /// When a caller that never bursts would come next.
    next: u128,
}

impl Gcra {
    pub(crate) fn new(rate: Rate, base: Instant) -> Self {
        let interval = rate.interval().as_nanos();
        Self {
            base,
            interval,
            capacity: interval.saturating_mul(u128::from(rate.burst())),
            next: 0,
        }
    }

    /// One that has no burst saved up at `base`.
    pub(crate) fn spent(rate: Rate, base: Instant) -> Self {
        let mut this = Self::new(rate, base);
        this.next = this.capacity;
        this
    }

    /// Takes a permit, or tells in how many nanoseconds there is one.
    fn take(&mut self, now: u128) -> Result<(), u128> {
        // More than the whole capacity ahead it can only be where the clock has jumped back; then
        // no one waits for longer than an interval either.
        let next = self.next.min(now.saturating_add(self.capacity));
        let moved = next.max(now).saturating_add(self.interval);
        match moved.saturating_sub(now.saturating_add(self.capacity)) {
            0 => {
                self.next = moved;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// In how many nanoseconds there is a permit for who comes after `ahead` others.
    fn wait(&self, now: u128, ahead: usize) -> u128 {
        let next = self.next.min(now.saturating_add(self.capacity));
        let ahead = u128::try_from(ahead).unwrap_or(u128::MAX);
        next.max(now)
            .saturating_add(self.interval.saturating_mul(ahead.saturating_add(1)))
            .saturating_sub(now.saturating_add(self.capacity))
    }

    /// Takes at most `permits` in advance, and tells from when on each may be used. Only the first may
    /// be one for a time that is further away than `horizon`.
    pub(crate) fn reserve(
        &mut self,
        now: u128,
        permits: u32,
        horizon: u128,
    ) -> impl Iterator<Item = u128> + use<> {
        let next = self.next.max(now);
        let first = next.saturating_add(self.interval);
        let near = now
            .saturating_add(horizon)
            .saturating_add(self.capacity)
            .saturating_sub(next)
            / self.interval;
        let granted = near.clamp(1, u128::from(permits.max(1)));
        self.next = next.saturating_add(self.interval.saturating_mul(granted));
        let (interval, capacity) = (self.interval, self.capacity);
        (0..granted).map(move |number| {
            first
                .saturating_add(interval.saturating_mul(number))
                .saturating_sub(capacity)
                .max(now)
        })
    }

    /// Takes back the permit for this time, where it is the last one and its time has not come.
    pub(crate) fn revoke(&mut self, now: u128, from: u128) -> bool {
        let is_last = from > now && from.checked_add(self.capacity) == Some(self.next);
        if is_last {
            self.next = self.next.saturating_sub(self.interval);
        }
        is_last
    }

    /// Has no burst saved up at that time: one permit then, and the next an interval later.
    pub(crate) fn empty_at(&mut self, at: u128) {
        let next = at
            .saturating_add(self.capacity)
            .saturating_sub(self.interval);
        self.next = self.next.max(next);
    }

    pub(crate) fn next(&self) -> u128 {
        self.next
    }

    pub(crate) fn set_next(&mut self, next: u128) {
        self.next = next;
    }

    fn nanos(&self, at: Instant) -> u128 {
        at.saturating_duration_since(self.base).as_nanos()
    }
}

impl PermitSource for Gcra {
    fn take_permit(&mut self, now: Instant) -> Decision {
        match self.take(self.nanos(now)) {
            Ok(()) => Decision::Granted,
            Err(wait) => Decision::Wait(duration(wait)),
        }
    }

    fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        duration(self.wait(self.nanos(now), ahead))
    }
}

/// So many nanoseconds, or the longest duration where they don't fit.
pub(crate) fn duration(nanos: u128) -> Duration {
    let Ok(secs) = u64::try_from(nanos / NANOS_PER_SEC) else {
        return Duration::MAX;
    };
    let nanos = u32::try_from(nanos % NANOS_PER_SEC).unwrap_or_default();
    Duration::new(secs, nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WEEK: u128 = 7 * 24 * 3600 * NANOS_PER_SEC;

    fn gcra(interval: u64, burst: u32) -> Gcra {
        let rate = Rate::new(1, Duration::from_nanos(interval)).and_then(|r| r.with_burst(burst));
        Gcra::new(rate.expect("a rate"), Instant::now())
    }

    fn intervals() -> impl Strategy<Value = u64> {
        prop_oneof![
            1..=1000_u64,
            1..=10_000_000_000_u64,
            Just(u64::MAX),
            any::<u64>()
        ]
        .prop_map(|interval| interval.max(1))
    }

    fn bursts() -> impl Strategy<Value = u32> {
        prop_oneof![1..=3_u32, 1..=100_u32, Just(u32::MAX)]
    }

    /// Times between two arrivals, as shares of an interval, and idle weeks.
    fn gaps() -> impl Strategy<Value = Vec<(u8, u8)>> {
        prop::collection::vec((0..=20_u8, 0..=40_u8), 1..300)
    }

    proptest! {
        #[test]
        fn any_window_grants_at_most_the_burst_and_its_share(
            interval in intervals(),
            burst in bursts(),
            gaps in gaps(),
            patient in any::<bool>(),
        ) {
            let mut gcra = gcra(interval, burst);
            let interval = u128::from(interval);
            let mut now = 0;
            let mut granted = Vec::new();
            for (kind, share) in gaps {
                now += match kind {
                    0 => WEEK * u128::from(share),
                    1..=5 => 0,
                    6..=8 => 1,
                    _ => interval * u128::from(share) / 20,
                };
                let expected = gcra.wait(now, 0);
                match gcra.take(now) {
                    Ok(()) => {
                        prop_assert_eq!(expected, 0);
                        granted.push(now);
                    }
                    Err(wait) => {
                        prop_assert_eq!(expected, wait);
                        prop_assert!(wait > 0 && wait <= interval);
                        // Not a nanosecond later than it said, and none earlier.
                        prop_assert!(gcra.take(now + wait - 1).is_err());
                        if patient {
                            now += wait;
                            prop_assert_eq!(gcra.take(now), Ok(()));
                            granted.push(now);
                        }
                    }
                }
            }
            for (first, from) in granted.iter().enumerate() {
                for (last, to) in granted.iter().enumerate().skip(first) {
                    let count = u128::try_from(last - first + 1).expect("fits");
                    let most = u128::from(burst) + (to - from) / interval;
                    prop_assert!(count <= most, "{count} permits from {from} to {to}");
                }
            }
        }

        #[test]
        fn who_comes_after_others_is_told_the_time_of_his_own_permit(
            interval in intervals(),
            burst in bursts(),
            taken in 0..50_usize,
            ahead in 0..50_usize,
        ) {
            let mut gcra = gcra(interval, burst);
            for _ in 0..taken {
                let _ = gcra.take(WEEK);
            }
            let told = WEEK + gcra.wait(WEEK, ahead);
            let mut now = WEEK;
            for _ in 0..=ahead {
                if let Err(wait) = gcra.take(now) {
                    now += wait;
                    prop_assert_eq!(gcra.take(now), Ok(()));
                }
            }
            prop_assert_eq!(now, told);
        }

        #[test]
        fn no_extreme_of_clock_or_quota_breaks_it(
            interval in intervals(),
            burst in bursts(),
            times in prop::collection::vec(
                prop_oneof![Just(0), Just(u128::MAX), any::<u128>(), 0..WEEK],
                1..50,
            ),
            ahead in prop_oneof![Just(usize::MAX), any::<usize>()],
        ) {
            let mut gcra = gcra(interval, burst);
            for now in times {
                // A clock that jumps back makes nobody wait for longer than an interval.
                if let Err(wait) = gcra.take(now) {
                    prop_assert!(wait <= u128::from(interval));
                }
                duration(gcra.wait(now, ahead));
            }
        }
    }

    proptest! {
        #[test]
        fn permits_taken_in_advance_keep_the_law_at_their_times(
            interval in 1..=10_000_u64,
            burst in bursts(),
            asks in prop::collection::vec((0..=20_u8, 0..=40_u8, 1..=50_u32, 0..4_usize), 1..40),
            horizon in 0..100_000_u128,
        ) {
            let mut gcra = gcra(interval, burst);
            let interval = u128::from(interval);
            let mut now = 0;
            let mut granted: Vec<u128> = Vec::new();
            for (kind, share, permits, back) in asks {
                now += match kind {
                    0 => WEEK * u128::from(share),
                    1..=10 => 0,
                    _ => interval * u128::from(share),
                };
                let mut lease: Vec<_> = gcra.reserve(now, permits, horizon).collect();
                prop_assert!(!lease.is_empty() && lease.len() <= permits as usize);
                prop_assert!(lease.is_sorted() && lease[0] >= now);
                prop_assert!(lease[1..].iter().all(|from| *from <= now + horizon));
                for _ in 0..back.min(lease.len()) {
                    if !gcra.revoke(now, lease[lease.len() - 1]) {
                        break;
                    }
                    lease.pop();
                }
                granted.extend(lease);
            }
            prop_assert!(granted.is_sorted());
            for (first, from) in granted.iter().enumerate() {
                for (last, to) in granted.iter().enumerate().skip(first) {
                    let count = u128::try_from(last - first + 1).expect("fits");
                    let most = u128::from(burst) + (to - from) / interval;
                    prop_assert!(count <= most, "{count} permits from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_saved_up_over_a_pause() {
        let mut gcra = gcra(1000, 3);
        gcra.empty_at(50_000);
        let granted: Vec<_> = gcra.reserve(60_000, 3, u128::MAX).collect();
        // Ten intervals have passed since, more than the burst.
        assert_eq!(granted, [60_000; 3]);
        gcra.empty_at(100_000);
        let granted: Vec<_> = gcra.reserve(60_000, 3, u128::MAX).collect();
        assert_eq!(granted, [100_000, 101_000, 102_000]);
    }

    #[test]
    fn an_idle_week_saves_up_no_more_than_the_burst() {
        let mut gcra = gcra(1000, 3);
        for now in [0, WEEK, 60 * WEEK] {
            assert_eq!([(); 3].map(|()| gcra.take(now)), [Ok(()); 3]);
            assert_eq!(gcra.take(now), Err(1000));
        }
    }

    #[test]
    fn an_instant_before_the_base_is_the_base() {
        let mut gcra = gcra(1000, 1);
        let before = gcra.base.checked_sub(Duration::from_secs(1));
        let before = before.expect("an instant");
        assert_eq!(gcra.take_permit(before), Decision::Granted);
        assert_eq!(gcra.earliest(before, 0), Duration::from_nanos(1000));
        assert_eq!(gcra.earliest(before, 9), Duration::from_nanos(10_000));
    }

    #[test]
    fn what_does_not_fit_is_the_longest_duration() {
        assert_eq!(duration(u128::MAX), Duration::MAX);
        assert_eq!(duration(Duration::MAX.as_nanos()), Duration::MAX);
        assert_eq!(duration(1_500_000_000), Duration::from_millis(1500));
    }
}
