use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tracing::Span;

use crate::conventions::protocol_version;
use crate::{BoxError, Call, Outcome};

/// The name that the spans of this crate are filtered by.
pub(crate) const TARGET: &str = "idpflare_layers";

pin_project! {
    /// The future of [`CallSpan`](crate::CallSpan) and [`AttemptSpan`](crate::AttemptSpan): what
    /// runs in a span, which ends when that is done or dropped.
    pub struct SpanFuture<F> {
        // Gone once it is done, so that it is dropped inside its span, too.
        #[pin]
        future: Option<F>,
        span: Span,
        // None where nobody listens.
        call: Option<Call>,
    }

    impl<F> PinnedDrop for SpanFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(call) = this.call.take() {
                // First, because it leaves in the call what it knows.
                this.span.in_scope(|| this.future.set(None));
                record(this.span, &call, &call.dropped());
            }
        }
    }
}

impl<F> SpanFuture<F> {
    /// Of a span that nobody listens to.
    pub(crate) fn unheard(span: Span, future: F) -> Self {
        Self {
            span,
            call: None,
            future: Some(future),
        }
    }

    /// Makes the future inside `span`.
    pub(crate) fn within(span: Span, call: Call, future: impl FnOnce() -> F) -> Self {
        let future = Some(span.in_scope(future));
        Self {
            future,
            span,
            call: Some(call),
        }
    }
}

impl<F, B, E> Future for SpanFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<http::Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = {
            let _entered = this.span.enter();
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let result = ready!(future.poll(cx)).map_err(Into::into);
            this.future.set(None);
            result
        };
        if let Some(call) = this.call.take() {
            if let Ok(reply) = &result
                && let Some(version) = protocol_version(reply.version())
            {
                this.span.record("network.protocol.version", version);
            }
            record(this.span, &call, &Outcome::of(&result));
        }
        // The span ends here, not when the caller has let go of this future.
        *this.span = Span::none();
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for SpanFuture<F> {
    /// Leaves out the future inside, which may show the body that it comes to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanFuture")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

/// Records how it ended. A field that the span does not have is left out of it.
fn record(span: &Span, call: &Call, outcome: &Outcome) {
    span.record("call.attempts", i64::from(call.attempts()));
    if let Some(status) = outcome.status() {
        span.record("http.response.status_code", i64::from(status.as_u16()));
    }
    if let Some(error) = outcome.error_type() {
        span.record("error.type", error);
        span.record("otel.status_code", "ERROR");
    }
}
