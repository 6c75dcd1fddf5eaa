use std::collections::BTreeMap;
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::QuotaError;
use crate::gcra::Gcra;
use crate::quota::SharedSource;

/// Where the permits come from. A turnstile asks for one at a time.
pub(crate) trait PermitSource: fmt::Debug + Send {
    /// Takes one permit. Who is told to wait, or is pending, has taken none.
    ///
    /// A source that must ask elsewhere is pending meanwhile, wakes the waker of its last caller, and
    /// keeps the answer for whoever calls next: the caller may have left by then.
    fn poll_permit(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Decision>;

    /// The least time until there is a permit for who comes after `ahead` others; zero where that
    /// is not known.
    fn earliest(&self, now: Instant, ahead: usize) -> Duration;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Granted,
    /// There is none yet; worth another look after this time.
    Wait(Duration),
    /// It can't be told whether there is one, and nobody asks again within this time.
    Unavailable(QuotaError, Duration),
}

/// The sources that there are. The local one is asked without a detour: nearly every call does so.
#[derive(Debug)]
pub(crate) enum Source {
    Local(Gcra),
    Shared(Box<SharedSource>),
    #[cfg(test)]
    Scripted(Box<dyn PermitSource>),
}

impl PermitSource for Source {
    fn poll_permit(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Decision> {
        match self {
            Self::Local(source) => source.poll_permit(now, cx),
            Self::Shared(source) => source.poll_permit(now, cx),
            #[cfg(test)]
            Self::Scripted(source) => source.poll_permit(now, cx),
        }
    }

    fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        match self {
            Self::Local(source) => source.earliest(now, ahead),
            Self::Shared(source) => source.earliest(now, ahead),
            #[cfg(test)]
            Self::Scripted(source) => source.earliest(now, ahead),
        }
    }
}

/// Lets one after another through, in the order in which they came.
///
/// Only the first in line looks at the permits and knows when to look again. All others wait until
/// those ahead have left, each of which wakes the next one: nobody looks more often than his own
/// turn needs, however long the line is.
///
/// Wakers are handed out, to be woken or dropped once the lock around the turnstile is released:
/// either may run code that comes back here.
#[derive(Debug)]
pub(crate) struct Turnstile {
    source: Source,
    gate: Gate,
    /// By ticket, so that who leaves in the middle leaves no gap.
    line: BTreeMap<u64, Option<Waker>>,
    next_ticket: u64,
    next_probe: u64,
}

/// Whether those with a permit may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Closed until then; the first one after it is the probe.
    Paused(Instant),
    /// Closed until this probe is back.
    Probing(u64),
}

/// What who asks to be let through is told.
#[derive(Debug)]
pub(crate) enum Turn {
    /// He is through, as the probe of this number where there is one.
    Enter(Option<u64>),
    Wait {
        /// No permit comes earlier, unless those ahead give up.
        at_least: Duration,
        /// When to look again, for who is the first in line; he is woken too where something changes.
        look_again: Option<Instant>,
    },
    /// He may not wait: nobody knows for how long. Nobody asks again within this time.
    Refused(QuotaError, Duration),
}

