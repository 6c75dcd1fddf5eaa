use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;
use tracing::field::{self, Empty};

use crate::conventions::{SpanName, known_method, method_label, server_address, server_port};
use crate::redact::RedactedUrl;
use crate::span_future::TARGET;
use crate::{BoxError, Call, Operation, SpanFuture};

/// The parameters of queries whose values are shown unless a layer is told otherwise.
const SHOWN: [&str; 6] = ["limit", "offset", "page", "page_size", "per_page", "sort"];

/// Puts a [`tracing`] span around each attempt, with the name and the attributes of OpenTelemetry's
/// [conventions for HTTP clients][conventions].
///
/// ```
/// use idpflare_layers::{AttemptSpanLayer, BoxError};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tracing::Span;
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let _guard = tracing::subscriber::set_default(tracing_subscriber::registry());
///     let transport = service_fn(async |_: http::Request<()>| {
///         let span = Span::current().metadata().map(|span| span.name());
///         assert_eq!(span, Some("attempt"));
///         Ok::<_, BoxError>(http::Response::new(()))
///     });
///     let service = AttemptSpanLayer::new().layer(transport);
///     let request = http::Request::get("https://api.example.com/users?search=alice").body(())?;
///     service.oneshot(request).await?; // url.full: https://api.example.com/users?search=REDACTED
///     Ok(())
/// }
/// ```
///
/// The span is called `attempt`, of level `INFO` and target `idpflare_layers`. Its fields are
///
/// - `otel.name`: `{method} {template}` where the [`Operation`] is known, or else `{method}`;
///   `otel.kind`: `client`; `otel.status_code`: `ERROR` for a status from 400 on, and where there
///   was no complete reply;
/// - `http.request.method`, `server.address`, `server.port`, `url.full`, and `url.template`, which is
///   the operation's own: below the base of the API;
/// - `http.request.resend_count`, from the second send of a [`Call`] on;
/// - `http.response.status_code`, `network.protocol.version`, and `error.type`: the status or an
///   [`ErrorType`](crate::ErrorType).
///
/// An attempt that was cancelled has no status and no error; one that a timeout of this crate gave
/// up, wherever that is in the stack, has the error `timeout`.
///
/// No header is recorded, and of an error nothing but its type. In `url.full`, credentials are
/// replaced by `REDACTED`, and so is each value of the query but `true`, `false` and those of the
/// parameters that can't identify a person: see [`show_query`](Self::show_query).
///
/// With the feature `opentelemetry`, the context of the span, or the current OpenTelemetry context
/// where nobody exports the span, is added to the request's headers by the global propagator.
///
/// The layer belongs inside of what repeats requests; outside, it makes one span for all attempts.
/// The reply's body is covered where [`CollectLayer`](crate::CollectLayer) is inside. Where nobody
/// listens to the span, this layer does nothing else.
///
/// [conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
#[derive(Clone, Debug)]
pub struct AttemptSpanLayer {
    shown: Arc<[Box<str>]>,
}

impl AttemptSpanLayer {
    /// The layer, which shows the values of the parameters `limit`, `offset`, `page`, `page_size`,
    /// `per_page` and `sort`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shown: SHOWN.into_iter().map(Box::from).collect(),
        }
    }

    /// Shows the values of these parameters of a query and of no others, whatever was shown before.
    ///
    /// ```
    /// use idpflare_layers::AttemptSpanLayer;
    ///
    /// let layer = AttemptSpanLayer::new().show_query(["limit", "offset", "event_type"]);
    /// ```
    #[must_use]
    pub fn show_query<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.shown = names.into_iter().map(Into::into).collect();
        self
    }
}

impl Default for AttemptSpanLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for AttemptSpanLayer {
    type Service = AttemptSpan<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptSpan {
            inner,
            shown: Arc::clone(&self.shown),
        }
    }
}

/// The service of [`AttemptSpanLayer`].
#[derive(Clone, Debug)]
pub struct AttemptSpan<S> {
    inner: S,
    shown: Arc<[Box<str>]>,
}

impl<S, B, ResB> Service<http::Request<B>> for AttemptSpan<S>
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
        let span = span(&request, &self.shown);
        #[cfg(feature = "opentelemetry")]
        crate::trace_context::inject(&span, request.headers_mut());
        if span.is_disabled() {
            // In place: a request that is handed to a closure is moved twice more.
            return SpanFuture::unheard(span, self.inner.call(request));
        }
        let call = Call::of_or_insert(&mut request);
        SpanFuture::within(span, call, || self.inner.call(request))
    }
}

/// All values are expressions inside of the macro, which looks at them only where somebody listens.
#[inline]
fn span<B>(request: &http::Request<B>, shown: &[Box<str>]) -> Span {
    let operation = || Operation::of(request);
    let (method, uri) = (request.method(), request.uri());
    tracing::info_span!(
        target: TARGET,
        "attempt",
        "otel.name" = field::display(SpanName::new(method, operation())),
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "http.request.method" = method_label(method, operation()),
        "http.request.method_original" =
            known_method(method, operation()).is_none().then_some(method.as_str()),
        "server.address" = server_address(uri),
        "server.port" = server_port(uri).map(i64::from),
        "url.full" = field::display(RedactedUrl { uri, shown }),
        "url.template" = operation().map(|operation| operation.path_template),
        "http.request.resend_count" = resend_count(request),
        "http.response.status_code" = Empty,
        "network.protocol.version" = Empty,
        "error.type" = Empty,
    )
}

/// Only what is sent again has one.
fn resend_count<B>(request: &http::Request<B>) -> Option<i64> {
    let sent = Call::of(request)?.attempts();
    (sent > 0).then_some(i64::from(sent))
}
