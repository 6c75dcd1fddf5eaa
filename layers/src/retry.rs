use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::request_copy::RequestCopy;
use crate::retry_progress::Progress;
use crate::timeout::Timer;
use crate::{AttemptOutcome, BoxError, Call, Failure, ReplyHead, RetryOverride, RetryPolicy};

/// Sends a request again where that is safe and may help, as its [`RetryPolicy`] says.
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use idpflare_layers::{BoxError, Call, RetryLayer, RetryPolicy};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() -> Result<(), BoxError> {
///     let flaky = service_fn(async |request: Request<()>| {
///         let first = Call::of(&request).is_some_and(|call| call.attempts() == 0);
///         let mut reply = Response::new(());
///         if first {
///             *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
///         }
///         Ok::<_, BoxError>(reply)
///     });
///     let service = RetryLayer::new(RetryPolicy::new()).layer(flaky);
///
///     let mut request = Request::get("https://api.example.com/users").body(())?;
///     let call = Call::of_or_insert(&mut request);
///     assert_eq!(service.clone().oneshot(request).await?.status(), StatusCode::OK);
///     assert_eq!(call.attempts(), 2);
///
///     // A repeat of this one may create a second user.
///     let request = Request::post("https://api.example.com/users").body(())?;
///     let reply = service.oneshot(request).await?;
///     assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
///     Ok(())
/// }
/// ```
///
/// Whether it is safe is told by the request's [`Operation`](crate::Operation), or by its method
/// where it has none, and a [`RetryOverride`] in its extensions has the last word. All attempts
/// have the same extensions, so the same [`Call`]: there, the attempts of other layers are counted
/// as well, and there [`Call::last_failure`] keeps why the last attempt was not the only one.
///
/// It never waits for longer than the call has time: where the deadline comes first, the outcome is
/// returned at once. The last outcome is always returned as it was, reply or error; where a service
/// that is tried again is not ready before the deadline, that is a [`Timeout`](crate::Timeout).
///
/// The request's body must be `Clone`, so that there is something to send again. One that is read
/// only once does not compile; leave this layer out of its stack, or collect it first, into a
/// [`Full`](http_body_util::Full).
///
/// ```compile_fail
/// use idpflare_layers::{BoxError, RetryLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// struct Once; // not Clone
/// let service = RetryLayer::default().layer(service_fn(async |_: http::Request<Once>| {
///     Ok::<_, BoxError>(http::Response::new(()))
/// }));
/// let reply = service.oneshot(http::Request::new(Once));
/// ```
///
/// The first attempt is made by the service that was polled ready; each later one by a new clone of
/// it, which is polled ready inside the future. A clone that fails there has used up an attempt.
///
/// Each attempt goes through all layers below. What is moved outside covers all attempts together:
/// a rate limit grants one permit for all, an attempt timeout bounds all, the key is that of the
/// first attempt, a reply that is cut off is not repeated. Outside of
/// [`DeadlineLayer`](crate::DeadlineLayer), its waits are bounded from the first attempt on, and
/// without any deadline each by [`RetryPolicy::longest_wait`]. Where no
/// [`DeliveryLayer`](crate::DeliveryLayer) is below, it records the attempts itself.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: Arc<RetryPolicy>,
}

impl RetryLayer {
    /// Retries according to `policy`. All services that this layer and its clones make share the
    /// policy's budget.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy: Arc::new(policy),
        }
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(RetryPolicy::default())
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry {
            inner,
            policy: Arc::clone(&self.policy),
        }
    }
}

/// The service of [`RetryLayer`].
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    policy: Arc<RetryPolicy>,
}

impl<S, B, ResB> Service<http::Request<B>> for Retry<S>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RetryFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let call = Call::of_or_insert(&mut request);
        let own = RetryOverride::of(&request);
        let (attempts, with_429) = own.limits(self.policy.max_attempts());
        call.limit_attempts(with_429);
        let mut progress = Progress::new(&request, own, &call, attempts);
        let again = (call.attempt_limit() != Some(1)).then(|| {
            Box::new(Again {
                service: self.inner.clone(),
                request: RequestCopy::of(&request, progress.operation(), &call),
            })
        });
        progress.begins();
        progress.hands_on(&call);
        RetryFuture {
            again,
            progress,
            call,
            policy: Arc::clone(&self.policy),
            // Last, so that it is made where it stays.
            state: State::Calling {
                future: self.inner.call(request),
            },
        }
    }
}

