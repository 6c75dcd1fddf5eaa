use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::before_deadline::BeforeDeadline;
use crate::connecting::Connections;
use crate::observed::Observed;
use crate::timeout::Timer;
use crate::unsent::UnsentRequests;
use crate::{Delivery, Failure, ReplyHead, Timeout, TimeoutScope};

/// The absence of a deadline, as nanoseconds since the start: 584 years.
const NO_DEADLINE: u64 = u64::MAX;

/// The absence of a limit of attempts.
const NO_LIMIT: u32 = u32::MAX;

/// What all attempts of one call share, and all layers can read.
///
/// One is in the extensions of every request that passes a layer of this crate; clones of the
/// request share it. Its clones are the same call.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::Call;
/// use tokio::time::Instant;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut request = http::Request::new(());
/// let call = Call::of_or_insert(&mut request);
/// call.shorten_deadline(Instant::now() + Duration::from_secs(30));
/// call.shorten_deadline(Instant::now() + Duration::from_secs(60)); // no effect
///
/// let same = Call::of(&request).expect("it is in the extensions");
/// assert!(same.remaining() <= Some(Duration::from_secs(30)));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    /// Nanoseconds after `started`.
    deadline: AtomicU64,
    /// The limit that the deadline came from, in nanoseconds.
    limit: AtomicU64,
    sends: AtomicU32,
    /// Sends whose outcome nobody has recorded yet; one that was given up stays here for ever.
    open_sends: AtomicU32,
    worst_delivery: AtomicU8,
    attempt_limit: AtomicU32,
    connections: Connections,
    unsent: UnsentRequests,
    /// Whether a send that is not among `sends` did not happen.
    has_recorder: AtomicBool,
    interrupted: Mutex<Option<ReplyHead>>,
    last_failure: Mutex<Option<Failure>>,
    observed: Observed,
}

impl Call {
    /// A call that starts now, without a deadline.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                started: Instant::now(),
                deadline: AtomicU64::new(NO_DEADLINE),
                limit: AtomicU64::new(NO_DEADLINE),
                sends: AtomicU32::new(0),
                open_sends: AtomicU32::new(0),
                worst_delivery: AtomicU8::new(Delivery::NotSent.rank()),
                attempt_limit: AtomicU32::new(NO_LIMIT),
                connections: Connections::default(),
                unsent: UnsentRequests::default(),
                has_recorder: AtomicBool::new(false),
                interrupted: Mutex::new(None),
                last_failure: Mutex::new(None),
                observed: Observed::new(),
            }),
        }
    }

    /// The call that `request` is an attempt of.
    #[must_use]
    pub fn of<B>(request: &http::Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The call that `request` is an attempt of; a new one where there is none yet.
    pub fn of_or_insert<B>(request: &mut http::Request<B>) -> Self {
        // Looked up first, as what makes room for an insertion is dearer.
        if let Some(call) = Self::of(request) {
            return call.clone();
        }
        let call = Self::new();
        request.extensions_mut().insert(call.clone());
        call
    }

    /// When it started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.shared.started
    }

    /// When it must be over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.shared.deadline.load(Ordering::Acquire) {
            NO_DEADLINE => None,
            nanos => self.shared.started.checked_add(Duration::from_nanos(nanos)),
        }
    }

    /// The time that is left until the deadline; zero once it has passed.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Runs `future` until the deadline, or without end where there is none.
    ///
    /// # Errors
    ///
    /// [`Timeout`], of scope [`Call`](crate::TimeoutScope::Call), where the deadline came first.
    pub fn before_deadline<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Timeout>> {
        BeforeDeadline {
            future,
            timer: Timer::until(self.deadline()),
            call: self,
        }
    }

    /// The timeout of this call, for whom its deadline has passed.
    #[must_use]
    pub fn expired(&self) -> Timeout {
        let limit = Duration::from_nanos(self.shared.limit.load(Ordering::Acquire));
        Timeout::new(TimeoutScope::Call, limit, self.started().elapsed())
    }

    /// Makes `deadline` the call's, unless it has an earlier one: a deadline is only ever
    /// shortened.
    pub fn shorten_deadline(&self, deadline: Instant) {
        let after_start = deadline.saturating_duration_since(self.shared.started);
        self.shorten(after_start, after_start);
    }

    /// Gives the call at most `limit` from now on, unless it has an earlier deadline. A limit that
    /// is too large for the clock is none.
    pub fn limit_to(&self, limit: Duration) {
        // What was limited to no more than that before ends before that, too, and no clock has to be
        // read.
        if self.shared.limit.load(Ordering::Acquire) <= in_nanos(limit) {
            return;
        }
        if let Some(after_start) = self.shared.started.elapsed().checked_add(limit) {
            self.shorten(after_start, limit);
        }
    }

    fn shorten(&self, after_start: Duration, limit: Duration) {
        let deadline = in_nanos(after_start);
        if deadline < self.shared.deadline.fetch_min(deadline, Ordering::AcqRel) {
            self.shared.limit.store(in_nanos(limit), Ordering::Release);
        }
    }

    /// How many times a request was handed to the transport.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.shared.sends.load(Ordering::Acquire)
    }

    /// How many attempts there may be; `None` where nobody set a limit.
    #[must_use]
    pub fn attempt_limit(&self) -> Option<u32> {
        let limit = self.shared.attempt_limit.load(Ordering::Acquire);
        (limit != NO_LIMIT).then_some(limit)
    }

    /// Lets there be at most `attempts`, the first one included, unless the limit is lower already:
    /// it is only ever lowered. Zero counts as one. [`RetryLayer`](crate::RetryLayer) sets its own
    /// limit here, and keeps to what it finds.
    pub fn limit_attempts(&self, attempts: u32) {
        let limit = &self.shared.attempt_limit;
        limit.fetch_min(attempts.max(1), Ordering::AcqRel);
    }

    /// The worst that is known of any attempt so far.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        if self.has_open_send() {
            return Delivery::Unknown;
        }
        Delivery::from_rank(self.shared.worst_delivery.load(Ordering::Acquire))
    }

    /// The head of the last attempt's reply, where that was given up before its body was complete.
    #[must_use]
    pub fn interrupted_reply(&self) -> Option<ReplyHead> {
        lock(&self.shared.interrupted).clone()
    }

    /// How the last attempt failed that was followed by another one. A timeout that came after it
    /// does not take its place: a reply, or a broken connection, says more.
    #[must_use]
    pub fn last_failure(&self) -> Option<Failure> {
        lock(&self.shared.last_failure).clone()
    }

    /// Keeps `failure` as [`last_failure`](Self::last_failure), for a layer of your own that repeats
    /// requests.
    pub fn record_failure(&self, failure: Failure) {
        let mut last = lock(&self.shared.last_failure);
        if last.is_none() || !failure.is_timeout() {
            *last = Some(failure);
        }
    }

    /// Says that a [`DeliveryLayer`](crate::DeliveryLayer) is around the transport, so that what it
    /// does not count was not sent. For who builds a stack and knows; without it,
    /// [`RetryLayer`](crate::RetryLayer) counts an attempt that failed before anything was counted
    /// as one whose delivery is unknown.
    pub fn announce_recorder(&self) {
        self.shared.has_recorder.store(true, Ordering::Release);
    }

    /// Whether somebody has [said so](Self::announce_recorder).
    #[must_use]
    pub fn has_recorder(&self) -> bool {
        self.shared.has_recorder.load(Ordering::Acquire)
    }

    /// Whether a send is under way, or was given up.
    pub(crate) fn has_open_send(&self) -> bool {
        self.shared.open_sends.load(Ordering::Acquire) > 0
    }

    /// Records one send that is over, for a service that has no
    /// [`DeliveryLayer`](crate::DeliveryLayer) around its transport.
    pub fn record_send(&self, delivery: Delivery) {
        self.begin_send();
        self.end_send(delivery);
    }

    /// Records that the outcome is unknown, of a request that may be sent although the call was given
    /// up. It counts no attempt.
    pub fn record_unknown(&self) {
        let rank = Delivery::Unknown.rank();
        self.shared.worst_delivery.fetch_max(rank, Ordering::AcqRel);
    }

    /// Records one send that is over, and leaves what else is known of it alone.
    pub(crate) fn count_send(&self, delivery: Delivery) {
        self.shared.sends.fetch_add(1, Ordering::AcqRel);
        self.shared.open_sends.fetch_add(1, Ordering::AcqRel);
        self.end_send(delivery);
    }

    pub(crate) fn observed(&self) -> &Observed {
        &self.shared.observed
    }

    pub(crate) fn begin_send(&self) {
        if self.shared.sends.fetch_add(1, Ordering::AcqRel) > 0 {
            self.set_interrupted_reply(None);
        }
        self.shared.open_sends.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn end_send(&self, delivery: Delivery) {
        let rank = delivery.rank();
        self.shared.worst_delivery.fetch_max(rank, Ordering::AcqRel);
        self.shared.open_sends.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    pub(crate) fn unsent(&self) -> &UnsentRequests {
        &self.shared.unsent
    }

    pub(crate) fn set_interrupted_reply(&self, head: Option<ReplyHead>) {
        *lock(&self.shared.interrupted) = head;
    }
}

/// What is too long to be told in nanoseconds has no end.
fn in_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NO_DEADLINE)
}

