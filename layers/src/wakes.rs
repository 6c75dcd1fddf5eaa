use std::task::Waker;

/// Wakers to wake, and one to drop, once the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    next: Option<Waker>,
    others: Vec<Waker>,
    discarded: Option<Waker>,
}

impl Wakes {
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        if self.next.is_none() {
            self.next = Some(waker);
        } else {
            self.others.push(waker);
        }
    }

    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        debug_assert!(self.discarded.is_none(), "one operation discards one waker");
        self.discarded = waker;
    }

    pub(crate) fn wake(self) {
        for waker in self.next.into_iter().chain(self.others) {
            waker.wake();
        }
    }
}
