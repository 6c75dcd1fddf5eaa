//! What comes of the answers of the backend.

use std::time::Duration;

use tokio::time::Instant;

use super::super::away::FIRST_RETRY;
use super::super::clock::BackendClock;
use super::super::{Lease, QuotaError, QuotaFailure};
use super::{SharedSource, count, signed, size, unsigned};

/// So many leases in a row whose permits have all lapsed before they were used are as good as none.
const LATE_LEASES: u32 = 3;

/// So many answers are waited for at once though they are late.
const MOST_AWAITED: u32 = 4;

/// What came of an answer.
#[derive(Debug)]
pub(in crate::quota) struct Answered {
    pub(in crate::quota) granted: u32,
    pub(in crate::quota) lapsed: u32,
    pub(in crate::quota) error: Option<QuotaError>,
    /// Whether the backend was away before this.
    pub(in crate::quota) is_back: bool,
    /// What can't be used, and may be given back.
    pub(in crate::quota) unused: Vec<Duration>,
}

impl SharedSource {
    /// What came of the question of this number.
    pub(in crate::quota) fn answered(
        &mut self,
        number: u64,
        sent: Instant,
        now: Instant,
        answer: Result<&Lease, QuotaError>,
    ) -> Answered {
        let asked = self.asking.take_if(|asking| asking.number == number);
        self.was_unasked &= asked.is_none();
        let mut answered = Answered {
            granted: 0,
            lapsed: 0,
            error: None,
            is_back: false,
            unused: Vec::new(),
        };
        match (asked, answer) {
            (Some(asked), Ok(lease)) => match self.take_in(asked.permits, sent, now, lease) {
                Ok(granted) => {
                    answered.granted = granted;
                    answered.is_back = self.health.is_back();
                }
                Err(error) => answered.error = Some(error),
            },
            (None, Ok(lease)) => {
                answered.granted = count(lease.permits().len());
                answered.error = Some(QuotaError::new(QuotaFailure::Late, ""));
                answered.unused = self.take_in_late(sent, now, lease);
            }
            (_, Err(error)) => answered.error = Some(error),
        }
        if let (Some(_), Some(error)) = (asked, &answered.error) {
            self.fail(now, error.clone());
        }
        answered.lapsed = self.held.take_lapsed();
        answered
    }

    /// Whether the answer to a question that was given up is worth waiting for: what it grants is lost to
    /// all otherwise. Who is told so says when he does [no more](Self::awaits_no_more).
    pub(in crate::quota) fn awaits(&mut self) -> bool {
        let awaits = self.awaited < MOST_AWAITED;
        self.awaited += u32::from(awaits);
        awaits
    }

    pub(in crate::quota) fn awaits_no_more(&mut self) {
        self.awaited = self.awaited.saturating_sub(1);
    }

    fn take_in(
        &mut self,
        asked: u32,
        sent: Instant,
        now: Instant,
        lease: &Lease,
    ) -> Result<u32, QuotaError> {
        let clock = self.observed(sent, now, lease).unwrap_or_else(|| {
            // They are for times of another clock.
            self.held.clear();
            self.new_clock(sent, now, lease)
        });
        self.clock = Some(clock);
        if self.is_paused(clock, now, lease) || (asked == 0 && lease.permits().is_empty()) {
            return Ok(0);
        }
        if lease.permits().is_empty() {
            let detail = "an answer without a permit and without a pause";
            return Err(QuotaError::new(QuotaFailure::Invalid, detail));
        }
        let came_at = self.nanos(now);
        let is_near = |from: &&Duration| clock.until(signed(**from), came_at) <= self.furthest();
        let permits = lease.permits().iter().filter(is_near);
        let permits: Vec<_> = permits.take(self.room().max(1)).collect();
        if permits.is_empty() {
            let detail = "a permit for a time that is further ahead than the quota allows";
            return Err(QuotaError::new(QuotaFailure::Invalid, detail));
        }
        let granted = permits.len();
        self.held.add(permits.into_iter().map(|from| signed(*from)));
        self.held.lapse(clock, came_at);
        // A permit that came in time may have lapsed before it could certainly be used.
        if self.held.len() == 0 || self.demand.was_in_vain() {
            self.late = self.late.saturating_add(1);
        }
        if self.late >= LATE_LEASES {
            self.late = 0;
            return Err(QuotaError::new(QuotaFailure::Late, ""));
        }
        if self.held.len() == 0 {
            // Nothing is learned from what nobody could use: that all was used soon, least of all.
            self.demand.start_over();
            return Ok(count(granted));
        }
        let last = self.held.len().saturating_sub(1);
        let lasts = self.held.wait(last, clock, came_at).unwrap_or(0);
        let lasts_until = now.checked_add(unsigned(lasts));
        self.demand.leased(self.held.len(), now, lasts_until);
        Ok(count(granted))
    }

