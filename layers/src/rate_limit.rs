use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::limiter::Entered;
use crate::permit_wait::PermitWait;
use crate::rate_limit_headers::pause;
use crate::{BoxError, Call, RateLimiter};

/// Takes a permit of a [`RateLimiter`] for each request that passes, and makes it wait until there
/// is one.
///
/// ```
/// use idpflare_layers::{BoxError, Rate, RateLimitLayer, RateLimiter};
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower::{Layer, Service, ServiceExt, service_fn};
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() -> Result<(), BoxError> {
///     let limiter = RateLimiter::new(Rate::per_second(10)?);
///     let mut service = RateLimitLayer::new(limiter.clone()).layer(service_fn(
///         async |_: http::Request<()>| Ok::<_, BoxError>(http::Response::new(())),
///     ));
///
///     let started = Instant::now();
///     for _ in 0..21 {
///         service.ready().await?.call(http::Request::new(())).await?;
///     }
///     assert_eq!(started.elapsed().as_secs(), 2);
///     Ok(())
/// }
/// ```
///
/// Inside of what repeats requests, each attempt takes a permit; outside, only the first attempt of
/// a call does, and what a reply says is seen for the last attempt alone. Inside a timeout for one
/// attempt, waiting counts as a part of that attempt.
///
/// Requests wait in the future of the reply, in the order in which these are first polled. A wait
/// ends at the deadline of the request's [`Call`], with a [`Timeout`](crate::Timeout) of scope
/// [`Call`](crate::TimeoutScope::Call), or after the limiter's
/// [`max_wait`](crate::RateLimiterBuilder::max_wait), with [`RateLimited`](crate::RateLimited).
/// Where it can be told in advance that a request would wait for too long, it fails with
/// `RateLimited` at once. One that waits no longer, for any reason, makes room for the next; one
/// that nobody polls any more, but keeps, holds up those behind it.
///
/// A reply pauses all clones of the limiter, for as long as it says but no longer than
/// [`max_pause`](crate::RateLimiterBuilder::max_pause), where it
///
/// - has the status 429, or 503 with `Retry-After`;
/// - says that nothing is left, by `RateLimit` (`r=0` or `remaining=0`), `RateLimit-Remaining: 0` or
///   `X-RateLimit-Remaining: 0`. `Retry-After` counts first, then the longest reset, which in the
///   last two may also be a time since 1970. Without any, the pause is a second.
///
/// What these headers say is worth nothing where it is negative or no number, and however large it
/// is, it pauses for no more than `max_pause`. The reply itself, and any error, is handed on as it
/// is: this layer repeats nothing.
///
/// The service below is called when it was ready, and stays so while a request waits.
///
/// One stack takes a limiter once: after a pause, of two layers that share one, the outer would wait
/// for the inner to go first.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limiter: RateLimiter,
}

impl RateLimitLayer {
    /// Shares the quota of `limiter` with all that have a clone of it.
    #[must_use]
    pub fn new(limiter: RateLimiter) -> Self {
        Self { limiter }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit {
            inner,
            limiter: self.limiter.clone(),
        }
    }
}

/// The service of [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    limiter: RateLimiter,
}

impl<S, B, ResB> Service<http::Request<B>> for RateLimit<S>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RateLimitFuture<S, http::Request<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let call = Call::of_or_insert(&mut request);
        let limiter = self.limiter.clone();
        // Most find a permit at once. They need no clone of the service, no timer and no waker.
        // What has no time left does, to be told so.
        if let Some(entered) = limiter.try_enter(call.deadline()) {
            call.record_permit_wait(Duration::ZERO);
            return RateLimitFuture {
                limiter,
                // Last, so that it is made where it stays.
                state: State::Calling {
                    entered: Some(entered),
                    future: self.inner.call(request),
                },
            };
        }
        let clone = self.inner.clone();
        let waiting = Box::pin(Waiting {
            // The clone stays behind: the one that is ready is the one to call.
            inner: mem::replace(&mut self.inner, clone),
            request: Some(request),
            wait: PermitWait::new(&limiter, call),
        });
        RateLimitFuture {
            limiter,
            state: State::Waiting { waiting },
        }
    }
}

pin_project! {
    /// The future of [`RateLimit`].
    pub struct RateLimitFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R, S::Future>,
        limiter: RateLimiter,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, F> {
        // Boxed, as what most calls need no room for.
        Waiting { waiting: Pin<Box<Waiting<S, R>>> },
        Calling { #[pin] future: F, entered: Option<Entered> },
    }
}

pin_project! {
    struct Waiting<S, R> {
        inner: S,
        request: Option<R>,
        #[pin]
        wait: PermitWait,
    }
}

impl<S, R, ResB> Future for RateLimitFuture<S, R>
where
    S: Service<R, Response = http::Response<ResB>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let calling = match this.state.as_mut().project() {
                StateProjection::Waiting { waiting } => {
                    let waiting = waiting.as_mut().project();
                    let entered = ready!(waiting.wait.poll(cx))?;
                    let Some(request) = waiting.request.take() else {
                        return Poll::Pending;
                    };
                    State::Calling {
                        future: waiting.inner.call(request),
                        entered: Some(entered),
                    }
                }
                StateProjection::Calling { future, entered } => {
                    let outcome = ready!(future.poll(cx)).map_err(Into::into);
                    if let Ok(reply) = &outcome
                        && let Some(wait) = pause(reply.status(), reply.headers())
                    {
                        this.limiter.pause(wait);
                    }
                    if let Some(entered) = entered.take() {
                        entered.learned();
                    }
                    return Poll::Ready(outcome);
                }
            };
            this.state.set(calling);
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for RateLimitFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
