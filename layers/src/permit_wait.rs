use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limiter::{Answer, Entered, Place};
use crate::timeout::is_over;
use crate::{BoxError, Call, RateLimited, RateLimiter};

pin_project! {
    /// Waits for a permit, no longer than the call and the limiter allow.
    pub(crate) struct PermitWait {
        place: Place,
        call: Call,
        started: Instant,
        // There only while there is something to wake for: the next permit where this is the first
        // in line, and the end of the wait.
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
            place: limiter.place(),
            call,
            started: Instant::now(),
            sleep: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn has_timer(&self) -> bool {
        self.sleep.is_some()
    }
}

impl Future for PermitWait {
    type Output = Result<Entered, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let max_wait = this.place.max_wait();
        let latest = max_wait.and_then(|limit| Some((limit, this.started.checked_add(limit)?)));
        loop {
            let deadline = this.call.deadline();
            let now = Instant::now();
            // Asked before the permit: what starts now would have no time left.
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Err(this.call.expired().into()));
            }
            let (at_least, look_again) = match this.place.poll_enter(cx) {
                Answer::Entered(entered) => return Poll::Ready(Ok(entered)),
                Answer::Refused(error, retry_after) => {
                    return Poll::Ready(Err(RateLimited::by_quota(error, retry_after).into()));
                }
                Answer::Wait {
                    at_least,
                    look_again,
                } => (at_least, look_again),
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
            let ends = [look_again, deadline, latest.map(|(_, end)| end)];
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
