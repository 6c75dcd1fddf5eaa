use ::metrics::{
    Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::names::{self, Value};
use crate::{AttemptFinished, CallFinished, QuotaAsked, Recorder, Subject};

/// Records with the [`metrics`](::metrics) facade.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `http.client.request.duration` | histogram, seconds, one value an attempt | `operation`, `outcome`, `error.type`, `http.response.status_code`, `network.protocol.version`, `http.request.method`, `server.address`, `server.port` |
/// | `http.client.active_requests` | gauge of attempts | `operation`, `http.request.method`, `server.address`, `server.port` |
/// | `client.call.duration` | histogram, seconds | `operation`, `outcome`, `error.type` |
/// | `client.call.attempts` | histogram | `operation`, `outcome`, `error.type` |
/// | `client.call.permit_wait` | histogram, seconds, of calls that had to ask for a permit | `operation` |
/// | `client.active_calls` | gauge | `operation` |
/// | `client.quota.duration` | histogram, seconds, one value for each question to the backend of a [`SharedQuota`](crate::SharedQuota) | `question`, `outcome`, `error.type` |
/// | `client.quota.permits` | counter | `state`: `granted` or `lapsed` |
/// | `client.quota.notices` | counter | `notice`: see [`QuotaNotice`](crate::QuotaNotice) |
///
/// `operation` is the id of the [`Operation`](crate::Operation), `outcome` the
/// [class of the outcome](crate::Outcome::class): `cancelled` is one. Labels without a value are
/// left out.
///
/// The facade leaves the buckets of a histogram to its exporter: give it
/// [`DURATION_BUCKETS`](crate::DURATION_BUCKETS) for `http.client.request.duration`.
///
/// ```
/// use idpflare_layers::{BoxError, FacadeRecorder, MetricsLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// // Install an exporter first: units and descriptions are given to the one that is there.
/// let recorder = FacadeRecorder::new();
/// let service = ServiceBuilder::new()
///     .layer(MetricsLayer::per_call(recorder))
///     // Here is the place of what repeats requests.
///     .layer(MetricsLayer::per_attempt(recorder))
///     .service(service_fn(async |_: http::Request<()>| {
///         Ok::<_, BoxError>(http::Response::new(()))
///     }));
/// service.oneshot(http::Request::new(())).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FacadeRecorder {}

impl FacadeRecorder {
    /// Records with the exporter that is installed, or will be.
    #[must_use]
    pub fn new() -> Self {
        for (name, description) in names::HISTOGRAMS_OF_SECONDS {
            describe_histogram!(name, Unit::Seconds, description);
        }
        describe_histogram!(
            names::CALL_ATTEMPTS,
            Unit::Count,
            names::CALL_ATTEMPTS_DESCRIPTION
        );
        describe_gauge!(
            names::ACTIVE_ATTEMPTS,
            Unit::Count,
            names::ACTIVE_ATTEMPTS_DESCRIPTION
        );
        describe_gauge!(
            names::ACTIVE_CALLS,
            Unit::Count,
            names::ACTIVE_CALLS_DESCRIPTION
        );
        describe_counter!(
            names::QUOTA_PERMITS,
            Unit::Count,
            names::QUOTA_PERMITS_DESCRIPTION
        );
        describe_counter!(
            names::QUOTA_NOTICES,
            Unit::Count,
            names::QUOTA_NOTICES_DESCRIPTION
        );
        Self {}
    }
}

impl Default for FacadeRecorder {
    /// The same as [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

fn labels<'a>(pairs: impl Iterator<Item = (&'static str, Value<'a>)>) -> Vec<Label> {
    pairs
        .map(|(name, value)| match value {
            Value::Static(value) => Label::from_static_parts(name, value),
            Value::Text(value) => Label::new(name, value.to_owned()),
            Value::Number(value) => Label::new(name, value.to_string()),
        })
        .collect()
}

impl Recorder for FacadeRecorder {
    fn call_started(&self, subject: &Subject) {
        gauge!(names::ACTIVE_CALLS, labels(names::call(subject))).increment(1);
    }

    fn call_finished(&self, call: &CallFinished<'_>) {
        let active = labels(names::call(call.subject));
        if let Some(waited) = call.permit_wait {
            histogram!(names::PERMIT_WAIT, active.clone()).record(waited);
        }
        gauge!(names::ACTIVE_CALLS, active).decrement(1);
        let labels = labels(names::call(call.subject).chain(names::outcome(&call.outcome)));
        histogram!(names::CALL_DURATION, labels.clone()).record(call.duration);
        histogram!(names::CALL_ATTEMPTS, labels).record(call.attempts);
    }

    fn attempt_started(&self, subject: &Subject) {
        gauge!(names::ACTIVE_ATTEMPTS, labels(names::attempt(subject))).increment(1);
    }

    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        let subject = attempt.subject;
        gauge!(names::ACTIVE_ATTEMPTS, labels(names::attempt(subject))).decrement(1);
        histogram!(names::ATTEMPT_DURATION, labels(names::finished(attempt)))
            .record(attempt.duration);
    }

    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        histogram!(names::QUOTA_DURATION, labels(names::asked(asked))).record(asked.duration);
        for (number, label) in names::permits(asked) {
            let labels = labels(std::iter::once(label));
            counter!(names::QUOTA_PERMITS, labels).increment(number.into());
        }
        for label in names::notices(asked) {
            counter!(names::QUOTA_NOTICES, labels(std::iter::once(label))).increment(1);
        }
    }
}
