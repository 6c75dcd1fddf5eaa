use std::task::Context;

use crate::RateLimiter;
use crate::queue::Admission;

/// A place in the line of a limiter. Dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Ticket {
    limiter: RateLimiter,
    number: Option<u64>,
}

impl Ticket {
    pub(crate) fn new(limiter: RateLimiter) -> Self {
        Self {
            limiter,
            number: None,
        }
    }

    pub(crate) fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// Asks for a permit, and gets in line on the first time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Admission<Permit> {
        let number = &mut self.number;
        let limiter = &self.limiter;
        limiter.with_queue(|queue, now, wakes| {
            let admission = queue.poll(number, now, cx, wakes);
            admission.map(|probe| limiter.permit(queue, probe, now, wakes))
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            let limiter = &self.limiter;
            limiter.with_queue(|queue, now, wakes| queue.leave(number, now, wakes));
        }
    }
}

/// Proof that a permit was taken.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit {
    epoch: u32,
    probe: Option<Probe>,
}

impl Permit {
    pub(crate) fn new(epoch: u32, probe: Option<(RateLimiter, u64)>) -> Self {
        Self {
            epoch,
            probe: probe.map(|(limiter, number)| Probe {
                limiter,
                number,
                is_answered: false,
            }),
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Ends its use: there is an outcome. If that asks for a pause, the pause has begun.
    pub(crate) fn end(mut self) {
        if let Some(probe) = &mut self.probe {
            probe.is_answered = true;
        }
    }
}

/// The call that goes first after a pause.
#[derive(Debug)]
struct Probe {
    limiter: RateLimiter,
    number: u64,
    is_answered: bool,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.limiter.with_queue(|queue, now, wakes| {
            if queue.schedule.probe_ended(self.number, self.is_answered) {
                queue.wake_first(now, wakes);
            }
        });
    }
}
