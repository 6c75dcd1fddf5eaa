use std::task::Waker;

/// Wakers to wake, and wakers and connections to drop, once the lock is released: either may run code
/// that comes back to the line.
pub(in crate::transport::pool) struct Wakes<E, S> {
    wakers: Vec<Waker>,
    discarded: Vec<Waker>,
    exclusive: Vec<E>,
    shared: Vec<S>,
}

impl<E, S> Wakes<E, S> {
    pub(in crate::transport::pool) fn new() -> Self {
        Self {
            wakers: Vec::new(),
            discarded: Vec::new(),
            exclusive: Vec::new(),
            shared: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, waker: Waker) {
        self.wakers.push(waker);
    }

    pub(super) fn add_all(&mut self, wakers: impl Iterator<Item = Waker>) {
        self.wakers.extend(wakers);
    }

    pub(super) fn discard(&mut self, waker: Waker) {
        self.discarded.push(waker);
    }

    /// Closes connections that serve one call at a time.
    pub(super) fn close(&mut self, connections: impl IntoIterator<Item = E>) {
        self.exclusive.extend(connections);
    }

    /// Closes a connection for all calls.
    pub(super) fn close_shared(&mut self, connection: impl IntoIterator<Item = S>) {
        self.shared.extend(connection);
    }

    /// Wakes and drops them.
    pub(in crate::transport::pool) fn wake(self) {
        self.wakers.into_iter().for_each(Waker::wake);
    }
}
