use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::away::Health;
use super::clock::BackendClock;
use super::demand::Demand;
use super::held::Held;
use super::{Lease, LeaseRequest, QuotaError, QuotaFailure, SharedQuota};
use crate::Rate;
use crate::gcra::duration;
use crate::turnstile::{Decision, PermitSource};

/// For a limit of time that is too long for the clock.
const LONGEST_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// So many leases in a row whose permits had all lapsed when they came are as good as none.
const LATE_LEASES: u32 = 3;

/// So many answers are waited for at once though they are late.
const MOST_AWAITED: u32 = 4;

/// Permits of a [`SharedQuota`]: those that are held, and what to ask for.
///
/// It does no I/O: what is to be asked elsewhere is among the [`Errands`], which are run by who has
/// released the lock around this.
#[derive(Debug)]
pub(crate) struct SharedSource {
    base: Instant,
    /// What the backend is asked for.
    rate: Rate,
    lease: u32,
    horizon: Duration,
    max_pause: Duration,

    clock: Option<BackendClock>,
    held: Held,
    health: Health,
    demand: Demand,
    paused_until: Option<Instant>,
    /// Until when this process has asked all to pause, or is doing so.
    announced_until: Option<Instant>,
    /// How long an answer is waited for before the question is given up.
    patience: Duration,
    asking: Option<Asking>,
    questions: u64,
    /// How many answers are waited for though their questions were given up.
    awaited: u32,
    /// Who looks after what is held, and until when he should have done so again. He may be in a runtime
    /// that stands still.
    watcher: Option<(u64, Instant)>,
    watchers: u64,
    late: u32,
    errands: Errands,
}

/// The question that is under way.
#[derive(Clone, Copy, Debug)]
struct Asking {
    number: u64,
    /// Until when there should be an answer. Who asked may be in a runtime that stands still.
    until: Instant,
    permits: u32,
}

/// What is to be done elsewhere, as soon as the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    /// The number of the question, too.
    pub(super) lease: Option<(u64, LeaseRequest)>,
    pub(super) pause: Option<Instant>,
}

/// What came of an answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) granted: u32,
    pub(super) lapsed: u32,
    pub(super) error: Option<QuotaError>,
    /// Whether the backend was away before this.
    pub(super) is_back: bool,
    /// What can't be used, and may be given back.
    pub(super) unused: Vec<Duration>,
}

/// What has become of a lease since somebody last looked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    Going,
    /// Nothing is held any more, or somebody else looks after it.
    Over,
    /// Nobody has use for these, which are not held any more.
    Idle(Vec<Duration>),
}

impl SharedSource {
    pub(crate) fn new(quota: &SharedQuota, max_pause: Duration, base: Instant) -> Self {
        Self {
            base,
            rate: quota.granted_rate(),
            lease: quota.lease,
            horizon: quota.horizon,
            max_pause,
            clock: None,
            held: Held::new(signed(quota.lateness())),
            health: Health::new(quota.away, quota.rate),
            demand: Demand::new(),
            paused_until: None,
            announced_until: None,
            // Who asks has a limit of his own, and should come first.
            patience: quota.timeout.saturating_mul(2).min(LONGEST_PATIENCE),
            asking: None,
            questions: 0,
            awaited: 0,
            watcher: None,
            watchers: 0,
            late: 0,
            errands: Errands::default(),
        }
    }

    pub(crate) fn errands(&mut self) -> Errands {
        std::mem::take(&mut self.errands)
    }

    /// The server has asked for a pause until then.
    pub(crate) fn paused(&mut self, now: Instant, until: Instant) {
        let wait = until.saturating_duration_since(now);
        // Many calls learn the same of one moment: all are told once, and again where it is longer by
        // more than a little.
        let announced = self
            .announced_until
            .is_some_and(|announced| announced + wait / 8 >= until);
        if !wait.is_zero() && !announced {
            self.announced_until = Some(until);
            self.errands.pause = Some(until);
        }
    }