impl Turnstile {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            gate: Gate::Open,
            line: BTreeMap::new(),
            next_ticket: 0,
            next_probe: 0,
        }
    }

    /// Goes through at once where nobody waits and there is a permit.
    pub(crate) fn try_enter(&mut self, now: Instant) -> Option<Option<u64>> {
        if !self.line.is_empty() {
            return None;
        }
        match self.look(now, &mut Context::from_waker(Waker::noop())) {
            Turn::Enter(probe) => Some(probe),
            Turn::Wait { .. } | Turn::Refused(..) => None,
        }
    }

    /// Asks to be let through, and gets in line on the first time. `stale` takes a waker to drop.
    ///
    /// Who was let through or refused must [`leave`](Self::leave) the line.
    pub(crate) fn poll_enter(
        &mut self,
        ticket: &mut Option<u64>,
        now: Instant,
        cx: &mut Context<'_>,
        stale: &mut Option<Waker>,
    ) -> Turn {
        let ahead = match ticket {
            // Counting those ahead takes as long as the line is; one is the least that is true.
            Some(own) => usize::from(self.first() != Some(*own)),
            None => self.line.len(),
        };
        let turn = if ahead == 0 {
            self.look(now, cx)
        } else {
            Turn::Wait {
                at_least: self.earliest(now, ahead),
                look_again: None,
            }
        };
        if let Turn::Enter(_) | Turn::Refused(..) = turn {
            return turn;
        }
        let ticket = *ticket.get_or_insert_with(|| {
            let ticket = self.next_ticket;
            self.next_ticket = ticket.wrapping_add(1);
            ticket
        });
        let waker = self.line.entry(ticket).or_default();
        if !waker.as_ref().is_some_and(|own| own.will_wake(cx.waker())) {
            *stale = waker.replace(cx.waker().clone());
        }
        turn
    }

    /// Leaves the line: the own waker, to be dropped, and that of who is the first now, to be woken.
    pub(crate) fn leave(&mut self, ticket: u64) -> (Option<Waker>, Option<Waker>) {
        let was_first = self.first() == Some(ticket);
        let own = self.line.remove(&ticket).flatten();
        (own, if was_first { self.take_first() } else { None })
    }

    /// Closes the gate until then, or longer where it is closed for longer already. The waker is to
    /// be woken: who waits for a probe has no timer yet.
    pub(crate) fn pause(&mut self, until: Instant) -> Option<Waker> {
        self.gate = match self.gate {
            Gate::Paused(already) => Gate::Paused(already.max(until)),
            Gate::Open | Gate::Probing(_) => Gate::Paused(until),
        };
        self.take_first()
    }

    /// The permits that are shared, where they are.
    pub(crate) fn shared(&mut self) -> Option<&mut SharedSource> {
        match &mut self.source {
            Source::Shared(source) => Some(source),
            _ => None,
        }
    }

    pub(crate) fn is_awaited(&self) -> bool {
        !self.line.is_empty()
    }

    /// A probe is back. Where it has learned nothing, the next one is the probe. The waker is to be
    /// woken.
    pub(crate) fn probe_is_back(
        &mut self,
        probe: u64,
        learned: bool,
        now: Instant,
    ) -> Option<Waker> {
        // Another pause has begun meanwhile, with a probe of its own to come.
        if self.gate != Gate::Probing(probe) {
            return None;
        }
        self.gate = if learned {
            Gate::Open
        } else {
            Gate::Paused(now)
        };
        self.take_first()
    }

    /// What the first in line sees.
    fn look(&mut self, now: Instant, cx: &mut Context<'_>) -> Turn {
        let mut look_again = None;
        let open = match self.gate {
            Gate::Open => true,
            Gate::Paused(until) if until > now => {
                look_again = Some(until);
                false
            }
            Gate::Paused(_) => true,
            Gate::Probing(_) => false,
        };
        if open {
            match self.source.poll_permit(now, cx) {
                Poll::Ready(Decision::Granted) => return Turn::Enter(self.become_probe()),
                // An instant that is too far for the clock never comes.
                Poll::Ready(Decision::Wait(wait)) => look_again = now.checked_add(wait),
                Poll::Ready(Decision::Unavailable(error, wait)) => {
                    return Turn::Refused(error, wait);
                }
                Poll::Pending => {}
            }
        }
        Turn::Wait {
            at_least: self.earliest(now, 0),
            look_again,
        }
    }

    fn become_probe(&mut self) -> Option<u64> {
        let Gate::Paused(_) = self.gate else {
            return None;
        };
        let probe = self.next_probe;
        self.next_probe = probe.wrapping_add(1);
        self.gate = Gate::Probing(probe);
        Some(probe)
    }

    fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        let paused = match self.gate {
            Gate::Paused(until) => until.saturating_duration_since(now),
            Gate::Open | Gate::Probing(_) => Duration::ZERO,
        };
        // What the permits ask for once the pause is over, which may be less by then.
        let open_at = now.checked_add(paused).unwrap_or(now);
        paused.saturating_add(self.source.earliest(open_at, ahead))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }

    fn first(&self) -> Option<u64> {
        self.line.keys().next().copied()
    }

    pub(crate) fn take_first(&mut self) -> Option<Waker> {
        self.line.values_mut().next().and_then(Option::take)
    }
}
