//! A [`Line`] behind a lock, and a place in it.

#[cfg(all(test, idpflare_loom))]
mod model;
#[cfg(all(test, not(idpflare_loom)))]
mod tests;

use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

#[cfg(all(test, idpflare_loom))]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, idpflare_loom)))]
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use super::line::{Keep, Limits, Line, Step, Taken, Wakes};

/// Connections of one server, and the calls that wait for one. Each operation holds the lock once. Wakers
/// are woken and dropped, and connections dropped, after that: any of it may run code that comes back here.
pub(super) struct Handover<E, S>(Mutex<Line<E, S>>);

impl<E: Keep, S: Keep + Clone> Handover<E, S> {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Mutex::new(Line::new(limits)))
    }

    /// Takes a connection that is left after all claims.
    pub(super) fn take(&self) -> Option<Taken<E, S>> {
        self.change(Line::take)
    }

    /// Adds a free connection, which is kept for at most so long. `maker` is the ticket of the waiter
    /// that made it.
    pub(super) fn put(&self, connection: E, keep: Duration, maker: Option<u64>) {
        self.change(|line, now, wakes| line.put(connection, keep, maker, now, wakes));
    }

    pub(super) fn returning(&self) {
        self.lock().returning();
    }

    pub(super) fn returned(&self) {
        self.change(Line::returned);
    }

    /// Adds a connection for all calls, unless there is one.
    pub(super) fn share(&self, connection: S) {
        self.change(|line, now, wakes| line.share(connection, now, wakes));
    }

    pub(super) fn forget(&self, is_it: impl Fn(&S) -> bool) {
        self.change(|line, _, wakes| line.forget(is_it, wakes));
    }

    pub(super) fn end_turns(&self, generation: u64) {
        self.change(|line, now, wakes| line.end_turns(generation, now, wakes));
    }

    pub(super) fn dial_failed(&self, generation: u64) {
        self.lock().dial_failed(generation);
    }

    pub(super) fn dial_starved(&self) -> bool {
        self.lock().dial_starved(Instant::now())
    }

    pub(super) fn dial_over(&self, generation: u64) {
        self.change(|line, now, wakes| line.dial_over(generation, now, wakes));
    }

    pub(super) fn connected(&self) {
        self.lock().connected();
    }

    pub(super) fn disconnected(&self) {
        self.change(Line::disconnected);
    }

    /// Passes late claims on, and returns whether calls wait.
    pub(super) fn tick(&self) -> bool {
        self.change(Line::tick)
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.lock().has_waiting()
    }

    pub(super) fn close_expired(&self) -> Option<Instant> {
        self.change(Line::close_expired)
    }

    /// When the time of the next unused connection is over; `None` if there is none.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.lock().next_expiry(Instant::now())
    }

    /// How long an unused connection is kept at most.
    pub(super) fn idle(&self) -> Duration {
        self.lock().idle()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Line<E, S>, Instant, &mut Wakes<E, S>) -> T) -> T {
        let mut wakes = Wakes::new();
        let outcome = change(&mut self.lock(), Instant::now(), &mut wakes);
        wakes.wake();
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Line<E, S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in line. Dropped, it leaves its claim to the next.
pub(super) struct Place<E: Keep, S: Keep + Clone> {
    handover: Arc<Handover<E, S>>,
    ticket: Option<u64>,
}

impl<E: Keep, S: Keep + Clone> Place<E, S> {
    pub(super) fn new(handover: Arc<Handover<E, S>>) -> Self {
        Self {
            handover,
            ticket: None,
        }
    }

    /// Takes a connection, or gets in line and has `waker` woken once there may be one.
    pub(super) fn poll(&mut self, is_dialing: bool, waker: &Waker) -> Step<E, S> {
        let ticket = &mut self.ticket;
        self.handover
            .change(|line, now, wakes| line.poll(ticket, is_dialing, waker, now, wakes))
    }

    /// Its number in line; a waiter that was passed by gets another one.
    pub(super) fn ticket(&self) -> Option<u64> {
        self.ticket
    }
}

impl<E: Keep, S: Keep + Clone> Drop for Place<E, S> {
    fn drop(&mut self) {
        let ticket = &mut self.ticket;
        if ticket.is_some() {
            self.handover
                .change(|line, now, wakes| line.leave(ticket, now, wakes));
        }
    }
}