    /// Keeps of a late answer what is soon of use, and tells what is to be given back.
    ///
    /// Given back, a permit seldom reaches anybody: others have been granted some after it. So it is kept
    /// here, even while the backend is away; but not for so long that calls wait for it which would go by
    /// the choice for that.
    fn take_in_late(&mut self, sent: Instant, now: Instant, lease: &Lease) -> Vec<Duration> {
        let clock = match self.clock {
            Some(_) => self.observed(sent, now, lease),
            None => Some(self.new_clock(sent, now, lease)),
        };
        // It may come from the machine that was the backend before.
        let Some(clock) = clock else {
            return lease.permits().to_vec();
        };
        self.clock = Some(clock);
        if self.is_paused(clock, now, lease) {
            return Vec::new();
        }
        let (came_at, horizon) = (self.nanos(now), signed(self.horizon));
        let asked = self.asking.map_or(0, |asking| asking.permits);
        let room = self.room().saturating_sub(size(asked));
        let is_soon = |from: &&Duration| clock.until(signed(**from), came_at) <= horizon;
        let permits = lease.permits();
        let kept = permits.iter().take(room).take_while(is_soon).count();
        let (kept, unused) = permits.split_at_checked(kept).unwrap_or_default();
        self.held.add(kept.iter().map(|from| signed(*from)));
        self.held.lapse(clock, came_at);
        unused.to_vec()
    }

    /// How many nanoseconds ahead a permit can be, if a thousand processes wait for one each: beyond the
    /// horizon each is granted one at a time. Twice that and a second, as backends round. A permit that
    /// is further ahead would hold all calls until then.
    fn furthest(&self) -> i128 {
        let interval = signed(self.rate.interval());
        interval
            .saturating_mul(1000)
            .saturating_add(signed(self.horizon))
            .saturating_mul(2)
            .saturating_add(1_000_000_000)
    }

    /// How many more may be held.
    fn room(&self) -> usize {
        size(self.lease).saturating_sub(self.held.len())
    }

    /// The backend's clock after this answer, where it is still the same one.
    fn observed(&self, sent: Instant, now: Instant, lease: &Lease) -> Option<BackendClock> {
        let (sent, now) = (self.nanos(sent), self.nanos(now));
        self.clock?.observe(sent, now, signed(lease.now()))
    }

    fn new_clock(&self, sent: Instant, now: Instant, lease: &Lease) -> BackendClock {
        BackendClock::new(self.nanos(sent), self.nanos(now), signed(lease.now()))
    }

    /// Whether all pause, which is kept to then.
    fn is_paused(&mut self, clock: BackendClock, now: Instant, lease: &Lease) -> bool {
        let Some(until) = lease.paused_until() else {
            return false;
        };
        let wait = unsigned(clock.until(signed(until), self.nanos(now)));
        let until = now.checked_add(wait.min(self.max_pause.max(FIRST_RETRY)));
        self.paused_until = self.paused_until.max(until);
        // They belong to a time at which nobody may go.
        self.held.clear();
        self.demand.start_over();
        true
    }
}
