use super::secret::mix;
use super::state::later;
use crate::Timestamp;

/// Numbers that look random and are the same each time.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % end.max(1)
    }

    /// One of `from`, which is not empty.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Whether something of this probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        const STEPS: u64 = 1 << 53;
        (self.below(STEPS) as f64) < probability * STEPS as f64
    }

    /// A moment of `from..to`; `from` where that is empty.
    pub(super) fn moment(&mut self, from: Timestamp, to: Timestamp) -> Timestamp {
        let span = to.as_millisecond() - from.as_millisecond();
        let passed = self.below(u64::try_from(span).unwrap_or(0));
        later(from, i64::try_from(passed).unwrap_or(0))
    }
}
