//! How many permits are worth asking for.

use std::time::Duration;

use tokio::time::Instant;

/// Used up in this time at the latest, permits were wanted as soon as they could be used.
const BRISK: Duration = Duration::from_millis(100);

/// What the use of one lease tells of the next.
#[derive(Debug)]
pub(super) struct Demand {
    /// What the next lease is to come to.
    wanted: u32,
    /// What is held when half of it is used, and more is asked for.
    low: usize,
    /// When the last lease came, and when the last of its permits may be used.
    leased_at: Option<Instant>,
    lasts_until: Option<Instant>,
    used: u32,
    used_in_all: u64,
    lapsed: u32,
}

impl Demand {
    pub(super) fn new() -> Self {
        Self {
            wanted: 1,
            low: 0,
            leased_at: None,
            lasts_until: None,
            used: 0,
            used_in_all: 0,
            lapsed: 0,
        }
    }

    pub(super) fn start_over(&mut self) {
        let used_in_all = self.used_in_all;
        *self = Self {
            used_in_all,
            ..Self::new()
        };
    }

    pub(super) fn leased(&mut self, held: usize, now: Instant, lasts_until: Option<Instant>) {
        self.low = held / 2;
        self.leased_at = Some(now);
        self.lasts_until = lasts_until;
        self.used = 0;
        self.lapsed = 0;
    }

    pub(super) fn take(&mut self) {
        self.used = self.used.saturating_add(1);
        self.used_in_all = self.used_in_all.wrapping_add(1);
    }

    pub(super) fn lapse(&mut self, permits: u32) {
        self.lapsed = self.lapsed.saturating_add(permits);
    }

    /// Whether nothing was used of the last lease before all of it had lapsed.
    pub(super) fn was_in_vain(&self) -> bool {
        self.leased_at.is_some() && self.used == 0 && self.lapsed > 0
    }

    pub(super) fn used_in_all(&self) -> u64 {
        self.used_in_all
    }

    /// Who takes one at a time may never come back for another.
    pub(super) fn wants_more(&self, held: usize) -> bool {
        self.wanted > 1 && held <= self.low
    }

    /// What the next lease is to come to: twice as much where all was used as soon as it could be.
    pub(super) fn learn(&mut self, now: Instant, most: u32) -> u32 {
        self.wanted = self.next_wanted(now, most);
        self.wanted
    }

    fn next_wanted(&self, now: Instant, most: u32) -> u32 {
        let (Some(leased_at), Some(lasts_until)) = (self.leased_at, self.lasts_until) else {
            return self.wanted;
        };
        if self.lapsed > 0 {
            return self.used.clamp(1, self.wanted);
        }
        // In no more than twice the time that the permits were for, and a little for short ones.
        let lasted = lasts_until.saturating_duration_since(leased_at);
        let brisk = lasted.saturating_mul(2).max(BRISK);
        if now.saturating_duration_since(leased_at) <= brisk {
            self.wanted.saturating_mul(2).min(most)
        } else {
            self.wanted
        }
    }
}
