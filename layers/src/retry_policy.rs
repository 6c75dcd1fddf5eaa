use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::retry_progress::Progress;
use crate::{
    AttemptOutcome, Backoff, Call, RetryBudget, RetryClass, RetryDecision, RetryStop, Safety,
};

type Classify = dyn Fn(&AttemptOutcome<'_>) -> Option<RetryClass> + Send + Sync;
type OnDecision = dyn Fn(&RetryDecision<'_>) + Send + Sync;

/// What is sent again, how often, and after which wait.
///
/// By default there are 3 attempts, the first one included, with the default [`Backoff`] and
/// [`RetryBudget`], and [`RetryClass`] tells what is repeated. A `Retry-After` is the least that is
/// waited, and is never shortened: where the call's deadline comes first, the reply that carries it
/// is returned at once.
///
/// Clones share the budget.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::{Backoff, RetryBudget, RetryClass, RetryPolicy};
///
/// let policy = RetryPolicy::new()
///     .attempts(5)
///     .backoff(Backoff::new(Duration::from_millis(50), Duration::from_secs(5))?)
///     .budget(RetryBudget::unlimited())
///     // This server means "not yet" by it.
///     .classify(|outcome| {
///         (outcome.status()? == http::StatusCode::NOT_FOUND).then_some(RetryClass::Transient)
///     })
///     .on_decision(|decision| {
///         if let Some(delay) = decision.delay {
///             println!("attempt {}: {:?}, {delay:?}", decision.attempt, decision.outcome);
///         }
///     });
/// # let _ = policy;
/// # Ok::<(), idpflare_layers::InvalidBackoff>(())
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    attempts: u32,
    backoff: Backoff,
    budget: RetryBudget,
    classify: Option<Arc<Classify>>,
    on_decision: Option<Arc<OnDecision>>,
    repeat_idempotent: bool,
    once_after_429: bool,
    once_after_503: bool,
    once_after_refused_stream: bool,
    longest_wait: Duration,
}

impl RetryPolicy {
    /// The default policy.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff::default(),
            budget: RetryBudget::default(),
            classify: None,
            on_decision: None,
            repeat_idempotent: true,
            once_after_429: true,
            once_after_503: false,
            once_after_refused_stream: false,
            longest_wait: Duration::from_secs(300),
        }
    }

    /// At most so many attempts, the first one included; 3 by default. One, or zero, is no retry.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long to wait between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The budget of all calls together. Give the same one to several policies to share it.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Asked first for the class of an outcome; where it has no opinion, `None`, [`RetryClass::of`]
    /// decides. A class that it makes up counts: `NotSent` lets anything be repeated.
    #[must_use]
    pub fn classify<F>(mut self, classify: F) -> Self
    where
        F: Fn(&AttemptOutcome<'_>) -> Option<RetryClass> + Send + Sync + 'static,
    {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// Told what was decided after each attempt, a successful one too. It runs in the task of the
    /// call, so it should be quick.
    #[must_use]
    pub fn on_decision<F>(mut self, on_decision: F) -> Self
    where
        F: Fn(&RetryDecision<'_>) + Send + Sync + 'static,
    {
        self.on_decision = Some(Arc::new(on_decision));
        self
    }

    /// Whether an [`Idempotent`](Safety::Idempotent) operation is repeated that the server may have
    /// acted on; yes by default. The repeat leaves the same state, but may be answered differently
    /// (404 for what the first attempt deleted) and be logged twice by the server. Otherwise it is
    /// treated like [`Once`](Safety::Once).
    #[must_use]
    pub fn repeat_idempotent(mut self, repeat: bool) -> Self {
        self.repeat_idempotent = repeat;
        self
    }

    /// Whether an operation that must act [`Once`](Safety::Once) is repeated after a 429; yes by
    /// default, since by convention a request over the limit is not acted on.
    #[must_use]
    pub fn repeat_once_after_429(mut self, repeat: bool) -> Self {
        self.once_after_429 = repeat;
        self
    }

    /// Whether an operation that must act [`Once`](Safety::Once) is repeated after a 503 with
    /// `Retry-After`; no by default.
    #[must_use]
    pub fn repeat_once_after_503(mut self, repeat: bool) -> Self {
        self.once_after_503 = repeat;
        self
    }

    /// Whether an operation that must act [`Once`](Safety::Once) is repeated after its stream was
    /// reset with `REFUSED_STREAM`; no by default.
    ///
    /// RFC 9113, section 8.7, guarantees that such a request was not processed. HAProxy breaks that
    /// guarantee: it resets streams with this code after it has forwarded them. Opt in only if no
    /// such proxy is in front of the server.
    #[must_use]
    pub fn repeat_once_after_refused_stream(mut self, repeat: bool) -> Self {
        self.once_after_refused_stream = repeat;
        self
    }

    /// How long a call without a deadline may wait for its next attempt, 5 minutes by default. It is
    /// for a `Retry-After` of years: there the reply is returned at once. With a deadline, only that
    /// counts.
    #[must_use]
    pub fn longest_wait(mut self, longest: Duration) -> Self {
        self.longest_wait = longest;
        self
    }

    pub(crate) fn max_attempts(&self) -> u32 {
        self.attempts
    }

    /// The wait before the next attempt; `None` where there is none. What a retry costs has been
    /// taken then, and what a success earns been given.
    pub(crate) fn decide(
        &self,
        progress: &mut Progress,
        call: &Call,
        outcome: &AttemptOutcome<'_>,
    ) -> Option<Duration> {
        let attempt = progress.attempts(call);
        let overridden = self.classify.as_ref().and_then(|own| own(outcome));
        let class = overridden.unwrap_or_else(|| progress.class_of(call, outcome));
        let (delay, stopped) = match self.may_repeat(class, progress) {
            Err(stop) => (None, Some(stop)),
            Ok(()) => {
                let delay = self.delay(class, attempt, outcome);
                (
                    Some(delay),
                    self.stop(progress, call, class, outcome, delay),
                )
            }
        };
        if class == RetryClass::Final && outcome.status().is_some_and(|status| status.is_success())
        {
            self.budget.refund(progress.take_cost());
        }
        if let Some(on_decision) = &self.on_decision {
            on_decision(&RetryDecision {
                operation: progress.operation(),
                attempt,
                outcome: *outcome,
                class,
                delay,
                stopped,
            });
        }
        delay.filter(|_| stopped.is_none())
    }

    /// Gives back what was taken for an attempt that was not made.
    pub(crate) fn release(&self, progress: &mut Progress) {
        match progress.take_reserved() {
            0 => {}
            reserved => self.budget.refund(reserved),
        }
    }

    /// Whether a repeat makes sense and is safe.
    fn may_repeat(&self, class: RetryClass, progress: &Progress) -> Result<(), RetryStop> {
        let repeatable = match progress.safety() {
            Safety::ReadOnly => true,
            Safety::Idempotent => self.repeat_idempotent,
            Safety::Once => false,
        };
        let safe = match class {
            RetryClass::Final => return Err(RetryStop::Final),
            RetryClass::NotSent | RetryClass::NewerCredential | RetryClass::Misdirected => true,
            RetryClass::RateLimited => repeatable || self.once_after_429,
            RetryClass::Unavailable => repeatable || self.once_after_503,
            RetryClass::RefusedStream => repeatable || self.once_after_refused_stream,
            RetryClass::Transient => repeatable,
        };
        if !safe {
            return Err(RetryStop::Unsafe);
        }
        if progress.has_tried(class) {
            return Err(RetryStop::TriedOnce);
        }
        Ok(())
    }

    fn delay(&self, class: RetryClass, attempt: u32, outcome: &AttemptOutcome<'_>) -> Duration {
        let drawn = match class {
            // Nothing has to recover first.
            RetryClass::NewerCredential => return Duration::ZERO,
            RetryClass::RateLimited => self.backoff.rate_limited_delay(attempt),
            _ => self.backoff.delay(attempt),
        };
        drawn.max(outcome.retry_after().unwrap_or_default())
    }

    /// Why there can't be another attempt after `delay`. Where there can, its cost is taken.
    fn stop(
        &self,
        progress: &mut Progress,
        call: &Call,
        class: RetryClass,
        outcome: &AttemptOutcome<'_>,
        delay: Duration,
    ) -> Option<RetryStop> {
        if progress.has_spent(call, class) {
            return Some(RetryStop::Attempts);
        }
        match call.remaining() {
            Some(remaining) if delay >= remaining => return Some(RetryStop::Deadline),
            None if delay > self.longest_wait => return Some(RetryStop::LongWait),
            _ => {}
        }
        // The budget spares a server that is in trouble; one that refused a credential is not.
        let cost = match class {
            RetryClass::NewerCredential => None,
            _ if outcome.is_timeout() => Some(RetryBudget::RETRY_AFTER_TIMEOUT),
            _ => Some(RetryBudget::RETRY),
        };
        if cost.is_some_and(|cost| !self.budget.try_spend(cost)) {
            return Some(RetryStop::Budget);
        }
        progress.goes_on(class, cost);
        None
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("attempts", &self.attempts)
            .field("backoff", &self.backoff)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
