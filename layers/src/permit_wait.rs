use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::permit::{Permit, Ticket};
use crate::queue::Admission;
use crate::timeout::is_over;
use crate::{BoxError, Call, RateLimited, RateLimiter};

pin_project! {
    /// Waits for a permit, no longer than the call and the limiter allow.
    pub(crate) struct PermitWait {
        ticket: Ticket,
        call: Call,
        started: Instant,
        // There only while there is something to wake for: the alarm of the ticket, and the end of
        // the wait.
        #[pin]
        sleep: Option<Sleep>,
    }

    impl PinnedDrop for PermitWait {
        // However it ended: a wait in vain is one that should be seen.
        fn drop(this: Pin<&mut Self>) {
            this.call.record_permit_wait(this.started.elapsed());
        }
    }
}

impl PermitWait {
    pub(crate) fn new(limiter: &RateLimiter, call: Call) -> Self {
        Self {
            ticket: limiter.ticket(),
            call,
            started: Instant::now(),
            sleep: None,
        }
    }

    #[cfg(all(test, not(idpflare_loom)))]
    pub(crate) fn timer(&self) -> Option<Instant> {
        self.sleep.as_ref().map(Sleep::deadline)
    }
}

impl Future for PermitWait {
    type Output = Result<Permit, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let max_wait = this.ticket.limiter().max_wait();
        let latest = max_wait.and_then(|limit| Some((limit, this.started.checked_add(limit)?)));
        loop {
            let deadline = this.call.deadline();
            let now = Instant::now();
            // Asked before the permit: what starts now would have no time left.
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Err(this.call.expired().into()));
            }
            let (at_least, alarm) = match this.ticket.poll(cx) {
                Admission::Granted(permit) => return Poll::Ready(Ok(permit)),
                Admission::Refused(error, retry_after) => {
                    return Poll::Ready(Err(RateLimited::by_quota(error, retry_after).into()));
                }
                Admission::Wait { at_least, alarm } => (at_least, alarm),
            };
            let now = Instant::now();
            let earliest = now.checked_add(at_least);
            if let Some(deadline) = deadline
                && earliest.is_none_or(|at| at >= deadline)
            {
                let left = deadline.saturating_duration_since(now);
                return Poll::Ready(Err(RateLimited::by_deadline(at_least, left).into()));
            }
            if let Some((limit, end)) = latest
                && (now >= end || earliest.is_none_or(|at| at > end))
            {
                return Poll::Ready(Err(RateLimited::by_max_wait(at_least, limit).into()));
            }
            let ends = [alarm, deadline, latest.map(|(_, end)| end)];
            let Some(next) = ends.into_iter().flatten().min() else {
                this.sleep.set(None);
                return Poll::Pending;
            };
            match this.sleep.as_mut().as_pin_mut() {
                Some(sleep) if sleep.deadline() == next => {}
                Some(sleep) => sleep.reset(next),
                None => this.sleep.set(Some(sleep_until(next))),
            }
            if !is_over(this.sleep.as_mut(), cx) {
                return Poll::Pending;
            }
        }
    }
}
