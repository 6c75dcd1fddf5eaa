//! What Prometheus scrapes.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use idpflare_management::layers::DURATION_BUCKETS;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const DURATIONS: [&str; 3] = [
    "http.client.request.duration",
    "client.call.duration",
    "client.call.permit_wait",
];
const ATTEMPTS: &str = "client.call.attempts";

/// Makes Prometheus the recorder of this process.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new().with_recommended_naming(true);
    // What has no buckets becomes a summary, which can't be added up over several processes.
    for name in DURATIONS {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.into()), DURATION_BUCKETS)?;
    }
    builder
        .set_buckets_for_metric(Matcher::Full(ATTEMPTS.into()), &[1.0, 2.0, 3.0])?
        .install_recorder()
}

/// Sums up what was recorded, which would pile up where nobody scrapes.
pub(crate) async fn keep_small(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

pub(crate) fn page(metrics: &PrometheusHandle) -> impl IntoResponse + use<> {
    let format = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (format, metrics.render())
}
