use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;
use tracing::field::{self, Empty};

use crate::conventions::SpanName;
use crate::span_future::TARGET;
use crate::{BoxError, Call, Operation, SpanFuture};

/// Puts a [`tracing`] span around each call, all its attempts and the waits between them included.
///
/// ```
/// use idpflare_layers::{BoxError, CallSpanLayer};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tracing::Span;
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let _guard = tracing::subscriber::set_default(tracing_subscriber::registry());
///     let transport = service_fn(async |_: http::Request<()>| {
///         let span = Span::current().metadata().map(|span| span.name());
///         assert_eq!(span, Some("call"));
///         Ok::<_, BoxError>(http::Response::new(()))
///     });
///     let service = CallSpanLayer::new().layer(transport);
///     service.oneshot(http::Request::new(())).await?;
///     Ok(())
/// }
/// ```
///
/// The span is called `call`, of level `INFO` and target `idpflare_layers`. For OpenTelemetry it is
/// `INTERNAL` and has the [`Operation`]'s id as its name, or else the method. When it ends it has
/// the number of attempts (`call.attempts`), and the status (`http.response.status_code`) and
/// `error.type` of what the caller got. A call that was cancelled has neither, and is no error.
///
/// Readiness is waited for outside of any span, unless a layer inside waits for it in its future,
/// as [`DeadlineLayer`](crate::DeadlineLayer) does. Moved inside a layer that repeats requests, this
/// one makes a span for each attempt.
///
/// Where nobody listens to the span, this layer does nothing.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CallSpanLayer {}

impl CallSpanLayer {
    /// The layer; it has nothing to configure.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for CallSpanLayer {
    type Service = CallSpan<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallSpan { inner }
    }
}

/// The service of [`CallSpanLayer`].
#[derive(Clone, Debug)]
pub struct CallSpan<S> {
    inner: S,
}

impl<S, B, ResB> Service<http::Request<B>> for CallSpan<S>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = SpanFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // What it is given is looked at only where somebody listens.
        let span = tracing::info_span!(
            target: TARGET,
            "call",
            "otel.name" = name(&request),
            "otel.kind" = "internal",
            "otel.status_code" = Empty,
            "call.attempts" = Empty,
            "http.response.status_code" = Empty,
            "error.type" = Empty,
        );
        if span.is_disabled() {
            // In place: a request that is handed to a closure is moved twice more.
            return SpanFuture::unheard(span, self.inner.call(request));
        }
        let call = Call::of_or_insert(&mut request);
        SpanFuture::within(span, call, || self.inner.call(request))
    }
}

fn name<B>(request: &http::Request<B>) -> impl tracing::Value + use<B> {
    field::display(match Operation::of(request) {
        Some(operation) => Name::Operation(operation.id),
        None => Name::Method(SpanName::new(request.method(), None)),
    })
}

enum Name {
    Operation(&'static str),
    Method(SpanName),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operation(id) => f.write_str(id),
            Self::Method(method) => method.fmt(f),
        }
    }
}
