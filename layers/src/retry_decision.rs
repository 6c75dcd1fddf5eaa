use std::time::Duration;

use crate::{AttemptOutcome, Operation, RetryClass};

/// What was decided after an attempt, for [`RetryPolicy::on_decision`](crate::RetryPolicy::on_decision).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetryDecision<'a> {
    /// What the request does, where the client that built it said so.
    pub operation: Option<&'static Operation>,
    /// The number of the attempt that is over, counted from one. An attempt that found the service
    /// below not ready, or that another layer made, counts as well.
    pub attempt: u32,
    /// What it came to.
    pub outcome: AttemptOutcome<'a>,
    /// What that means.
    pub class: RetryClass,
    /// The wait before the next attempt, or that there would have been; `None` where the question
    /// did not arise.
    pub delay: Option<Duration>,
    /// Why there is no next attempt; `None` where there is one.
    pub stopped: Option<RetryStop>,
}

/// Why a request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryStop {
    /// It succeeded, or failed in a way that would be the same once more.
    Final,
    /// A repeat may act twice.
    Unsafe,
    /// What is tried once only has been tried: a newer credential, or another connection.
    TriedOnce,
    /// There have been as many attempts as may be.
    Attempts,
    /// The wait would last until the deadline or beyond.
    Deadline,
    /// There is no deadline, and the wait is longer than
    /// [`RetryPolicy::longest_wait`](crate::RetryPolicy::longest_wait).
    LongWait,
    /// The budget is spent.
    Budget,
}
