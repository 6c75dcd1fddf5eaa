use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::permit::Permit;
use crate::permit_wait::PermitWait;
use crate::rate_limit_headers::{Ask, ask, is_success};
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
/// If the wait is known in advance to be too long, the request fails with `RateLimited` at once. A
/// request that waits no longer, for any reason, makes room for the next. One whose future is held
/// and not polled loses its place, and costs those behind it at most one permit and 100 ms.
///
/// A reply pauses all clones of the limiter, for as long as it says but no longer than
/// [`max_pause`](crate::RateLimiterBuilder::max_pause), if it
///
/// - has the status 429 and says for how long, by `Retry-After` or by a reset as below;
/// - says that nothing is left of the quota and when there will be more: `RateLimit` with `r=0` and
///   `t`, or with `remaining=0` and `reset`; `RateLimit-Remaining: 0` with `RateLimit-Reset`;
///   `X-RateLimit-Remaining: 0` with `X-RateLimit-Reset`, which may also be a time since 1970 in
///   seconds or milliseconds. The longest reset counts.
///
/// A 429 of one endpoint holds back all requests, since the quota is the key's. A server error, such as
/// a 503 with `Retry-After`, holds back none: it speaks of its own resource, and is a matter of
/// [`RetryLayer`](crate::RetryLayer). After a 429 that names no time the limiter
/// [finds the rate](RateLimiter) by itself.
///
/// A header that is negative or no number is ignored. The reply itself, and any error, is handed on
/// as it is: this layer repeats nothing.
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
        if let Some(permit) = limiter.try_take(call.deadline()) {
            call.record_permit_wait(Duration::ZERO);
            return RateLimitFuture {
                limiter,
                // Last, so that it is made where it stays.
                state: State::Calling {
                    permit: Some(permit),
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
        Calling { #[pin] future: F, permit: Option<Permit> },
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
                    let permit = ready!(waiting.wait.poll(cx))?;
                    let Some(request) = waiting.request.take() else {
                        return Poll::Pending;
                    };
                    State::Calling {
                        future: waiting.inner.call(request),
                        permit: Some(permit),
                    }
                }
                StateProjection::Calling { future, permit } => {
                    let outcome = ready!(future.poll(cx)).map_err(Into::into);
                    if let Some(permit) = permit.take() {
                        if let Ok(reply) = &outcome {
                            heed(this.limiter, &permit, reply);
                        }
                        permit.end();
                    }
                    return Poll::Ready(outcome);
                }
            };
            this.state.set(calling);
        }
    }
}

/// Takes in what `reply` says of the limit.
fn heed<B>(limiter: &RateLimiter, permit: &Permit, reply: &http::Response<B>) {
    if is_success(reply.status()) {
        limiter.succeeded();
    }
    match ask(reply.status(), reply.headers()) {
        Ask::Nothing => limiter.passed(),
        Ask::Pause(wait) => limiter.pause(wait),
        Ask::LowerRate => limiter.refused(permit),
    }
}

impl<S: Service<R>, R> fmt::Debug for RateLimitFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
