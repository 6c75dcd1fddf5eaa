//! The order in which waiting requests get their permits.
//!
//! Requests that have to wait stand in a line, by ticket. Only the first looks for a permit, and a
//! permit is taken when its request goes: taken in advance and used late, it would add to those of
//! the next window. A request that goes, or gives up, wakes the next one.
//!
//! That alone would let one future that is held without being polled stop all behind it. So each
//! waiter has an *alarm*, for which its future sets a timer: the first at the time of its permit,
//! each other one [`GRACE`] after the turn of the waiter ahead. Any poll removes waiters from the
//! front whose *grace* after the alarm is over. A removed future that is polled again gets in line at
//! the end. Invariants:
//!
//! - A waiter that is polled when it is woken or its alarm is due keeps its place.
//! - A held waiter costs those behind it at most the permit that it would have used. Beyond that
//!   each gets its permit at most 100 ms late, however many are held.
//! - Delays do not add up: a held waiter is removed by the time at which it would have gone if none
//!   ahead had been held. So a delay moves no alarm. A waiter that was polled after its alarm gets
//!   another one, with no more grace than its own permit takes.
//!
//! Alarms are set from the schedule and the number of waiters ahead, and become wrong with either.
//! One that is too early costs a poll. Before one is too late by more than [`TOLERANCE`], all
//! waiters are woken, and the first poll after that sets all alarms anew. So a thousand waiters that
//! are dropped together cost one pass over the line, and not one each.
//!
//! Wakers are woken and dropped when the lock around the queue is released, by [`Wakes`]: either may
//! run code that comes back here.

use std::collections::BTreeMap;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::QuotaError;
use crate::quota::SharedSource;
use crate::schedule::{Look, Schedule};
use crate::source::Source;
use crate::wakes::Wakes;

/// How long after its first alarm a waiter keeps its place without being polled.
const GRACE: Duration = Duration::from_millis(20);

/// The least time in which a waiter that is polled has seen its alarm.
const LEAST_GRACE: Duration = Duration::from_millis(5);

/// How much too late an alarm may be.
const TOLERANCE: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) schedule: Schedule,
    /// By ticket, so that a waiter that leaves from the middle leaves no gap.
    line: BTreeMap<u64, Waiter>,
    next_ticket: u64,
    alarms: Alarms,
}

#[derive(Debug)]
struct Waiter {
    /// Taken when the waiter is woken, until its next poll.
    waker: Option<Waker>,
    /// `None` is too far for the clock.
    alarm: Option<Instant>,
    grace: Duration,
}

/// Whether the alarms of the line hold.
#[derive(Debug, Default)]
struct Alarms {
    /// How much too late they may be.
    late_by: Duration,
    is_later: bool,
    is_earlier: bool,
    /// Whether no waiter has been polled since all were woken.
    all_are_woken: bool,
}

/// The answer to a waiter.
#[derive(Debug)]
pub(crate) enum Admission<P> {
    Granted(P),
    Wait {
        /// No permit comes earlier, unless those ahead give up.
        at_least: Duration,
        /// When to poll again if nothing wakes it before.
        alarm: Option<Instant>,
    },
    /// It may not wait: the time is not known. No question is asked within this time.
    Refused(QuotaError, Duration),
}

impl<P> Admission<P> {
    pub(crate) fn map<T>(self, to: impl FnOnce(P) -> T) -> Admission<T> {
        match self {
            Self::Granted(permit) => Admission::Granted(to(permit)),
            Self::Wait { at_least, alarm } => Admission::Wait { at_least, alarm },
            Self::Refused(error, wait) => Admission::Refused(error, wait),
        }
    }
}