    /// Whether all are still to be told of the pause until then: there may be a longer one by now.
    pub(super) fn announces(&self, until: Instant) -> bool {
        self.announced_until == Some(until)
    }

    /// Nobody was told of the pause until then.
    pub(super) fn unannounced(&mut self, until: Instant) {
        self.announced_until
            .take_if(|announced| *announced == until);
    }

    /// What came of the question of this number.
    pub(super) fn answered(
        &mut self,
        number: u64,
        sent: Instant,
        now: Instant,
        answer: Result<&Lease, QuotaError>,
    ) -> Answered {
        let asked = self.asking.take_if(|asking| asking.number == number);
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
    pub(super) fn awaits(&mut self) -> bool {
        let awaits = self.awaited < MOST_AWAITED;
        self.awaited += u32::from(awaits);
        awaits
    }

    pub(super) fn awaits_no_more(&mut self) {
        self.awaited = self.awaited.saturating_sub(1);
    }

    /// Where there is something to watch that nobody watches, the number of who is told so and does, with
    /// a look within this time.
    pub(super) fn watch(&mut self, now: Instant, within: Duration) -> Option<u64> {
        let is_watched = self.watcher.is_some_and(|(_, until)| until > now);
        if is_watched || self.held.len() == 0 {
            return None;
        }
        self.watchers = self.watchers.wrapping_add(1);
        self.watcher = Some((self.watchers, now.checked_add(within)?));
        Some(self.watchers)
    }

    pub(super) fn unwatch(&mut self, number: u64) {
        self.watcher.take_if(|(watcher, _)| *watcher == number);
    }

    /// What has become of what is held since so many had been used, for the watcher of this number, who
    /// will look again within this time.
    pub(super) fn look(
        &mut self,
        number: u64,
        now: Instant,
        within: Duration,
        used_before: &mut u64,
        is_awaited: bool,
    ) -> Use {
        match &mut self.watcher {
            Some((watcher, until)) if *watcher == number => {
                *until = now.checked_add(within).unwrap_or(now);
            }
            _ => return Use::Over,
        }
        if let Some(clock) = self.clock {
            self.held.lapse(clock, self.nanos(now));
        }
        let is_used = *used_before != self.demand.used_in_all();
        *used_before = self.demand.used_in_all();
        if self.asking.is_some() || is_awaited || is_used {
            return Use::Going;
        }
        match self.take_unused(now) {
            unused if !unused.is_empty() => Use::Idle(unused),
            _ if self.held.len() > 0 => Use::Going,
            _ => Use::Over,
        }
    }

    /// What is held for later.
    pub(crate) fn take_unused(&mut self, now: Instant) -> Vec<Duration> {
        let Some(clock) = self.clock else {
            return Vec::new();
        };
        self.demand.start_over();
        let unused = self.held.take_future(clock, self.nanos(now));
        unused.into_iter().map(unsigned).collect()
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
        let permits = lease.permits().iter().take(self.room().max(1));
        let granted = permits.len();
        self.held.add(permits.map(|from| signed(*from)));
        self.held.lapse(clock, came_at);
        if self.held.len() == 0 {
            self.late = self.late.saturating_add(1);
            if self.late >= LATE_LEASES {
                self.late = 0;
                return Err(QuotaError::new(QuotaFailure::Late, ""));
            }
        } else {
            self.late = 0;
        }
        let last = self.held.len().saturating_sub(1);
        let lasts = self.held.wait(last, clock, came_at).unwrap_or(0);
        let lasts_until = now.checked_add(duration(unsigned_nanos(lasts)));
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
        let wait = clock.until(signed(until), self.nanos(now));
        let wait = duration(unsigned_nanos(wait));
        let until = now.checked_add(wait.min(self.max_pause));
        self.paused_until = self.paused_until.max(until);
        // They belong to a time at which nobody may go.
        self.held.clear();
        self.demand.start_over();
        true
    }

    fn fail(&mut self, now: Instant, error: QuotaError) {
        self.health.fail(now, error);
        // Whoever answers next may be another machine.
        if self.held.len() == 0 {
            self.clock = None;
        }
        self.demand.start_over();
    }

    /// Asks for as many as are worth it; of one that is away, whether it is back. Each process asks that
    /// again and again, and might never use what it was granted.
    fn ask(&mut self, now: Instant) {
        if self.asking.is_some() {
            return;
        }
        let request = if self.health.is_away() {
            LeaseRequest::probe(self.rate)
        } else {
            let wanted = self.demand.learn(now, self.lease);
            let permits = wanted.saturating_sub(count(self.held.len()));
            LeaseRequest::new(self.rate, permits, self.horizon)
        };
        self.questions = self.questions.wrapping_add(1);
        self.asking = Some(Asking {
            number: self.questions,
            until: now.checked_add(self.patience).unwrap_or(now),
            permits: request.permits,
        });
        self.errands.lease = Some((self.questions, request));
    }

    /// Gives up a question that nobody answers.
    fn give_up(&mut self, now: Instant) {
        if self.asking.take_if(|asking| asking.until <= now).is_some() {
            let detail = "the runtime that asked may stand still";
            self.fail(now, QuotaError::new(QuotaFailure::Timeout, detail));
        }
    }

    /// There is nothing to do until there is an answer, or should be.
    fn wait_for_answer(&self, now: Instant) -> Poll<Decision> {
        let until = self.asking.map_or(now, |asking| asking.until);
        Poll::Ready(Decision::Wait(until.saturating_duration_since(now)))
    }

    /// What there is without asking anybody.
    fn look_at_held(&mut self, now: Instant) -> Option<Decision> {
        let (clock, nanos) = (self.clock?, self.nanos(now));
        self.demand.lapse(self.held.lapse(clock, nanos));
        let wait = self.held.wait(0, clock, nanos)?;
        let decision = if wait == 0 {
            self.held.take();
            self.demand.take();
            Decision::Granted
        } else {
            Decision::Wait(duration(unsigned_nanos(wait)))
        };
        if self.demand.wants_more(self.held.len()) && !self.health.is_away() {
            self.ask(now);
        }
        Some(decision)
    }

    fn while_away(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Decision> {
        if self.health.is_due(now) {
            self.ask(now);
        }
        let is_asking = self.asking.is_some();
        let decision = self.health.decide(now, is_asking, cx);
        decision.unwrap_or_else(|| self.wait_for_answer(now))
    }

    fn nanos(&self, at: Instant) -> i128 {
        signed(at.saturating_duration_since(self.base))
    }
}

impl PermitSource for SharedSource {
    fn poll_permit(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Decision> {
        self.give_up(now);
        if let Some(until) = self.paused_until {
            if until > now {
                return Poll::Ready(Decision::Wait(until - now));
            }
            self.paused_until = None;
        }
        if let Some(decision) = self.look_at_held(now) {
            return Poll::Ready(decision);
        }
        if self.health.is_away() {
            return self.while_away(now, cx);
        }
        self.ask(now);
        self.wait_for_answer(now)
    }

    fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        let paused = self
            .paused_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let nanos = self.nanos(now);
        let last = self.held.len().saturating_sub(1);
        let held = self
            .clock
            .and_then(|clock| self.held.wait(ahead.min(last), clock, nanos));
        let wait = match held {
            Some(wait) => duration(unsigned_nanos(wait)),
            None if self.asking.is_none() => self.health.earliest(now, ahead),
            None => Duration::ZERO,
        };
        paused.max(wait)
    }
}

/// The longest duration has less than 2^94 nanoseconds.
fn signed(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn unsigned_nanos(nanos: i128) -> u128 {
    u128::try_from(nanos).unwrap_or(0)
}

fn unsigned(nanos: i128) -> Duration {
    duration(unsigned_nanos(nanos))
}

fn count(permits: usize) -> u32 {
    u32::try_from(permits).unwrap_or(u32::MAX)
}

fn size(permits: u32) -> usize {
    usize::try_from(permits).unwrap_or(usize::MAX)
}
