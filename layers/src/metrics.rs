use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Version;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::conventions::protocol_version;
use crate::{BoxError, Call, Outcome};

#[cfg(feature = "metrics")]
mod facade;
mod names;
#[cfg(feature = "opentelemetry")]
mod open_telemetry;
mod recorder;

#[cfg(feature = "metrics")]
pub use facade::FacadeRecorder;
pub use names::DURATION_BUCKETS;
#[cfg(feature = "opentelemetry")]
pub use open_telemetry::OpenTelemetryRecorder;
pub use recorder::{AttemptFinished, CallFinished, QuotaAsked, QuotaQuestion, Recorder, Subject};

/// Tells a [`Recorder`] when a call or an attempt starts, and how it ended.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use idpflare_layers::{BoxError, CallFinished, MetricsLayer, Recorder};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[derive(Default)]
/// struct Errors(AtomicU32);
///
/// impl Recorder for Errors {
///     fn call_finished(&self, call: &CallFinished<'_>) {
///         if call.outcome.error_type().is_some() {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let errors = Arc::new(Errors::default());
///     let transport = service_fn(async |_: http::Request<()>| {
///         let reply = http::Response::builder().status(503).body(())?;
///         Ok::<_, BoxError>(reply)
///     });
///     let service = MetricsLayer::per_call(Arc::clone(&errors)).layer(transport);
///     service.oneshot(http::Request::new(())).await?;
///     assert_eq!(errors.0.load(Ordering::Relaxed), 1);
///     Ok(())
/// }
/// ```
///
/// The same layer measures both, by where it is: [`per_call`](Self::per_call) belongs outside of
/// what repeats requests, [`per_attempt`](Self::per_attempt) inside, and inside of what waits or
/// refuses as well, such as [`RateLimitLayer`](crate::RateLimitLayer) and
/// [`ApiKeyLayer`](crate::ApiKeyLayer): a duration is that of an exchange then, and only what is sent
/// is counted. It looks at no header. Put in the wrong place, each counts the other. A stack may have
/// both.
///
/// Readiness is waited for before anything starts. What is dropped before it is done is
/// [`Cancelled`](Outcome::Cancelled), unless a timeout of this crate gave it up.
#[derive(Clone, Copy, Debug)]
pub struct MetricsLayer<R> {
    recorder: R,
    unit: Unit,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Call,
    Attempt,
}

impl<R: Recorder> MetricsLayer<R> {
    /// Measures what passes as calls, with all their attempts.
    #[must_use]
    pub fn per_call(recorder: R) -> Self {
        Self {
            recorder,
            unit: Unit::Call,
        }
    }

    /// Measures what passes as attempts. The usual place is directly inside of
    /// [`ApiKeyLayer`](crate::ApiKeyLayer).
    #[must_use]
    pub fn per_attempt(recorder: R) -> Self {
        Self {
            recorder,
            unit: Unit::Attempt,
        }
    }
}

impl<S, R: Clone> Layer<S> for MetricsLayer<R> {
    type Service = Metrics<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics {
            inner,
            recorder: self.recorder.clone(),
            unit: self.unit,
        }
    }
}

/// The service of [`MetricsLayer`].
#[derive(Clone, Debug)]
pub struct Metrics<S, R> {
    inner: S,
    recorder: R,
    unit: Unit,
}

impl<S, R, B, ResB> Service<http::Request<B>> for Metrics<S, R>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>>,
    S::Error: Into<BoxError>,
    R: Recorder + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = MetricsFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let call = Call::of_or_insert(&mut request);
        let measured = Measured::start(self.recorder.clone(), self.unit, &request, call);
        MetricsFuture {
            measured,
            future: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The future of [`Metrics`].
    pub struct MetricsFuture<F, R>
    where
        R: Recorder,
    {
        #[pin]
        future: F,
        measured: Measured<R>,
    }
}

impl<F, R, B, E> Future for MetricsFuture<F, R>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    R: Recorder,
    E: Into<BoxError>,
{
    type Output = Result<http::Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx)).map_err(Into::into);
        let version = result.as_ref().ok().map(http::Response::version);
        this.measured.finish(Outcome::of(&result), version);
        Poll::Ready(result)
    }
}

impl<F, R: Recorder> fmt::Debug for MetricsFuture<F, R> {
    /// Leaves out the future inside, which may show the body that it comes to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsFuture")
            .field("subject", &self.measured.subject)
            .finish_non_exhaustive()
    }
}

/// What has started and is finished exactly once, at the latest when it is dropped, also by a panic
/// further in.
struct Measured<R: Recorder> {
    recorder: R,
    unit: Unit,
    subject: Subject,
    started: Instant,
    /// None once it is finished.
    call: Option<Call>,
}

impl<R: Recorder> Measured<R> {
    fn start<B>(recorder: R, unit: Unit, request: &http::Request<B>, call: Call) -> Self {
        let subject = Subject::of(request);
        match unit {
            Unit::Call => recorder.call_started(&subject),
            Unit::Attempt => recorder.attempt_started(&subject),
        }
        Self {
            recorder,
            unit,
            subject,
            started: Instant::now(),
            call: Some(call),
        }
    }

    fn finish(&mut self, outcome: Outcome, version: Option<Version>) {
        if let Some(call) = self.call.take() {
            self.tell(&call, outcome, version);
        }
    }

    fn tell(&self, call: &Call, outcome: Outcome, version: Option<Version>) {
        let duration = self.started.elapsed();
        let subject = &self.subject;
        match self.unit {
            Unit::Call => self.recorder.call_finished(&CallFinished {
                subject,
                outcome,
                duration,
                attempts: call.attempts(),
                permit_wait: call.permit_wait(),
            }),
            Unit::Attempt => self.recorder.attempt_finished(&AttemptFinished {
                subject,
                outcome,
                duration,
                protocol_version: version.and_then(protocol_version),
            }),
        }
    }
}

impl<R: Recorder> Drop for Measured<R> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.tell(&call, call.dropped(), None);
        }
    }
}