impl Queue {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            schedule: Schedule::new(source),
            line: BTreeMap::new(),
            next_ticket: 0,
            alarms: Alarms::default(),
        }
    }

    /// Takes a permit at once, if no request waits and there is one.
    pub(crate) fn try_take(&mut self, now: Instant, wakes: &mut Wakes) -> Option<Option<u64>> {
        self.remove_overdue(None, now, wakes);
        if !self.line.is_empty() {
            return None;
        }
        match self.schedule.look(now) {
            Look::Granted(probe) => Some(probe),
            Look::Again(_) | Look::Refused(..) => None,
        }
    }

    /// Asks for a permit, and gets in line on the first time and after a removal. A permit comes with
    /// the number of a probe if it is one.
    pub(crate) fn poll(
        &mut self,
        ticket: &mut Option<u64>,
        now: Instant,
        cx: &mut Context<'_>,
        wakes: &mut Wakes,
    ) -> Admission<Option<u64>> {
        self.remove_overdue(*ticket, now, wakes);
        ticket.take_if(|own| !self.line.contains_key(own));
        // Counting those ahead takes as long as the line is; one is the least that is true.
        let ahead = ticket.map_or(self.line.len(), |own| usize::from(!self.is_first(own)));
        if ahead == 0 {
            let admission = match self.schedule.look(now) {
                Look::Granted(probe) => Admission::Granted(probe),
                Look::Refused(error, wait) => Admission::Refused(error, wait),
                Look::Again(alarm) => {
                    let waiter = (alarm, self.short_grace(now));
                    return self.wait(ticket, waiter, ahead, now, cx, wakes);
                }
            };
            if let Some(own) = ticket.take() {
                wakes.discard(self.line.remove(&own).and_then(|waiter| waiter.waker));
                self.wake_first(now, wakes);
            }
            return admission;
        }
        let waiter = match *ticket {
            Some(own) => self.later_alarm(own, now, wakes),
            None => (self.alarm(now, ahead), GRACE),
        };
        self.wait(ticket, waiter, ahead, now, cx, wakes)
    }

    fn wait(
        &mut self,
        ticket: &mut Option<u64>,
        (alarm, grace): (Option<Instant>, Duration),
        ahead: usize,
        now: Instant,
        cx: &mut Context<'_>,
        wakes: &mut Wakes,
    ) -> Admission<Option<u64>> {
        let ticket = *ticket.get_or_insert_with(|| {
            let ticket = self.next_ticket;
            self.next_ticket = ticket.wrapping_add(1);
            ticket
        });
        let before = self.line.remove(&ticket).and_then(|waiter| waiter.waker);
        let waker = match before {
            Some(waker) if waker.will_wake(cx.waker()) => waker,
            stale => {
                wakes.discard(stale);
                cx.waker().clone()
            }
        };
        let waker = Some(waker);
        let waiter = Waiter {
            waker,
            alarm,
            grace,
        };
        self.line.insert(ticket, waiter);
        self.alarms.all_are_woken = false;
        Admission::Wait {
            at_least: self.schedule.earliest(now, ahead),
            alarm,
        }
    }

    /// Leaves the line without a permit.
    pub(crate) fn leave(&mut self, ticket: u64, now: Instant, wakes: &mut Wakes) {
        let was_first = self.is_first(ticket);
        let Some(waiter) = self.line.remove(&ticket) else {
            return;
        };
        wakes.discard(waiter.waker);
        let is_last = self
            .line
            .last_key_value()
            .is_none_or(|(last, _)| *last < ticket);
        if is_last {
            return;
        }
        if was_first {
            self.wake_first(now, wakes);
        }
        let late_by = self
            .alarms
            .late_by
            .saturating_add(self.schedule.interval(now, self.line.len()));
        self.alarms.late_by = late_by;
        if self.alarms.late_by > TOLERANCE {
            self.turns_come_earlier(wakes);
        }
    }

    /// Holds permits back until then, or longer if they are held back for longer already.
    pub(crate) fn pause(&mut self, until: Instant, now: Instant, wakes: &mut Wakes) {
        self.schedule.pause(until);
        self.alarms.is_later = true;
        // One that waits for a probe has no timer for the end of the pause.
        self.wake_first(now, wakes);
    }

    /// Has all alarms set anew, as they may be too late.
    pub(crate) fn turns_come_earlier(&mut self, wakes: &mut Wakes) {
        self.alarms.late_by = Duration::ZERO;
        self.alarms.is_earlier = true;
        if !std::mem::replace(&mut self.alarms.all_are_woken, true) {
            for waiter in self.line.values_mut() {
                wakes.add(waiter.waker.take());
            }
        }
    }

    /// The permits that are shared, if they are.
    pub(crate) fn shared(&mut self) -> Option<&mut SharedSource> {
        match &mut self.schedule.source {
            Source::Shared(source) => Some(source),
            _ => None,
        }
    }

    pub(crate) fn is_awaited(&self) -> bool {
        !self.line.is_empty()
    }

    /// Wakes the first in line.
    pub(crate) fn wake_first(&mut self, now: Instant, wakes: &mut Wakes) {
        self.remove_overdue(None, now, wakes);
        if let Some(mut first) = self.line.first_entry() {
            wakes.add(first.get_mut().waker.take());
        }
    }

    fn is_first(&self, ticket: u64) -> bool {
        self.line
            .first_key_value()
            .is_some_and(|(first, _)| *first == ticket)
    }

    /// Removes waiters from the front that should have been polled, up to the one that is polled now.
    fn remove_overdue(&mut self, polled: Option<u64>, now: Instant, wakes: &mut Wakes) {
        let mut is_removed = false;
        while let Some(first) = self.line.first_entry()
            && Some(*first.key()) != polled
            && is_due(first.get().removal(), now)
        {
            // Woken, as it may only be late.
            wakes.add(first.remove().waker);
            is_removed = true;
        }
        if is_removed
            && let Some(mut first) = self.line.first_entry()
            && Some(*first.key()) != polled
        {
            wakes.add(first.get_mut().waker.take());
        }
    }

    /// The time that a permit takes, within bounds: so long a waiter that is held after all costs
    /// those behind it no more than its permit.
    fn short_grace(&self, now: Instant) -> Duration {
        match self.schedule.interval(now, self.line.len()) {
            Duration::ZERO => GRACE,
            interval => interval.clamp(LEAST_GRACE, GRACE),
        }
    }

    fn alarm(&self, now: Instant, ahead: usize) -> Option<Instant> {
        let first = self.line.values().next().and_then(|first| first.alarm);
        alarm(&self.schedule, first, now, ahead)
    }

    /// The alarm and grace of a waiter in line that is not the first.
    fn later_alarm(
        &mut self,
        own: u64,
        now: Instant,
        wakes: &mut Wakes,
    ) -> (Option<Instant>, Duration) {
        if self.alarms.is_later || self.alarms.is_earlier {
            self.set_alarms(own, now, wakes);
        }
        let waiter = self
            .line
            .get(&own)
            .map(|waiter| (waiter.alarm, waiter.grace));
        if let Some((alarm, grace)) = waiter
            && !is_due(alarm, now)
        {
            return (alarm, grace);
        }
        // It waits until those ahead can be removed: all at once if they are held, one by one if not.
        let before = self.line.range(..own).next_back();
        let before = before.and_then(|(_, waiter)| waiter.removal());
        let alarm = match before {
            Some(removal) if removal > now => before,
            _ => now.checked_add(GRACE),
        };
        (alarm, self.short_grace(now))
    }

    /// Sets the alarms that are wrong by now, and that of `polled`. A waiter whose alarm comes earlier
    /// has a timer that is too late, and is woken.
    fn set_alarms(&mut self, polled: u64, now: Instant, wakes: &mut Wakes) {
        let is_later = std::mem::take(&mut self.alarms).is_later;
        let first = self.line.values().next().and_then(|first| first.alarm);
        for (ahead, (ticket, waiter)) in self.line.iter_mut().enumerate().skip(1) {
            if *ticket != polled && is_due(waiter.alarm, now) {
                continue;
            }
            let alarm = alarm(&self.schedule, first, now, ahead);
            let comes_earlier = match (alarm, waiter.alarm) {
                (Some(alarm), Some(before)) => alarm < before,
                (alarm, _) => alarm.is_some(),
            };
            if comes_earlier {
                wakes.add(waiter.waker.take());
            }
            if comes_earlier || is_later {
                waiter.alarm = alarm;
            }
        }
    }

    #[cfg(all(test, not(idpflare_loom)))]
    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }
}

impl Waiter {
    /// When it loses its place if it is not polled.
    fn removal(&self) -> Option<Instant> {
        self.alarm?.checked_add(self.grace)
    }
}

fn is_due(alarm: Option<Instant>, now: Instant) -> bool {
    alarm.is_some_and(|alarm| alarm <= now)
}

/// [`GRACE`] after the turn of the waiter ahead, which is no earlier than the alarm of the first.
fn alarm(
    schedule: &Schedule,
    first: Option<Instant>,
    now: Instant,
    ahead: usize,
) -> Option<Instant> {
    let turn = schedule.turn(now, ahead.saturating_sub(1))?;
    first?.max(turn).checked_add(GRACE)
}
