mod dials;
#[cfg(all(test, not(idpflare_loom)))]
mod tests;
mod tick;
mod unused;
mod waiter;
mod wakes;

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

pub(super) use unused::Keep;
use unused::Unused;
use waiter::{Called, Claim, Waiter};
pub(super) use wakes::Wakes;

/// The time that a called waiter has to take its connection.
pub(super) const CLAIM: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The maximum number of connections that are there or being made.
    pub(super) connections: usize,
    /// The time without movement after which one waiter may go beyond the limits.
    pub(super) patience: Duration,
    /// The time after which an unused connection is closed.
    pub(super) idle: Duration,
    /// Whether one connection may turn out to be enough for all, so that calls take turns to make one.
    pub(super) has_turns: bool,
}

/// A connection that is there and that no call waits for.
pub(super) enum Taken<E, S> {
    /// For one call alone.
    Exclusive(E),
    /// For all calls.
    Shared(S),
}

/// The answer to a call that is polled.
pub(super) enum Step<E, S> {
    /// A connection for this call alone.
    Exclusive(E),
    /// The connection for all calls.
    Shared(S),
    /// The caller makes a connection, of this generation.
    Dial(u64),
    /// There is nothing yet.
    Wait(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The caller is making a connection.
    Dialing,
    /// Others make one, which may serve this call, too.
    Turn,
    /// There are as many connections as there may be.
    Bound,
}

/// The connections of one server, and the calls that wait for one.
///
/// Nothing is given to a call that waits, because its future may be held and never polled again. It is
/// called: it is woken, has a claim for [`CLAIM`], and takes a connection when it is polled. After that
/// time it leaves the line, and gets in again at the end when it is polled.
///
/// Invariants, which [`settle`](Self::settle) restores after each change:
/// - While calls wait, as many are called for a free connection as there are.
/// - While calls wait that make no connection, as many of them are called to make one as may.
/// - A call takes only what is left after the claims of others.
pub(super) struct Line<E, S> {
    limits: Limits,
    /// The one that was used last comes last, and is used first.
    free: Vec<Unused<E>>,
    shared: Option<Unused<S>>,
    /// By ticket: first come, first called.
    waiting: BTreeMap<u64, Waiter>,
    /// By ticket. Each of them has been woken.
    called: BTreeMap<u64, Called>,
    last_ticket: u64,
    /// How many connections are about to be free, since their replies are complete. That many waiters
    /// make none.
    returning: usize,
    /// How many connections are being made.
    making: usize,
    /// How many connections are made and have not ended.
    connected: usize,
    /// The limit of both, or less while no descriptor is left.
    ceiling: usize,
    lowered: Option<Instant>,
    /// How many connections may be made at the same time; `None` if each call needs its own.
    turns: Option<usize>,
    /// How many of `making` are of this generation.
    dials: usize,
    /// Each new connection for all begins one, for when that connection is lost.
    generation: u64,
    /// When a waiter last went on.
    moved: Option<Instant>,
    /// When all waiters were last woken.
    asked: Option<Instant>,
}

impl<E: Keep, S: Keep + Clone> Line<E, S> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            free: Vec::new(),
            shared: None,
            waiting: BTreeMap::new(),
            called: BTreeMap::new(),
            last_ticket: 0,
            returning: 0,
            making: 0,
            connected: 0,
            ceiling: limits.connections,
            lowered: None,
            turns: limits.has_turns.then_some(1),
            dials: 0,
            generation: 0,
            moved: None,
            asked: None,
        }
    }

    /// Takes a connection for a call that does not wait yet.
    pub(super) fn take(&mut self, now: Instant, wakes: &mut Wakes<E, S>) -> Option<Taken<E, S>> {
        if let Some(shared) = self.shared(now, wakes).cloned() {
            return Some(Taken::Shared(shared));
        }
        self.unclaimed(now, wakes).map(Taken::Exclusive)
    }

    /// Takes a connection for a waiter, or lets it make one. Without a ticket, or with one that was
    /// passed by, the waiter gets in line at the end.
    pub(super) fn poll(
        &mut self,
        ticket: &mut Option<u64>,
        is_dialing: bool,
        waker: &Waker,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) -> Step<E, S> {
        if let Some(shared) = self.shared(now, wakes).cloned() {
            self.leave(ticket, now, wakes);
            return Step::Shared(shared);
        }
        let own = self.join(ticket, is_dialing, now, wakes);
        self.settle(now, wakes);
        let Some(called) = self.called.remove(&own) else {
            return self.wait(own, is_dialing, waker);
        };
        // Its own claim is among them no longer.
        if let Some(connection) = self.unclaimed(now, wakes) {
            *ticket = None;
            self.moved = Some(now);
            self.settle(now, wakes);
            return Step::Exclusive(connection);
        }
        let may_dial = called.claim == Claim::Excess || self.room() > self.claims(Claim::Room);
        if is_dialing || !may_dial {
            return self.wait(own, is_dialing, waker);
        }
        self.making += 1;
        self.dials += 1;
        self.moved = Some(now);
        self.wait(own, true, waker);
        self.settle(now, wakes);
        Step::Dial(self.generation)
    }

    /// Removes a waiter, whose claim goes to the next.
    pub(super) fn leave(
        &mut self,
        ticket: &mut Option<u64>,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) {
        if let Some(own) = ticket.take() {
            if let Some(waiter) = self.waiting.remove(&own) {
                wakes.discard(waiter.waker);
            }
            self.called.remove(&own);
            self.settle(now, wakes);
        }
    }

    /// Adds a free connection. If the waiter that made it is still in line, that one is called.
    pub(super) fn put(
        &mut self,
        connection: E,
        keep: Duration,
        maker: Option<u64>,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) {
        self.free.push(Unused {
            connection,
            since: now,
            keep: keep.min(self.limits.idle),
        });
        if let Some((ticket, waiter)) = maker.and_then(|maker| self.waiting.remove_entry(&maker)) {
            self.call(ticket, waiter, Claim::Free, now, wakes);
        }
        self.settle(now, wakes);
    }

    /// A connection is about to be free.
    pub(super) fn returning(&mut self) {
        self.returning += 1;
    }

    /// It is free, or has ended.
    pub(super) fn returned(&mut self, now: Instant, wakes: &mut Wakes<E, S>) {
        self.returning = self.returning.saturating_sub(1);
        self.settle(now, wakes);
    }

    /// Adds a connection for all calls, unless there is one.
    pub(super) fn share(&mut self, connection: S, now: Instant, wakes: &mut Wakes<E, S>) {
        if self.shared(now, wakes).is_some() {
            wakes.close_shared([connection]);
            return;
        }
        self.shared = Some(Unused {
            connection,
            since: now,
            keep: self.limits.idle,
        });
        self.renew_turns();
        // Each takes it when it is polled; all others have been woken before.
        let waiting = std::mem::take(&mut self.waiting);
        wakes.add_all(waiting.into_values().map(|waiter| waiter.waker));
        self.called.clear();
    }

    /// Removes the connection for all calls, if it is the one that `is_it` looks for.
    pub(super) fn forget(&mut self, is_it: impl Fn(&S) -> bool, wakes: &mut Wakes<E, S>) {
        let forgotten = self.shared.take_if(|shared| is_it(&shared.connection));
        wakes.close_shared(forgotten.map(|shared| shared.connection));
    }

    pub(super) fn idle(&self) -> Duration {
        self.limits.idle
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.called.is_empty()
    }

    /// Returns the ticket of a waiter that is in line now.
    fn join(
        &mut self,
        ticket: &mut Option<u64>,
        is_dialing: bool,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) -> u64 {
        if let Some(own) = *ticket {
            if let Some(waiter) = self.waiting.get_mut(&own) {
                waiter.is_dialing = is_dialing;
                waiter.is_asked = false;
                wakes.discard(waiter.take_waker());
                return own;
            }
            if let Some(called) = self.called.get_mut(&own) {
                called.is_dialing = is_dialing;
                return own;
            }
        }
        if !is_dialing && self.waiting.values().all(|waiter| waiter.is_dialing) {
            // Nothing was waited for until now.
            self.moved = Some(now);
        }
        self.last_ticket += 1;
        let waiter = Waiter::new(Waker::noop(), is_dialing);
        self.waiting.insert(self.last_ticket, waiter);
        *ticket = Some(self.last_ticket);
        self.last_ticket
    }

    fn wait(&mut self, own: u64, is_dialing: bool, waker: &Waker) -> Step<E, S> {
        self.waiting.insert(own, Waiter::new(waker, is_dialing));
        let is_full = self.making + self.connected >= self.ceiling;
        Step::Wait(match is_dialing {
            true => Reason::Dialing,
            false if is_full && self.connected > 0 => Reason::Bound,
            false => Reason::Turn,
        })
    }

    /// Calls waiters until the invariants hold.
    fn settle(&mut self, now: Instant, wakes: &mut Wakes<E, S>) {
        while self.free.len() > self.claims(Claim::Free) {
            let Some((ticket, waiter)) = self.first(false) else {
                return;
            };
            self.call(ticket, waiter, Claim::Free, now, wakes);
        }
        while self.room() > self.claims(Claim::Room) && self.needs_more() {
            let Some((ticket, waiter)) = self.first(true) else {
                return;
            };
            self.call(ticket, waiter, Claim::Room, now, wakes);
        }
    }

    fn call(
        &mut self,
        ticket: u64,
        waiter: Waiter,
        claim: Claim,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) {
        wakes.add(waiter.waker);
        let called = Called {
            at: now,
            claim,
            is_dialing: waiter.is_dialing,
        };
        self.called.insert(ticket, called);
    }

    /// Returns whether more waiters make no connection than are about to get one.
    fn needs_more(&self) -> bool {
        let waiting = self.waiting.values();
        let mut idle = waiting.filter(|waiter| !waiter.is_dialing);
        idle.nth(self.returning).is_some()
    }

    /// Removes the first waiter that can be called; if `is_idle`, the first that makes no connection.
    fn first(&mut self, is_idle: bool) -> Option<(u64, Waiter)> {
        let mut waiting = self.waiting.iter();
        let (&ticket, _) =
            waiting.find(|(_, waiter)| !(waiter.is_asked || is_idle && waiter.is_dialing))?;
        self.waiting.remove_entry(&ticket)
    }

    fn claims(&self, claim: Claim) -> usize {
        let called = self.called.values();
        called.filter(|called| called.claim == claim).count()
    }

    /// Takes a connection that is left after all claims.
    fn unclaimed(&mut self, now: Instant, wakes: &mut Wakes<E, S>) -> Option<E> {
        let claims = self.claims(Claim::Free);
        while self.free.len() > claims {
            let unused = self.free.pop()?;
            if unused.is_usable(now) {
                return Some(unused.connection);
            }
            wakes.close([unused.connection]);
        }
        None
    }

    /// The connection for all calls, which is used now.
    fn shared(&mut self, now: Instant, wakes: &mut Wakes<E, S>) -> Option<&S> {
        let unusable = self.shared.take_if(|shared| !shared.is_usable(now));
        wakes.close_shared(unusable.map(|shared| shared.connection));
        let shared = self.shared.as_mut()?;
        shared.since = now;
        Some(&shared.connection)
    }
}
