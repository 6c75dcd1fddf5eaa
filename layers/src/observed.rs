use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::{Call, ErrorType, Outcome};

/// The absence of any wait for a permit.
const NO_WAIT: u64 = u64::MAX;

/// What layers leave in a [`Call`] for those that observe it.
#[derive(Debug)]
pub(crate) struct Observed {
    timeouts: AtomicU32,
    /// Nanoseconds.
    permit_wait: AtomicU64,
}

impl Observed {
    pub(crate) fn new() -> Self {
        Self {
            timeouts: AtomicU32::new(0),
            permit_wait: AtomicU64::new(NO_WAIT),
        }
    }
}

impl Call {
    /// Says that a limit of time ran out, and that what runs below it will be dropped.
    ///
    /// A layer that is dropped half-way can't tell a timeout further out from a caller who has gone
    /// away. The timeouts of this crate say so here; one of your own should, too.
    pub fn record_timeout(&self) {
        self.observed().timeouts.fetch_add(1, Ordering::AcqRel);
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

    fn timeouts(&self) -> u32 {
        self.observed().timeouts.load(Ordering::Acquire)
    }
}

/// A call that is watched from now on, so that a future which is dropped knows why.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) call: Call,
    timeouts: u32,
}

impl Watch {
    pub(crate) fn new(call: Call) -> Self {
        let timeouts = call.timeouts();
        Self { call, timeouts }
    }

    /// How it ended, where it was dropped before it was done.
    pub(crate) fn dropped(&self) -> Outcome {
        if self.call.timeouts() == self.timeouts {
            Outcome::Cancelled
        } else {
            Outcome::Failed {
                error: ErrorType::Timeout,
                status: self.call.interrupted_reply().map(|head| head.status),
            }
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
    fn what_is_dropped_has_timed_out_only_where_someone_said_so_since() {
        let call = Call::new();
        call.record_timeout();
        let watch = Watch::new(call.clone());
        assert_eq!(watch.dropped(), Outcome::Cancelled);
        call.record_timeout();
        assert_eq!(watch.dropped().error_type(), Some("timeout"));
    }
}
