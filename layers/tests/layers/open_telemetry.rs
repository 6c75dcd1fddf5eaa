//! What arrives at an exporter of OpenTelemetry.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method};
use idpflare_layers::{
    AttemptSpanLayer, BoxError, CallSpanLayer, DURATION_BUCKETS, Lease, LeaseRequest, LocalQuota,
    MetricsLayer, OpenTelemetryRecorder, Operation, QuotaBackend, QuotaError, QuotaNotice, Rate,
    RateLimitLayer, Safety, SharedQuota, WhenAway,
};
use opentelemetry::global;
use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing_subscriber::layer::SubscriberExt;

use crate::metrics::{SERIES_OF_TEN_THOUSAND_IDS, send_for_ten_thousand_ids};

const GET_USER: &Operation =
    &Operation::new("getUser", Method::GET, "/users/{user_id}", Safety::ReadOnly);

fn get_user() -> http::Request<()> {
    http::Request::get("https://api.example.com/users/7?search=alice")
        .extension(GET_USER)
        .body(())
        .expect("a request")
}

/// Sends one request through both spans, and returns the headers that arrived.
async fn send(status: u16) -> HeaderMap {
    let headers = Arc::new(Mutex::new(HeaderMap::new()));
    let arrived = Arc::clone(&headers);
    let service = ServiceBuilder::new()
        .layer(CallSpanLayer::new())
        .layer(AttemptSpanLayer::new())
        .service(service_fn(move |request: http::Request<()>| {
            *arrived.lock().expect("no panic") = request.headers().clone();
            let reply = http::Response::builder().status(status).body(());
            std::future::ready(reply.map_err(BoxError::from))
        }));
    service.oneshot(get_user()).await.expect("a reply");
    let headers = headers.lock().expect("no panic");
    headers.clone()
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key.as_str() == name)?;
    Some(format!("{:?}", found.value))
}

#[tokio::test]
async fn spans_are_exported_and_their_context_is_sent() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    assert!(send(200).await.is_empty(), "nobody listens");

    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let headers = {
        let _listening = tracing::subscriber::set_default(subscriber);
        send(404).await
    };

    let spans = exporter.get_finished_spans().expect("spans");
    let [attempt, call] = &*spans else {
        panic!("two spans: {spans:?}");
    };
    assert_eq!(
        (&*call.name, &call.span_kind),
        ("getUser", &SpanKind::Internal)
    );
    assert_eq!(attempt.name, "GET /users/{user_id}");
    assert_eq!(attempt.span_kind, SpanKind::Client);
    assert_eq!(attempt.parent_span_id, call.span_context.span_id());
    for span in [call, attempt] {
        assert!(matches!(span.status, Status::Error { .. }));
        let status = attribute(span, "http.response.status_code");
        assert_eq!(status.as_deref(), Some("I64(404)"));
        let error = attribute(span, "error.type");
        assert!(error.is_some_and(|error| error.contains("\"404\"")));
    }
    let port = attribute(attempt, "server.port");
    assert_eq!(port.as_deref(), Some("I64(443)"));
    let url = attribute(attempt, "url.full").expect("a URL");
    assert!(
        url.contains("https://api.example.com/users/7?search=REDACTED"),
        "{url}"
    );

    let context = &attempt.span_context;
    let expected = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    assert_eq!(headers["traceparent"], *expected);
    assert_eq!(headers.len(), 1);
}

/// The provider is global, so tests take turns.
static PROVIDER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn meters() -> (SdkMeterProvider, InMemoryMetricExporter) {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter.clone()).build())
        .build();
    global::set_meter_provider(provider.clone());
    (provider, exporter)
}

#[tokio::test]
async fn ten_thousand_ids_share_their_attributes() {
    let _turn = PROVIDER.lock().await;
    let (provider, exporter) = meters();
    send_for_ten_thousand_ids(OpenTelemetryRecorder::new()).await;
    provider.force_flush().expect("flushed");
    let exported = exporter.get_finished_metrics().expect("metrics");
    let points = exported
        .iter()
        .flat_map(ResourceMetrics::scope_metrics)
        .flat_map(ScopeMetrics::metrics)
        .map(|metric| match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(data)) => data.data_points().count(),
            AggregatedMetrics::U64(MetricData::Histogram(data)) => data.data_points().count(),
            AggregatedMetrics::I64(MetricData::Sum(data)) => data.data_points().count(),
            other => panic!("{other:?}"),
        });
    assert_eq!(points.sum::<usize>(), SERIES_OF_TEN_THOUSAND_IDS);
}

