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
    /// Until when this process has asked all to pause.
    announced_until: Option<Instant>,
    /// How long an answer is waited for before the question is given up.
    patience: Duration,
    /// Until when there should be an answer. Who asked may be in a runtime that stands still.
    asking_until: Option<Instant>,
    /// Whether a task looks after what is held.
    is_watched: bool,
    late: u32,
    errands: Errands,
}

/// What is to be done elsewhere, as soon as the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    pub(super) lease: Option<LeaseRequest>,
    pub(super) pause: Option<Duration>,
}

/// What came of an answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) granted: u32,
    pub(super) lapsed: u32,
    pub(super) error: Option<QuotaError>,
    /// Whether the backend was away before this.
    pub(super) is_back: bool,
}

/// What has become of a lease since somebody last looked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    Going,
    /// Nothing is held any more.
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
            asking_until: None,
            is_watched: false,
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
            self.errands.pause = Some(wait);
        }
    }

    pub(super) fn answered(
        &mut self,
        sent: Instant,
        now: Instant,
        answer: Result<&Lease, QuotaError>,
    ) -> Answered {
        self.asking_until = None;
        let mut answered = Answered {
            granted: 0,
            lapsed: 0,
            error: None,
            is_back: false,
        };
        match answer.and_then(|lease| self.take_in(sent, now, lease)) {
            Ok(granted) => {
                answered.granted = granted;
                answered.is_back = self.health.is_back();
            }
            Err(error) => {
                self.fail(now, error.clone());
                answered.error = Some(error);
            }
        }
        answered.lapsed = self.held.take_lapsed();
        answered
    }

    /// Whether there is something to watch that nobody watches yet; who is told so does.
    pub(super) fn watch(&mut self) -> bool {
        let begins = !self.is_watched && self.held.len() > 0;
        self.is_watched |= begins;
        begins
    }

    pub(super) fn unwatch(&mut self) {
        self.is_watched = false;
    }

    /// What has become of what is held since so many had been used.
    pub(super) fn look(&mut self, now: Instant, used_before: &mut u64, is_awaited: bool) -> Use {
        if let Some(clock) = self.clock {
            self.held.lapse(clock, self.nanos(now));
        }
        let is_used = *used_before != self.demand.used_in_all();
        *used_before = self.demand.used_in_all();
        if self.asking_until.is_some() || is_awaited || is_used {
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

    fn take_in(&mut self, sent: Instant, now: Instant, lease: &Lease) -> Result<u32, QuotaError> {
        let (asked_at, came_at) = (self.nanos(sent), self.nanos(now));
        let backend = signed(lease.now());
        let known = self.clock;
        let observed = known.and_then(|clock| clock.observe(asked_at, came_at, backend));
        if known.is_some() && observed.is_none() {
            // They are for times of another clock.
            self.held.clear();
        }
        let clock = observed.unwrap_or_else(|| BackendClock::new(asked_at, came_at, backend));
        self.clock = Some(clock);
        if let Some(until) = lease.paused_until() {
            let wait = duration(unsigned_nanos(clock.until(signed(until), came_at)));
            self.paused_until = now.checked_add(wait.min(self.max_pause));
            // They belong to a time at which nobody may go.
            self.held.clear();
            self.demand.start_over();
            return Ok(0);
        }
        if lease.permits().is_empty() {
            let detail = "an answer without a permit and without a pause";
            return Err(QuotaError::new(QuotaFailure::Invalid, detail));
        }
        let most = usize::try_from(self.lease).unwrap_or(usize::MAX);
        let room = most.saturating_sub(self.held.len()).max(1);
        let permits = lease.permits().iter().take(room);
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
        Ok(u32::try_from(granted).unwrap_or(u32::MAX))
    }

    fn fail(&mut self, now: Instant, error: QuotaError) {
        self.health.fail(now, error);
        // Whoever answers next may be another machine.
        if self.held.len() == 0 {
            self.clock = None;
        }
        self.demand.start_over();
    }

    /// Asks for as many as are worth it.
    fn ask(&mut self, now: Instant) {
        if self.asking_until.is_some() {
            return;
        }
        self.asking_until = Some(now.checked_add(self.patience).unwrap_or(now));
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let permits = self.demand.learn(now, self.lease).saturating_sub(held);
        self.errands.lease = Some(LeaseRequest::new(self.rate, permits, self.horizon));
    }

    /// Gives up a question that nobody answers.
    fn give_up(&mut self, now: Instant) {
        if self.asking_until.is_some_and(|until| until <= now) {
            self.asking_until = None;
            let detail = "the runtime that asked may stand still";
            self.fail(now, QuotaError::new(QuotaFailure::Timeout, detail));
        }
    }

    /// There is nothing to do until there is an answer, or should be.
    fn wait_for_answer(&self, now: Instant) -> Poll<Decision> {
        let until = self.asking_until.unwrap_or(now);
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
        let is_asking = self.asking_until.is_some();
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
            None if self.asking_until.is_none() => self.health.earliest(now, ahead),
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
