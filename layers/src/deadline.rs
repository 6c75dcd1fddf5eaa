use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::timeout::Timer;
use crate::{BoxError, Call, CallLimit};

/// Bounds a whole call: everything that happens in the layers below, readiness included, and the
/// body too where [`CollectLayer`](crate::CollectLayer) is below.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::{BoxError, DeadlineLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() {
///     let hangs = service_fn(async |_: http::Request<()>| {
///         std::future::pending::<Result<http::Response<()>, BoxError>>().await
///     });
///     let service = DeadlineLayer::new(Duration::from_secs(30)).layer(hangs);
///     let error = service.oneshot(http::Request::new(())).await.expect_err("the time is up");
///     assert_eq!(
///         error.to_string(),
///         "the call was not done within its deadline of 30s"
///     );
/// }
/// ```
///
/// The deadline is put into the request's [`Call`], where inner layers read it; where that has an
/// earlier one, the earlier one counts. A [`CallLimit`] among the request's extensions makes it
/// earlier for that request. When it passes, the call fails with [`Timeout`](crate::Timeout) of scope
/// [`Call`](crate::TimeoutScope::Call), and what was going on below is dropped.
///
/// It is always ready itself and waits for the service below in its future, so that a queue there
/// is bounded as well. Layers that look at readiness, such as tower's `LoadShed`, belong below it.
///
/// A limit of zero lets through only what is ready at once; one that is too large for the clock is
/// none at all.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer {
    limit: Duration,
}

impl DeadlineLayer {
    /// A deadline `limit` after the start of each call.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline {
            inner,
            limit: self.limit,
            inner_is_ready: false,
        }
    }
}

/// The service of [`DeadlineLayer`].
#[derive(Debug)]
pub struct Deadline<S> {
    inner: S,
    limit: Duration,
    /// Whether `inner` has said so since its last call.
    inner_is_ready: bool,
}

impl<S: Clone> Clone for Deadline<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            limit: self.limit,
            // Readiness belongs to the very service that was asked, not to its clones.
            inner_is_ready: false,
        }
    }
}

impl<S, B> Service<http::Request<B>> for Deadline<S>
where
    S: Service<http::Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeadlineFuture<S, http::Request<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if !self.inner_is_ready
            && let Poll::Ready(ready) = self.inner.poll_ready(cx)
        {
            ready.map_err(Into::into)?;
            self.inner_is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let call = Call::of_or_insert(&mut request);
        call.limit_to(self.limit);
        if let Some(limit) = CallLimit::of(&request) {
            call.limit_to(limit.get());
        }
        let timer = Timer::until(call.deadline());
        if mem::take(&mut self.inner_is_ready) {
            return DeadlineFuture {
                timer,
                call,
                // Last, so that it is made where it stays.
                state: State::Calling {
                    future: self.inner.call(request),
                },
            };
        }
        // The clone stays behind: the one that was asked for readiness is the one to call.
        let clone = self.inner.clone();
        let waiting = Box::new(Waiting {
            inner: mem::replace(&mut self.inner, clone),
            request: Some(request),
        });
        DeadlineFuture {
            timer,
            call,
            state: State::Waiting { waiting },
        }
    }
}

pin_project! {
    /// The future of [`Deadline`].
    pub struct DeadlineFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R, S::Future>,
        #[pin]
        timer: Timer,
        call: Call,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, F> {
        // Boxed, as what most calls need no room for.
        Waiting { waiting: Box<Waiting<S, R>> },
        Calling { #[pin] future: F },
        Over,
    }
}

struct Waiting<S, R> {
    inner: S,
    request: Option<R>,
}

impl<S, R> Future for DeadlineFuture<S, R>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProjection::Calling { future } => {
                    if let Poll::Ready(outcome) = future.poll(cx) {
                        return Poll::Ready(outcome.map_err(Into::into));
                    }
                    break;
                }
                StateProjection::Waiting { waiting } => {
                    let Poll::Ready(ready) = waiting.inner.poll_ready(cx) else {
                        break;
                    };
                    ready.map_err(Into::into)?;
                    match waiting.request.take() {
                        Some(request) => waiting.inner.call(request),
                        None => break,
                    }
                }
                StateProjection::Over => return Poll::Pending,
            };
            this.state.set(State::Calling { future });
        }
        if this.timer.poll_over(cx) {
            this.call.give_up(|| this.state.set(State::Over));
            return Poll::Ready(Err(Box::new(this.call.expired())));
        }
        Poll::Pending
    }
}

impl<S: Service<R>, R> std::fmt::Debug for DeadlineFuture<S, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadlineFuture")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