pin_project! {
    /// The future of [`Retry`].
    pub struct RetryFuture<S, B>
    where
        S: Service<http::Request<B>>,
    {
        #[pin]
        state: State<S, S::Future>,
        // `None` where there can't be a second attempt; boxed, as what most calls need no room for.
        again: Option<Box<Again<S, B>>>,
        progress: Progress,
        call: Call,
        policy: Arc<RetryPolicy>,
    }

    impl<S, B> PinnedDrop for RetryFuture<S, B>
    where
        S: Service<http::Request<B>>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.policy.release(this.progress);
        }
    }
}

/// What later attempts are made with clones of.
struct Again<S, B> {
    service: S,
    request: RequestCopy<B>,
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        Calling { #[pin] future: F },
        Waiting { #[pin] sleep: Sleep },
        // Waits for `service`, at most until the deadline.
        Readying { service: S, #[pin] deadline: Timer },
        Over,
    }
}

impl<S, B, ResB> Future for RetryFuture<S, B>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Clone,
{
    type Output = Result<http::Response<ResB>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let outcome = match this.state.as_mut().project() {
                StateProjection::Calling { future } => ready!(future.poll(cx)).map_err(Into::into),
                StateProjection::Waiting { sleep } => {
                    ready!(sleep.poll(cx));
                    self.as_mut().begin();
                    continue;
                }
                StateProjection::Readying { service, deadline } => {
                    let readiness = service.poll_ready(cx).map_err(Into::into);
                    // Looked at even where the service is ready: nothing is sent after it.
                    let late = this.call.remaining().is_some_and(|left| left.is_zero());
                    let late = late || (readiness.is_pending() && deadline.poll_over(cx));
                    match readiness {
                        _ if late => Err(this.call.expired().into()),
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(error)) => Err(error),
                        Poll::Ready(Ok(())) => {
                            let Some(again) = this.again else {
                                return Poll::Pending;
                            };
                            let request = again.request.to_request();
                            this.progress.hands_on(this.call);
                            let future = service.call(request);
                            this.state.set(State::Calling { future });
                            continue;
                        }
                    }
                }
                StateProjection::Over => return Poll::Pending,
            };
            // Drops the attempt, so that what it knows is in the call before that is asked.
            this.state.set(State::Over);
            let delay = self.as_mut().decide(&outcome);
            match delay {
                None => return Poll::Ready(outcome),
                Some(delay) => self.as_mut().wait(outcome, delay),
            }
        }
    }
}

impl<S, B> RetryFuture<S, B>
where
    S: Service<http::Request<B>> + Clone,
{
    /// How long to wait before the next attempt, where there is one.
    fn decide<ResB>(
        self: Pin<&mut Self>,
        outcome: &Result<http::Response<ResB>, BoxError>,
    ) -> Option<Duration> {
        let this = self.project();
        let outcome = AttemptOutcome::of(outcome);
        this.progress.ends(this.call, &outcome);
        let delay = this.policy.decide(this.progress, this.call, &outcome);
        delay.filter(|_| this.again.is_some())
    }

    /// Keeps what is to be known of an outcome that is not the last, and begins to wait.
    fn wait<ResB>(
        self: Pin<&mut Self>,
        outcome: Result<http::Response<ResB>, BoxError>,
        delay: Duration,
    ) {
        let failure = match outcome {
            Ok(reply) => {
                let (head, _) = reply.into_parts();
                Failure::Reply(ReplyHead::new(head.status, head.headers))
            }
            Err(error) => Failure::from(error),
        };
        // A refusal whose body hung says more than that time ran out.
        let refusal = self.call.interrupted_reply();
        let refusal = refusal.filter(|head| failure.is_timeout() && !head.status.is_success());
        let failure = refusal.map_or(failure, Failure::Reply);
        self.call.record_failure(failure);
        if delay.is_zero() {
            self.begin();
        } else {
            let sleep = sleep(delay);
            self.project().state.set(State::Waiting { sleep });
        }
    }

    /// Begins the next attempt.
    fn begin(self: Pin<&mut Self>) {
        let mut this = self.project();
        let Some(again) = this.again else {
            return this.state.set(State::Over);
        };
        this.progress.begins();
        this.state.set(State::Readying {
            service: again.service.clone(),
            deadline: Timer::until(this.call.deadline()),
        });
    }
}

impl<S: Service<http::Request<B>>, B> fmt::Debug for RetryFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
