use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

use super::names::{self, DURATION_BUCKETS, Value};
use crate::{AttemptFinished, CallFinished, QuotaAsked, Recorder, Subject};

/// Records with the global meter provider of OpenTelemetry.
///
/// | metric | kind | attributes |
/// |---|---|---|
/// | `http.client.request.duration` | histogram, `s`, one value an attempt | `operation`, `outcome`, `error.type`, `http.response.status_code`, `network.protocol.version`, `http.request.method`, `server.address`, `server.port` |
/// | `http.client.active_requests` | up-down counter of attempts | `operation`, `http.request.method`, `server.address`, `server.port` |
/// | `client.call.duration` | histogram, `s` | `operation`, `outcome`, `error.type` |
/// | `client.call.attempts` | histogram | `operation`, `outcome`, `error.type` |
/// | `client.call.permit_wait` | histogram, `s`, of calls that had to ask for a permit | `operation` |
/// | `client.active_calls` | up-down counter | `operation` |
/// | `client.quota.duration` | histogram, `s`, one value for each question to the backend of a [`SharedQuota`](crate::SharedQuota) | `question`, `outcome`, `error.type` |
/// | `client.quota.permits` | counter | `state`: `granted` or `lapsed` |
/// | `client.quota.notices` | counter | `notice`: see [`QuotaNotice`](crate::QuotaNotice) |
///
/// `operation` is the id of the [`Operation`](crate::Operation), `outcome` the
/// [class of the outcome](crate::Outcome::class): `cancelled` is one. Attributes without a value are
/// left out. Histograms of seconds have the boundaries of
/// [`DURATION_BUCKETS`](crate::DURATION_BUCKETS).
///
/// ```
/// use idpflare_layers::{BoxError, MetricsLayer, OpenTelemetryRecorder};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// // Set the global meter provider first: the instruments are those of the one that is there.
/// let recorder = OpenTelemetryRecorder::new();
/// let service = ServiceBuilder::new()
///     .layer(MetricsLayer::per_call(recorder.clone()))
///     // Here is the place of what repeats requests.
///     .layer(MetricsLayer::per_attempt(recorder))
///     .service(service_fn(async |_: http::Request<()>| {
///         Ok::<_, BoxError>(http::Response::new(()))
///     }));
/// service.oneshot(http::Request::new(())).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenTelemetryRecorder {
    attempt_duration: Histogram<f64>,
    active_attempts: UpDownCounter<i64>,
    call_duration: Histogram<f64>,
    call_attempts: Histogram<u64>,
    permit_wait: Histogram<f64>,
    active_calls: UpDownCounter<i64>,
    quota_duration: Histogram<f64>,
    quota_permits: Counter<u64>,
    quota_notices: Counter<u64>,
}

impl OpenTelemetryRecorder {
    /// Makes its instruments with the global meter provider, as it is now.
    #[must_use]
    pub fn new() -> Self {
        Self::with_meter(&opentelemetry::global::meter(env!("CARGO_PKG_NAME")))
    }

    fn with_meter(meter: &Meter) -> Self {
        let [attempt_duration, call_duration, permit_wait, quota_duration] =
            names::HISTOGRAMS_OF_SECONDS.map(|(name, description)| {
                meter
                    .f64_histogram(name)
                    .with_description(description)
                    .with_unit("s")
                    .with_boundaries(DURATION_BUCKETS.into())
                    .build()
            });
        Self {
            attempt_duration,
            active_attempts: meter
                .i64_up_down_counter(names::ACTIVE_ATTEMPTS)
                .with_description(names::ACTIVE_ATTEMPTS_DESCRIPTION)
                .with_unit("{request}")
                .build(),
            call_duration,
            call_attempts: meter
                .u64_histogram(names::CALL_ATTEMPTS)
                .with_description(names::CALL_ATTEMPTS_DESCRIPTION)
                .with_unit("{attempt}")
                .with_boundaries((1..=10).map(f64::from).collect())
                .build(),
            permit_wait,
            active_calls: meter
                .i64_up_down_counter(names::ACTIVE_CALLS)
                .with_description(names::ACTIVE_CALLS_DESCRIPTION)
                .with_unit("{call}")
                .build(),
            quota_duration,
            quota_permits: meter
                .u64_counter(names::QUOTA_PERMITS)
                .with_description(names::QUOTA_PERMITS_DESCRIPTION)
                .with_unit("{permit}")
                .build(),
            quota_notices: meter
                .u64_counter(names::QUOTA_NOTICES)
                .with_description(names::QUOTA_NOTICES_DESCRIPTION)
                .with_unit("{notice}")
                .build(),
        }
    }
}

impl Default for OpenTelemetryRecorder {
    fn default() -> Self {
        Self::new()
    }
}

fn attributes<'a>(pairs: impl Iterator<Item = (&'static str, Value<'a>)>) -> Vec<KeyValue> {
    pairs
        .map(|(name, value)| match value {
            Value::Static(value) => KeyValue::new(name, value),
            Value::Text(value) => KeyValue::new(name, value.to_owned()),
            Value::Number(value) => KeyValue::new(name, i64::from(value)),
        })
        .collect()
}

impl Recorder for OpenTelemetryRecorder {
    fn call_started(&self, subject: &Subject) {
        self.active_calls.add(1, &attributes(names::call(subject)));
    }

    fn call_finished(&self, call: &CallFinished<'_>) {
        let active = attributes(names::call(call.subject));
        self.active_calls.add(-1, &active);
        if let Some(waited) = call.permit_wait {
            self.permit_wait.record(waited.as_secs_f64(), &active);
        }
        let outcome = names::outcome(&call.outcome);
        let attributes = attributes(names::call(call.subject).chain(outcome));
        self.call_duration
            .record(call.duration.as_secs_f64(), &attributes);
        self.call_attempts
            .record(u64::from(call.attempts), &attributes);
    }

    fn attempt_started(&self, subject: &Subject) {
        self.active_attempts
            .add(1, &attributes(names::attempt(subject)));
    }

    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        let subject = attempt.subject;
        self.active_attempts
            .add(-1, &attributes(names::attempt(subject)));
        self.attempt_duration.record(
            attempt.duration.as_secs_f64(),
            &attributes(names::finished(attempt)),
        );
    }

    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        self.quota_duration.record(
            asked.duration.as_secs_f64(),
            &attributes(names::asked(asked)),
        );
        for (number, label) in names::permits(asked) {
            let labels = attributes(std::iter::once(label));
            self.quota_permits.add(number.into(), &labels);
        }
        for label in names::notices(asked) {
            let labels = attributes(std::iter::once(label));
            self.quota_notices.add(1, &labels);
        }
    }
}
