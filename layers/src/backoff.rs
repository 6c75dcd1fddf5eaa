use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long to wait before the next attempt: exponential, with full jitter.
///
/// After the `n`-th attempt the wait is drawn evenly from zero to `base * 2^(n - 1)`, and never to
/// more than the cap. By default the base is 100 ms, 1 s after a 429, and the cap is 20 s.
///
/// Clones share one sequence of random numbers and each draws its own from it, so that calls which
/// failed together do not come back together. The sequence starts elsewhere in each process.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5))?;
/// assert_eq!(backoff.ceiling(1), Duration::from_millis(50));
/// assert_eq!(backoff.ceiling(3), Duration::from_millis(200));
/// assert_eq!(backoff.ceiling(u32::MAX), Duration::from_secs(5));
/// assert!(backoff.delay(3) <= Duration::from_millis(200));
/// # Ok::<(), idpflare_layers::InvalidBackoff>(())
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    rate_limited_base: Duration,
    cap: Duration,
    jitter: Jitter,
}

impl Backoff {
    /// From `base`, doubled with each attempt, to at most `cap`. After a 429 it starts at ten times
    /// the base.
    ///
    /// # Errors
    ///
    /// Where `base` is zero, which would be no backoff at all, or `cap` is less than `base`.
    pub fn new(base: Duration, cap: Duration) -> Result<Self, InvalidBackoff> {
        check(base, cap)?;
        Ok(Self {
            base,
            rate_limited_base: base.saturating_mul(10).min(cap),
            cap,
            jitter: Jitter::random(),
        })
    }

    /// Starts at `base` after a 429.
    ///
    /// # Errors
    ///
    /// Where `base` is zero or more than the cap.
    pub fn rate_limited_base(mut self, base: Duration) -> Result<Self, InvalidBackoff> {
        check(base, self.cap)?;
        self.rate_limited_base = base;
        Ok(self)
    }

    /// Draws the same waits in each run: for tests. Clones made from here on share them.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.jitter = Jitter::new(seed);
        self
    }

    /// The longest wait after the attempt with this number, counted from one.
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        ceiling(self.base, self.cap, attempt)
    }

    /// The longest wait after an attempt that was answered with 429.
    #[must_use]
    pub fn rate_limited_ceiling(&self, attempt: u32) -> Duration {
        ceiling(self.rate_limited_base, self.cap, attempt)
    }

    /// Draws a wait after the attempt with this number, counted from one.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        self.jitter.up_to(self.ceiling(attempt))
    }

    /// Draws a wait after an attempt that was answered with 429.
    #[must_use]
    pub fn rate_limited_delay(&self, attempt: u32) -> Duration {
        self.jitter.up_to(self.rate_limited_ceiling(attempt))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            rate_limited_base: Duration::from_secs(1),
            cap: Duration::from_secs(20),
            jitter: Jitter::random(),
        }
    }
}

fn check(base: Duration, cap: Duration) -> Result<(), InvalidBackoff> {
    if base.is_zero() {
        return Err(InvalidBackoff::ZeroBase);
    }
    if cap < base {
        return Err(InvalidBackoff::CapBelowBase);
    }
    Ok(())
}

fn ceiling(base: Duration, cap: Duration, attempt: u32) -> Duration {
    // What does not fit is certainly more than the cap.
    1u128
        .checked_shl(attempt.saturating_sub(1))
        .and_then(|factor| base.as_nanos().checked_mul(factor))
        .filter(|nanos| *nanos < cap.as_nanos())
        .map_or(cap, from_nanos)
}

/// A duration of so many nanoseconds; the longest there is where they are more.
fn from_nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match (u64::try_from(nanos / SECOND), u32::try_from(nanos % SECOND)) {
        (Ok(secs), Ok(nanos)) => Duration::new(secs, nanos),
        _ => Duration::MAX,
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014). Its state is a counter, so drawing is one atomic addition
/// and no two draws of any clones are the same element of the sequence.
#[derive(Clone)]
pub(crate) struct Jitter {
    state: Arc<AtomicU64>,
}

impl Jitter {
    /// A sequence that starts elsewhere each time.
    pub(crate) fn random() -> Self {
        Self::new(RandomState::new().hash_one(()))
    }

    fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(AtomicU64::new(seed)),
        }
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self
            .state
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn up_to(&self, ceiling: Duration) -> Duration {
        scale(ceiling, self.next())
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jitter").finish_non_exhaustive()
    }
}

/// `ceiling` times `random / 2^64`, to the nanosecond. In two halves: the longest duration has 94
/// bits, and the whole product would not fit.
fn scale(ceiling: Duration, random: u64) -> Duration {
    let (nanos, random) = (ceiling.as_nanos(), u128::from(random));
    let low = nanos & u128::from(u64::MAX);
    from_nanos((nanos >> 64) * random + ((low * random) >> 64))
}

/// A [`Backoff`] that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidBackoff {
    /// The first wait is zero, and so would all others be.
    ZeroBase,
    /// The cap is less than the first wait.
    CapBelowBase,
}

impl fmt::Display for InvalidBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroBase => "a backoff that starts at zero never waits",
            Self::CapBelowBase => "the cap of a backoff is less than its base",
        })
    }
}

impl Error for InvalidBackoff {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_reaches_both_ends_and_never_overflows() {
        for ceiling in [
            Duration::from_nanos(1),
            Duration::from_millis(100),
            Duration::from_secs(20),
            Duration::MAX,
        ] {
            assert_eq!(scale(ceiling, 0), Duration::ZERO);
            let most = scale(ceiling, u64::MAX);
            assert!(most <= ceiling);
            assert!(most.as_secs_f64() >= ceiling.as_secs_f64() * 0.999 - 1e-9);
            let half = scale(ceiling, 1 << 63).as_nanos();
            assert!(half.abs_diff(ceiling.as_nanos() / 2) <= 1);
        }
    }

    /// The first values of the published generator for seed 1234567.
    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        let jitter = Jitter::new(1_234_567);
        for expected in [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ] {
            assert_eq!(jitter.next(), expected);
        }
    }
}
