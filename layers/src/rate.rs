use std::error::Error;
use std::fmt;
use std::time::Duration;

/// How many calls a [`RateLimiter`](crate::RateLimiter) lets through: one every interval, and a
/// burst after it has been idle.
///
/// Whatever the pattern of the calls, any window of length `w` sees at most
/// `burst + w / interval` of them.
///
/// An interval is kept in whole nanoseconds, rounded up: the rate is never exceeded, and no rate
/// is above one call per nanosecond. Timers are coarser: they tick once a millisecond and are never
/// early, so with a burst of 1 each wait may be up to a millisecond longer than the interval. For
/// hundreds of calls per second allow a burst of what comes in a few milliseconds, for the rate to
/// be used up.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::{InvalidRate, Rate};
///
/// let rate = Rate::per_second(50)?.with_burst(5)?;
/// assert_eq!(rate.interval(), Duration::from_millis(20));
/// assert_eq!(rate, Rate::new(3000, Duration::from_secs(60))?.with_burst(5)?);
///
/// assert_eq!(Rate::per_second(0), Err(InvalidRate::NoCalls));
/// # Ok::<(), InvalidRate>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds, never zero.
    interval: u64,
    /// Never zero.
    burst: u32,
}

impl Rate {
    /// As many calls as anybody can make: for a limiter that does no more than heed the server's
    /// word.
    pub const MAX: Self = Self {
        interval: 1,
        burst: u32::MAX,
    };

    /// So many `calls` in each period `per`, evenly spread: the burst is 1.
    ///
    /// # Errors
    ///
    /// Where either is zero, or the interval is too long for the clock (584 years).
    pub fn new(calls: u32, per: Duration) -> Result<Self, InvalidRate> {
        if calls == 0 {
            return Err(InvalidRate::NoCalls);
        }
        if per.is_zero() {
            return Err(InvalidRate::NoPeriod);
        }
        let interval = per.as_nanos().div_ceil(u128::from(calls));
        let interval = u64::try_from(interval).map_err(|_| InvalidRate::TooSlow)?;
        Ok(Self { interval, burst: 1 })
    }

    /// So many `calls` a second, evenly spread.
    ///
    /// # Errors
    ///
    /// Where it is zero.
    pub fn per_second(calls: u32) -> Result<Self, InvalidRate> {
        Self::new(calls, Duration::from_secs(1))
    }

    /// So many `calls` a minute, evenly spread.
    ///
    /// # Errors
    ///
    /// Where it is zero.
    pub fn per_minute(calls: u32) -> Result<Self, InvalidRate> {
        Self::new(calls, Duration::from_secs(60))
    }

    /// The same rate, with so many calls at once where there were none for long enough.
    ///
    /// # Errors
    ///
    /// Where it is zero.
    pub fn with_burst(self, burst: u32) -> Result<Self, InvalidRate> {
        if burst == 0 {
            return Err(InvalidRate::NoBurst);
        }
        Ok(Self { burst, ..self })
    }

    /// What each of so many has, where they share it evenly; a burst of one at least.
    pub(crate) fn share(self, instances: u32) -> Self {
        let instances = instances.max(1);
        Self {
            interval: self.interval.saturating_mul(u64::from(instances)),
            burst: (self.burst / instances).max(1),
        }
    }

    /// The time after which one more call is let through.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How many calls are let through at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }
}

/// A rate at which nothing could ever be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRate {
    /// Zero calls in a period.
    NoCalls,
    /// A period of no length.
    NoPeriod,
    /// A burst of zero.
    NoBurst,
    /// An interval that is too long for the clock.
    TooSlow,
}

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCalls => "a rate of no calls lets nothing through",
            Self::NoPeriod => "a rate needs a period that is longer than zero",
            Self::NoBurst => "a rate with a burst of zero lets nothing through",
            Self::TooSlow => "a rate of less than one call in 584 years is too slow for the clock",
        })
    }
}

impl Error for InvalidRate {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_nothing_through_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Rate::new(0, second), Err(InvalidRate::NoCalls));
        assert_eq!(Rate::new(1, Duration::ZERO), Err(InvalidRate::NoPeriod));
        assert_eq!(Rate::new(1, Duration::MAX), Err(InvalidRate::TooSlow));
        assert_eq!(Rate::per_minute(0), Err(InvalidRate::NoCalls));
        let rate = Rate::per_second(1).expect("a rate");
        assert_eq!(rate.with_burst(0), Err(InvalidRate::NoBurst));
    }

    #[test]
    fn an_interval_is_rounded_up() {
        let nanos = |calls, per| {
            let rate = Rate::new(calls, per).expect("a rate");
            rate.interval().as_nanos()
        };
        assert_eq!(nanos(3, Duration::from_secs(1)), 333_333_334);
        assert_eq!(nanos(u32::MAX, Duration::from_nanos(1)), 1);
        let longest = Duration::from_nanos(u64::MAX);
        assert_eq!(nanos(1, longest), u128::from(u64::MAX));
        assert_eq!(nanos(2, longest), 1 << 63);
    }
}
