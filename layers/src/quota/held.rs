//! The permits that an instance was granted and has not used yet.

use std::collections::VecDeque;

use super::clock::BackendClock;

/// Permits in the order in which they may be used, as nanoseconds on the clock of the backend.
#[derive(Debug)]
pub(super) struct Held {
    permits: VecDeque<i128>,
    /// How long after its time a permit may be used.
    lateness: i128,
    /// How many have lapsed that nobody was told of yet.
    lapsed: u32,
}

impl Held {
    pub(super) fn new(lateness: i128) -> Self {
        Self {
            permits: VecDeque::new(),
            lateness,
            lapsed: 0,
        }
    }

    pub(super) fn add(&mut self, permits: impl IntoIterator<Item = i128>) {
        self.permits.extend(permits);
        if !self.permits.iter().is_sorted() {
            self.permits.make_contiguous().sort_unstable();
        }
    }

    /// Forgets the permits whose time is over, wherever between its bounds the backend's clock is.
    pub(super) fn lapse(&mut self, clock: BackendClock, now: i128) -> u32 {
        let latest = clock.latest(now);
        let over = self
            .permits
            .partition_point(|from| from.saturating_add(self.lateness) < latest);
        self.permits.drain(..over);
        let over = u32::try_from(over).unwrap_or(u32::MAX);
        self.lapsed = self.lapsed.saturating_add(over);
        over
    }

    /// How many nanoseconds until the next permit after `ahead` others may be used.
    pub(super) fn wait(&self, ahead: usize, clock: BackendClock, now: i128) -> Option<i128> {
        let from = self.permits.get(ahead)?;
        Some(clock.until(*from, now))
    }

    /// Uses the first permit.
    pub(super) fn take(&mut self) {
        self.permits.pop_front();
    }

    pub(super) fn len(&self) -> usize {
        self.permits.len()
    }

    pub(super) fn clear(&mut self) {
        let held = u32::try_from(self.permits.len()).unwrap_or(u32::MAX);
        self.lapsed = self.lapsed.saturating_add(held);
        self.permits.clear();
    }

    /// Takes out the permits whose time has not come yet; the others will lapse.
    pub(super) fn take_future(&mut self, clock: BackendClock, now: i128) -> Vec<i128> {
        let latest = clock.latest(now);
        let future = self.permits.partition_point(|from| *from <= latest);
        self.permits.split_off(future).into()
    }

    pub(super) fn take_lapsed(&mut self) -> u32 {
        std::mem::take(&mut self.lapsed)
    }
}
