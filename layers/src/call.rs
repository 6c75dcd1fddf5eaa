use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::{Delivery, Timeout, TimeoutScope};

/// The absence of a deadline, as nanoseconds since the start: 584 years.
const NO_DEADLINE: u64 = u64::MAX;

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
    interrupted: Mutex<Option<ReplyHead>>,
}

/// Status and headers of a reply whose body did not arrive.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplyHead {
    /// The reply's status.
    pub status: StatusCode,
    /// The reply's headers.
    pub headers: HeaderMap,
}

impl std::fmt::Debug for ReplyHead {
    /// Names the headers without their values, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyHead")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish()
    }
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
                interrupted: Mutex::new(None),
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
        request
            .extensions_mut()
            .get_or_insert_with(Self::new)
            .clone()
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
    pub async fn before_deadline<F: Future>(&self, future: F) -> Result<F::Output, Timeout> {
        match self.deadline() {
            None => Ok(future.await),
            Some(deadline) => tokio::time::timeout_at(deadline, future)
                .await
                .map_err(|_| self.expired()),
        }
    }

    /// The timeout of a call whose deadline has passed.
    pub(crate) fn expired(&self) -> Timeout {
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
        if let Some(after_start) = self.shared.started.elapsed().checked_add(limit) {
            self.shorten(after_start, limit);
        }
    }

    fn shorten(&self, after_start: Duration, limit: Duration) {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(NO_DEADLINE);
        let deadline = nanos(after_start);
        if deadline < self.shared.deadline.fetch_min(deadline, Ordering::AcqRel) {
            self.shared.limit.store(nanos(limit), Ordering::Release);
        }
    }

    /// How many times a request was handed to the transport.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.shared.sends.load(Ordering::Acquire)
    }

    /// The worst that is known of any attempt so far.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        if self.shared.open_sends.load(Ordering::Acquire) > 0 {
            return Delivery::Unknown;
        }
        Delivery::from_rank(self.shared.worst_delivery.load(Ordering::Acquire))
    }

    /// The head of the last attempt's reply, where that was given up before its body was complete.
    #[must_use]
    pub fn interrupted_reply(&self) -> Option<ReplyHead> {
        let interrupted = &self.shared.interrupted;
        interrupted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records one send that is over, for a service that has no
    /// [`DeliveryLayer`](crate::DeliveryLayer) around its transport.
    pub fn record_send(&self, delivery: Delivery) {
        self.begin_send();
        self.end_send(delivery);
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

    pub(crate) fn set_interrupted_reply(&self, head: Option<ReplyHead>) {
        let interrupted = &self.shared.interrupted;
        *interrupted.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
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
        assert_eq!(call.expired().limit(), Duration::from_secs(5));
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
