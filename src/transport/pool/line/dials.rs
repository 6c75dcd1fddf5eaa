//! How many connections there are, and how many more may be made.

use tokio::time::Instant;

use super::unused::Keep;
use super::{Line, Wakes};

impl<E: Keep, S: Keep + Clone> Line<E, S> {
    /// A connection of this generation serves one call at a time: each call needs its own.
    pub(in crate::transport::pool) fn end_turns(
        &mut self,
        generation: u64,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) {
        if generation == self.generation {
            self.turns = None;
            self.settle(now, wakes);
        }
    }

    /// A connection of this generation was not made. Two go on where one has failed: if each of n fails,
    /// the last one learns of it after log2(n) handshakes, and if one fails by chance, few connect.
    pub(in crate::transport::pool) fn dial_failed(&mut self, generation: u64) {
        if generation != self.generation {
            return;
        }
        let Some(turns) = self.turns else { return };
        let waiting = self.waiting.values().map(|waiter| waiter.is_dialing);
        let called = self.called.values().map(|called| called.is_dialing);
        if called.chain(waiting).any(|is_dialing| !is_dialing) {
            self.turns = Some(turns + 1);
        } else {
            self.renew_turns();
        }
    }

    /// A connection was not made, since the process or the system has no descriptor or port left. Returns
    /// whether there are others to wait for; then no more are tried for a while.
    pub(in crate::transport::pool) fn dial_starved(&mut self, now: Instant) -> bool {
        let others = (self.making + self.connected).saturating_sub(1);
        if others > 0 {
            self.ceiling = self.ceiling.min(others);
            self.lowered = Some(now);
        }
        others > 0
    }

    /// A connection is no longer being made.
    pub(in crate::transport::pool) fn dial_over(
        &mut self,
        generation: u64,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) {
        self.making = self.making.saturating_sub(1);
        if generation == self.generation {
            self.dials = self.dials.saturating_sub(1);
        }
        self.settle(now, wakes);
    }

    pub(in crate::transport::pool) fn connected(&mut self) {
        self.connected += 1;
    }

    pub(in crate::transport::pool) fn disconnected(
        &mut self,
        now: Instant,
        wakes: &mut Wakes<E, S>,
    ) {
        self.connected = self.connected.saturating_sub(1);
        self.settle(now, wakes);
    }

    /// How many more connections may be made now.
    pub(super) fn room(&self) -> usize {
        let room = self.ceiling.saturating_sub(self.making + self.connected);
        let turns = self.turns.map(|turns| turns.saturating_sub(self.dials));
        turns.map_or(room, |turns| turns.min(room))
    }

    pub(super) fn renew_turns(&mut self) {
        self.generation += 1;
        self.dials = 0;
        self.turns = self.limits.has_turns.then_some(1);
    }
}
