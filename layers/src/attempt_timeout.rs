use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::timeout::Timer;
use crate::{BoxError, Call, Timeout, TimeoutScope};

/// Bounds one attempt, from the moment it is handed to the service below until its reply, body
/// included where [`CollectLayer`](crate::CollectLayer) is below.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::{AttemptTimeoutLayer, BoxError};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() {
///     let hangs = service_fn(async |_: http::Request<()>| {
///         std::future::pending::<Result<http::Response<()>, BoxError>>().await
///     });
///     let service = AttemptTimeoutLayer::new(Duration::from_secs(10)).layer(hangs);
///     let error = service.oneshot(http::Request::new(())).await.expect_err("the time is up");
///     assert_eq!(
///         error.to_string(),
///         "no complete reply within the attempt limit of 10s"
///     );
/// }
/// ```
///
/// An attempt gets the limit or what its [`Call`] has left, whichever is less. When that runs out,
/// it fails with [`Timeout`], of scope [`Attempt`](TimeoutScope::Attempt) or, where the call's
/// deadline was the tighter one, of scope [`Call`](TimeoutScope::Call).
///
/// Waiting for readiness does not count, so what queues should be outside. Moved outside a layer
/// that repeats requests, it bounds all of them together.
///
/// A limit of zero lets through only what is done at once; one that is too large for the clock is
/// none at all.
#[derive(Clone, Copy, Debug)]
pub struct AttemptTimeoutLayer {
    limit: Duration,
}

impl AttemptTimeoutLayer {
    /// At most `limit` for each attempt.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for AttemptTimeoutLayer {
    type Service = AttemptTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptTimeout {
            inner,
            limit: self.limit,
        }
    }
}

/// The service of [`AttemptTimeoutLayer`].
#[derive(Clone, Debug)]
pub struct AttemptTimeout<S> {
    inner: S,
    limit: Duration,
}

impl<S, B> Service<http::Request<B>> for AttemptTimeout<S>
where
    S: Service<http::Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = AttemptTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let call = Call::of_or_insert(&mut request);
        let started = Instant::now();
        let by_limit = started.checked_add(self.limit);
        let by_call = call.deadline();
        let end = match (by_limit, by_call) {
            (Some(limit), Some(deadline)) => Some(limit.min(deadline)),
            (limit, deadline) => limit.or(deadline),
        };
        let timer = Timer::until(end);
        let ends_with_call = end.is_some() && end == by_call;
        AttemptTimeoutFuture {
            timer,
            ends_with_call,
            started,
            limit: self.limit,
            call,
            // Last, so that it is made where it stays.
            future: Some(self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The future of [`AttemptTimeout`].
    pub struct AttemptTimeoutFuture<F> {
        // Gone once it is given up, so that it ends before anyone hears of that.
        #[pin]
        future: Option<F>,
        #[pin]
        timer: Timer,
        ends_with_call: bool,
        started: Instant,
        limit: Duration,
        call: Call,
    }
}

impl<F, T, E> Future for AttemptTimeoutFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        if let Poll::Ready(outcome) = future.poll(cx) {
            return Poll::Ready(outcome.map_err(Into::into));
        }
        if !this.timer.poll_over(cx) {
            return Poll::Pending;
        }
        this.call.give_up(|| this.future.set(None));
        let timeout = if *this.ends_with_call {
            this.call.expired()
        } else {
            Timeout::new(TimeoutScope::Attempt, *this.limit, this.started.elapsed())
        };
        Poll::Ready(Err(Box::new(timeout)))
    }
}

impl<F> fmt::Debug for AttemptTimeoutFuture<F> {
    /// Leaves out the future inside, which may show the body that it comes to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptTimeoutFuture")
            .field("limit", &self.limit)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