/// What is kept is replaced as a whole, so a panic elsewhere can't have left it half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Call {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_only_ever_shortened() {
        let call = Call::new();
        assert_eq!(call.remaining(), None);
        let now = Instant::now();
        call.shorten_deadline(now + Duration::from_secs(5));
        call.shorten_deadline(now + Duration::from_secs(9));
        assert_eq!(call.remaining(), Some(Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(call.remaining(), Some(Duration::ZERO));
        call.shorten_deadline(now);
        assert_eq!(call.deadline(), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_tells_the_limit_that_was_set() {
        let call = Call::new();
        tokio::time::advance(Duration::from_millis(7)).await;
        call.limit_to(Duration::MAX);
        assert_eq!(call.deadline(), None);
        call.limit_to(Duration::from_secs(5));
        call.limit_to(Duration::from_secs(6));
        assert_eq!(call.remaining(), Some(Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(4)).await;
        call.limit_to(Duration::from_secs(2));
        assert_eq!(call.remaining(), Some(Duration::from_secs(1)));
        assert_eq!(call.expired().limit(), Duration::from_secs(5));
        call.limit_to(Duration::from_millis(500));
        assert_eq!(call.remaining(), Some(Duration::from_millis(500)));
        assert_eq!(call.expired().limit(), Duration::from_millis(500));
    }

    #[test]
    fn the_worst_delivery_stands_whatever_came_later() {
        let call = Call::new();
        assert_eq!(call.delivery(), Delivery::NotSent);
        for (outcome, worst) in [
            (Delivery::NotSent, Delivery::NotSent),
            (Delivery::Answered, Delivery::Answered),
            (Delivery::Unknown, Delivery::Unknown),
            (Delivery::Answered, Delivery::Unknown),
        ] {
            call.begin_send();
            assert_eq!(call.delivery(), Delivery::Unknown);
            call.end_send(outcome);
            assert_eq!(call.delivery(), worst);
        }
        assert_eq!(call.attempts(), 4);
    }
}
