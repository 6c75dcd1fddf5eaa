use std::task::Waker;

use tokio::time::Instant;

pub(super) struct Waiter {
    pub(super) waker: Waker,
    pub(super) is_dialing: bool,
    /// Whether it was woken to see whether it is polled at all. Until then it is not called.
    pub(super) is_asked: bool,
}

pub(super) struct Called {
    pub(super) at: Instant,
    pub(super) claim: Claim,
    pub(super) is_dialing: bool,
}

/// The reason for which a waiter is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A free connection.
    Free,
    /// One connection to make within the limits.
    Room,
    /// One connection to make beyond the limits.
    Excess,
}

impl Waiter {
    pub(super) fn new(waker: &Waker, is_dialing: bool) -> Self {
        Self {
            waker: waker.clone(),
            is_dialing,
            is_asked: false,
        }
    }

    pub(super) fn take_waker(&mut self) -> Waker {
        std::mem::replace(&mut self.waker, Waker::noop().clone())
    }
}
