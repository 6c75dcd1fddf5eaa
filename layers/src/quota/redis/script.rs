//! What goes to the script and comes from it: whole microseconds.

use std::time::Duration;

use crate::limiter_builder::LONGEST_PAUSE;
use crate::{QuotaError, QuotaFailure, Rate};

pub(super) const SOURCE: &str = include_str!("script.lua");

/// Numbers of Lua are exact up to 2^53. A rate may take a part of that, the time since 1970 is another.
const MOST: u128 = 1 << 51;

/// A rate as the script takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub(super) interval: i64,
    /// The interval times the burst.
    pub(super) capacity: i64,
}

impl Units {
    /// An interval is rounded up, and a burst that takes longer than the clock reaches is cut: never is
    /// more granted than asked for.
    pub(super) fn of(rate: Rate) -> Result<Self, QuotaError> {
        let interval = rate.interval().as_nanos().div_ceil(1000);
        let burst = u128::from(rate.burst()).min(MOST / interval);
        if burst == 0 {
            let detail = "a rate of less than one call in 71 years";
            return Err(QuotaError::new(QuotaFailure::Invalid, detail));
        }
        let number = |number: u128| i64::try_from(number).map_err(|_| unintelligible());
        Ok(Self {
            interval: number(interval)?,
            capacity: number(interval * burst)?,
        })
    }

    /// The arguments that all questions begin with, and those of one question.
    pub(super) fn with<const N: usize>(&self, numbers: [i64; N]) -> Vec<i64> {
        let longest = micros(LONGEST_PAUSE).unwrap_or(i64::MAX);
        let mut all = vec![self.interval, self.capacity, longest];
        all.extend(numbers);
        all
    }

    /// The last of these permits, and how many of them follow one another up to it. Those before a gap
    /// were granted before what others hold in it.
    pub(super) fn last_run(&self, permits: Vec<Duration>) -> Option<(i64, i64)> {
        let mut times: Vec<_> = permits.into_iter().filter_map(micros).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        let last = *times.first()?;
        let mut count = 0;
        for time in times {
            if time != last - count * self.interval {
                break;
            }
            count += 1;
        }
        Some((last, count))
    }
}

pub(super) fn micros(duration: Duration) -> Option<i64> {
    let micros = duration.as_micros();
    i64::try_from(micros).ok().filter(|_| micros <= MOST)
}

/// What is before 1970 is 1970.
pub(super) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

pub(super) fn unintelligible() -> QuotaError {
    QuotaError::new(QuotaFailure::Invalid, "an answer that is not the script's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_never_faster() {
        let units = Units::of(Rate::MAX).expect("fits");
        assert_eq!((units.interval, units.capacity), (1, i64::from(u32::MAX)));
        let slow = Rate::new(1, Duration::from_secs(3600 * 24 * 365 * 70));
        let slow = slow.and_then(|rate| rate.with_burst(5)).expect("a rate");
        let units = Units::of(slow).expect("fits");
        assert_eq!(units.interval, units.capacity);
        let never = Rate::new(1, Duration::from_nanos(u64::MAX)).expect("a rate");
        let error = Units::of(never).expect_err("too slow");
        assert_eq!(error.failure(), QuotaFailure::Invalid);
    }
}