#[tokio::test]
async fn metrics_are_those_of_the_conventions() {
    let _turn = PROVIDER.lock().await;
    let (provider, exporter) = meters();
    let recorder = OpenTelemetryRecorder::new();
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::per_call(recorder.clone()))
        .layer(MetricsLayer::per_attempt(recorder))
        .service(service_fn(async |_: http::Request<()>| {
            Ok::<_, BoxError>(http::Response::new(()))
        }));
    service.oneshot(get_user()).await.expect("a reply");
    provider.force_flush().expect("flushed");

    let exported = exporter.get_finished_metrics().expect("metrics");
    let metrics: Vec<_> = exported
        .iter()
        .flat_map(ResourceMetrics::scope_metrics)
        .flat_map(ScopeMetrics::metrics)
        .collect();
    let mut names: Vec<_> = metrics
        .iter()
        .map(|metric| (metric.name(), metric.unit()))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            ("client.active_calls", "{call}"),
            ("client.call.attempts", "{attempt}"),
            ("client.call.duration", "s"),
            ("http.client.active_requests", "{request}"),
            ("http.client.request.duration", "s"),
        ]
    );
    let duration = metrics
        .iter()
        .find(|metric| metric.name() == "http.client.request.duration")
        .expect("the duration");
    let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = duration.data() else {
        panic!("a histogram of seconds");
    };
    let point = histogram.data_points().next().expect("a point");
    assert!(point.bounds().eq(DURATION_BUCKETS.iter().copied()));
    let mut attributes: Vec<_> = point
        .attributes()
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    attributes.sort();
    assert_eq!(
        attributes,
        [
            "http.request.method=GET",
            "http.response.status_code=200",
            "network.protocol.version=1.1",
            "operation=getUser",
            "outcome=2xx",
            "server.address=api.example.com",
            "server.port=443",
        ]
    );
}

/// A quota whose state was lost before each question.
#[derive(Debug)]
struct Forgetful(LocalQuota);

impl QuotaBackend for Forgetful {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        let lease = self.0.lease(request).await?;
        Ok(lease.with_notice(QuotaNotice::StateLost))
    }

    async fn pause(&self, rate: Rate, wait: Duration) -> Result<(), QuotaError> {
        self.0.pause(rate, wait).await
    }
}

#[tokio::test]
async fn questions_for_a_shared_quota_are_counted() {
    let _turn = PROVIDER.lock().await;
    let (provider, exporter) = meters();
    let rate = Rate::per_second(10).and_then(|rate| rate.with_burst(4));
    let backend = Forgetful(LocalQuota::new());
    let quota = SharedQuota::new(rate.expect("a rate"), backend, WhenAway::FailOpen);
    let quota = quota
        .expect("a quota")
        .recorder(OpenTelemetryRecorder::new());
    let service =
        RateLimitLayer::new(quota.into()).layer(service_fn(async |_: http::Request<()>| {
            Ok::<_, BoxError>(http::Response::new(()))
        }));
    service.oneshot(get_user()).await.expect("a reply");
    provider.force_flush().expect("flushed");

    let exported = exporter.get_finished_metrics().expect("metrics");
    let mut lines = Vec::new();
    let metrics = exported
        .iter()
        .flat_map(ResourceMetrics::scope_metrics)
        .flat_map(ScopeMetrics::metrics);
    for metric in metrics {
        let (attributes, value): (Vec<_>, _) = match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(data)) => {
                let point = data.data_points().next().expect("a point");
                (point.attributes().collect(), point.count())
            }
            AggregatedMetrics::U64(MetricData::Sum(data)) => {
                let point = data.data_points().next().expect("a point");
                (point.attributes().collect(), point.value())
            }
            other => panic!("{other:?}"),
        };
        let mut attributes: Vec<_> = attributes
            .into_iter()
            .map(|attribute| format!("{}={}", attribute.key, attribute.value))
            .collect();
        attributes.sort();
        lines.push(format!(
            "{} {} {attributes:?} {value}",
            metric.name(),
            metric.unit()
        ));
    }
    lines.sort();
    assert_eq!(
        lines,
        [
            r#"client.quota.duration s ["outcome=ok", "question=lease"] 1"#,
            r#"client.quota.notices {notice} ["notice=state_lost"] 1"#,
            r#"client.quota.permits {permit} ["state=granted"] 1"#,
        ]
    );
}
