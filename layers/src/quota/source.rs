//! The permits of a quota that is shared, as one process has them.

mod answer;
mod watch;

use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::watch::Use;
use super::away::Health;
use super::clock::BackendClock;
use super::demand::Demand;
use super::held::Held;
use super::{LeaseRequest, QuotaError, QuotaFailure, SharedQuota};
use crate::Rate;
use crate::gcra::duration;
use crate::permits::{Decision, PermitSource};

/// How long after its limit a question is given up by others than the task that asks.
const STILL: Duration = Duration::from_millis(100);

/// For a limit of time that is too long for the clock.
const LONGEST_PATIENCE: Duration = Duration::from_secs(24 * 3600);

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
    /// Whether the last question came to nothing because of its runtime.
    was_unasked: bool,
    questions: u64,
    /// How many answers are waited for though their questions were given up.
    awaited: u32,
    /// Who looks after what is held, and until when he should have done so again. He may be in a runtime
    /// that stands still.
    watcher: Option<(u64, Instant)>,
    watchers: u64,
    /// How many leases in a row were of no use.
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
            // The task that asks has a limit of its own, and should come first.
            patience: quota.timeout.saturating_add(STILL).min(LONGEST_PATIENCE),
            asking: None,
            was_unasked: false,
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
            .is_some_and(|announced| until.saturating_duration_since(announced) <= wait / 8);
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

    /// Gives up a question that the task itself did not give up: its runtime stands still.
    fn give_up(&mut self, now: Instant) {
        if let Some(asking) = self.asking.filter(|asking| asking.until <= now) {
            self.unasked(asking.number, now);
        }
    }

    /// Forgets the question of this number, whose runtime stands still or has ended. That says nothing of
    /// the backend, so the next call asks on its own runtime; but if that does not answer either, it counts
    /// as a failure, since there may be no runtime that could ask.
    pub(super) fn unasked(&mut self, number: u64, now: Instant) {
        if self
            .asking
            .take_if(|asking| asking.number == number)
            .is_some()
            && std::mem::replace(&mut self.was_unasked, true)
        {
            let detail = "the runtimes that asked stand still or have ended";
            self.fail(now, QuotaError::new(QuotaFailure::Timeout, detail));
        }
    }

    /// There is nothing to do until there is an answer, or should be.
    fn wait_for_answer(&self, now: Instant) -> Decision {
        let until = self.asking.map_or(now, |asking| asking.until);
        Decision::Wait(until.saturating_duration_since(now))
    }

    /// What there is without asking anybody.
    fn look_at_held(&mut self, now: Instant) -> Option<Decision> {
        let (clock, nanos) = (self.clock?, self.nanos(now));
        self.demand.lapse(self.held.lapse(clock, nanos));
        let wait = self.held.wait(0, clock, nanos)?;
        let decision = if wait == 0 {
            self.held.take();
            self.demand.take();
            self.late = 0;
            self.health.is_of_use();
            Decision::Granted
        } else {
            Decision::Wait(unsigned(wait))
        };
        if self.demand.wants_more(self.held.len()) && !self.health.is_away() {
            self.ask(now);
        }
        Some(decision)
    }

    fn while_away(&mut self, now: Instant) -> Decision {
        if self.health.is_due(now) {
            self.ask(now);
        }
        let is_asking = self.asking.is_some();
        let decision = self.health.decide(now, is_asking);
        decision.unwrap_or_else(|| self.wait_for_answer(now))
    }

    fn nanos(&self, at: Instant) -> i128 {
        signed(at.saturating_duration_since(self.base))
    }
}

impl PermitSource for SharedSource {
    fn take_permit(&mut self, now: Instant) -> Decision {
        self.give_up(now);
        if let Some(until) = self.paused_until {
            if until > now {
                return Decision::Wait(until - now);
            }
            self.paused_until = None;
        }
        if let Some(decision) = self.look_at_held(now) {
            return decision;
        }
        if self.health.is_away() {
            return self.while_away(now);
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
            Some(wait) => unsigned(wait),
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

fn unsigned(nanos: i128) -> Duration {
    duration(u128::try_from(nanos).unwrap_or(0))
}

fn count(permits: usize) -> u32 {
    u32::try_from(permits).unwrap_or(u32::MAX)
}

fn size(permits: u32) -> usize {
    usize::try_from(permits).unwrap_or(usize::MAX)
}
