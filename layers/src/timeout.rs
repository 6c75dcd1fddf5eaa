use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

/// Which limit ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutScope {
    /// The deadline of the whole call.
    Call,
    /// The limit of one attempt.
    Attempt,
    /// The limit for name lookup, TCP connection, proxy tunnel and TLS handshake. Nothing of the
    /// request was sent.
    Connect,
}

/// A limit of time ran out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeout {
    scope: TimeoutScope,
    limit: Duration,
    elapsed: Duration,
}

impl Timeout {
    /// A timeout of `scope`, whose `limit` ran out after `elapsed`.
    #[must_use]
    pub fn new(scope: TimeoutScope, limit: Duration, elapsed: Duration) -> Self {
        Self {
            scope,
            limit,
            elapsed,
        }
    }

    /// Which limit ran out.
    #[must_use]
    pub fn scope(&self) -> TimeoutScope {
        self.scope
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long it really took until the limit was noticed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        match self.scope {
            TimeoutScope::Call => {
                write!(f, "the call was not done within its deadline of {limit:?}")
            }
            TimeoutScope::Attempt => {
                write!(f, "no complete reply within the attempt limit of {limit:?}")
            }
            TimeoutScope::Connect => {
                write!(f, "no connection within the connect limit of {limit:?}")
            }
        }
    }
}

impl Error for Timeout {}

pin_project! {
    /// The end of a wait. What never has to wait needs no timer, so there is one only from the first
    /// time on that something asks for the end.
    #[project = TimerProjection]
    pub(crate) enum Timer {
        Never,
        Idle { end: Instant },
        Set { #[pin] sleep: Sleep },
    }
}

impl Timer {
    pub(crate) fn until(end: Option<Instant>) -> Self {
        end.map_or(Self::Never, |end| Self::Idle { end })
    }

    /// Whether the end has come. If not, the task is woken then.
    pub(crate) fn poll_over(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        if let TimerProjection::Idle { end } = self.as_mut().project() {
            let sleep = sleep_until(*end);
            self.set(Self::Set { sleep });
        }
        match self.project() {
            TimerProjection::Set { sleep } => has_come(sleep, cx),
            _ => false,
        }
    }
}

/// Whether `sleep` is over; where there is none, it never is.
pub(crate) fn is_over(sleep: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> bool {
    sleep.as_pin_mut().is_some_and(|sleep| has_come(sleep, cx))
}

/// A task that has used up its cooperative budget is told "pending" by every timer, so the clock is
/// asked too.
fn has_come(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> bool {
    sleep.deadline() <= Instant::now() || sleep.poll(cx).is_ready()
}
