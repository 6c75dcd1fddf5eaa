use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::{Call, ErrorType, Outcome};

/// The absence of any wait for a permit.
const NO_WAIT: u64 = u64::MAX;

/// What layers leave in a [`Call`] for those that observe it.
#[derive(Debug)]
pub(crate) struct Observed {
    /// How many layers are dropping what a limit of time gave up.
    giving_up: AtomicU32,
    /// Nanoseconds.
    permit_wait: AtomicU64,
}

impl Observed {
    pub(crate) fn new() -> Self {
        Self {
            giving_up: AtomicU32::new(0),
            permit_wait: AtomicU64::new(NO_WAIT),
        }
    }
}

impl Call {
    /// Runs `drop`, which drops what a limit of time has given up.
    ///
    /// A layer that is dropped half-way can't tell a timeout further out from a caller who has gone
    /// away. The timeouts of this crate drop here what ran below them; one of your own should, too.
    pub fn give_up(&self, drop: impl FnOnce()) {
        /// Also where dropping panics.
        struct Over<'a>(&'a AtomicU32);

        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }

        let giving_up = &self.observed().giving_up;
        giving_up.fetch_add(1, Ordering::AcqRel);
        let _over = Over(giving_up);
        drop();
    }

    /// Whether a limit of time is giving up what runs for this call: to be asked by what is dropped
    /// half-way, such as a transport of your own that would not use the connection again.
    #[must_use]
    pub fn is_giving_up(&self) -> bool {
        self.observed().giving_up.load(Ordering::Acquire) > 0
    }

    /// Adds to the time that the attempts of this call have waited for permission to be sent.
    pub fn record_permit_wait(&self, waited: Duration) {
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(NO_WAIT);
        let add = |so_far| {
            let so_far = if so_far == NO_WAIT { 0 } else { so_far };
            Some(waited.saturating_add(so_far).min(NO_WAIT - 1))
        };
        // The closure never refuses.
        let _ = self
            .observed()
            .permit_wait
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    /// How long all attempts together have waited for permission to be sent; `None` where no layer
    /// asked them to.
    #[must_use]
    pub fn permit_wait(&self) -> Option<Duration> {
        match self.observed().permit_wait.load(Ordering::Acquire) {
            NO_WAIT => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// The outcome of what is being dropped before it was done.
    pub(crate) fn dropped(&self) -> Outcome {
        if !self.is_giving_up() {
            return Outcome::Cancelled;
        }
        Outcome::Failed {
            error: ErrorType::Timeout,
            status: self.interrupted_reply().map(|head| head.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_add_up_and_never_overflow() {
        let call = Call::new();
        assert_eq!(call.permit_wait(), None);
        call.record_permit_wait(Duration::ZERO);
        assert_eq!(call.permit_wait(), Some(Duration::ZERO));
        call.record_permit_wait(Duration::from_millis(2));
        call.record_permit_wait(Duration::from_millis(3));
        assert_eq!(call.permit_wait(), Some(Duration::from_millis(5)));
        call.record_permit_wait(Duration::MAX);
        call.record_permit_wait(Duration::MAX);
        assert!(call.permit_wait() > Some(Duration::from_secs(1 << 34)));
    }

    #[test]
    fn what_is_dropped_has_timed_out_only_while_someone_says_so() {
        let call = Call::new();
        assert_eq!(call.dropped(), Outcome::Cancelled);
        assert!(!call.is_giving_up());
        call.give_up(|| {
            assert!(call.is_giving_up());
            assert_eq!(call.dropped().error_type(), Some("timeout"));
        });
        assert!(!call.is_giving_up());
        assert_eq!(call.dropped(), Outcome::Cancelled);
    }
}
