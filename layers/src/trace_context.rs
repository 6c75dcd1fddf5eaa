//! W3C trace context, or whatever else the global propagator of OpenTelemetry speaks.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::Injector;
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Adds the context of `span` to `headers`; that of the caller where `span` is not exported.
pub(crate) fn inject(span: &Span, headers: &mut HeaderMap) {
    let of_span = (!span.is_disabled()).then(|| span.context());
    let context = of_span
        .filter(TraceContextExt::has_active_span)
        .unwrap_or_else(Context::current);
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(headers));
    });
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    /// What can't be a header is left out, and so is an empty `tracestate`, which says nothing.
    fn set(&mut self, name: &str, value: String) {
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::try_from(value),
        ) {
            self.0.insert(name, value);
        }
    }
}
