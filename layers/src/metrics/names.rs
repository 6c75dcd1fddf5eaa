//! How both adapters name what they record.

/// The boundaries that OpenTelemetry's conventions give `http.client.request.duration`, in seconds.
pub const DURATION_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
pub(crate) use adapters::*;

#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod adapters {
    use crate::{AttemptFinished, Outcome, QuotaAsked, QuotaFailure, Subject};

    pub(crate) const ATTEMPT_DURATION: &str = "http.client.request.duration";
    pub(crate) const ACTIVE_ATTEMPTS: &str = "http.client.active_requests";
    pub(crate) const CALL_DURATION: &str = "client.call.duration";
    pub(crate) const CALL_ATTEMPTS: &str = "client.call.attempts";
    pub(crate) const PERMIT_WAIT: &str = "client.call.permit_wait";
    pub(crate) const ACTIVE_CALLS: &str = "client.active_calls";
    pub(crate) const QUOTA_DURATION: &str = "client.quota.duration";
    pub(crate) const QUOTA_PERMITS: &str = "client.quota.permits";
    pub(crate) const QUOTA_NOTICES: &str = "client.quota.notices";

    /// Names, units in UCUM, and what is measured.
    pub(crate) const HISTOGRAMS_OF_SECONDS: [(&str, &str); 4] = [
        (ATTEMPT_DURATION, "Duration of HTTP client requests."),
        (CALL_DURATION, "Duration of calls, all attempts included."),
        (
            PERMIT_WAIT,
            "How long the attempts of a call waited for permission to be sent.",
        ),
        (
            QUOTA_DURATION,
            "Duration of questions to the backend of a shared quota.",
        ),
    ];
    pub(crate) const QUOTA_PERMITS_DESCRIPTION: &str = "Number of permits of a shared quota.";
    pub(crate) const QUOTA_NOTICES_DESCRIPTION: &str =
        "How often something has happened to the state of a shared quota.";
    pub(crate) const CALL_ATTEMPTS_DESCRIPTION: &str = "How often a call was sent.";
    pub(crate) const ACTIVE_ATTEMPTS_DESCRIPTION: &str = "Number of active HTTP requests.";
    pub(crate) const ACTIVE_CALLS_DESCRIPTION: &str = "Number of active calls.";

    /// The value of a label.
    #[derive(Clone, Copy)]
    pub(crate) enum Value<'a> {
        Static(&'static str),
        Text(&'a str),
        Number(u16),
    }

    type Label<'a> = Option<(&'static str, Value<'a>)>;

    fn operation(subject: &Subject) -> Label<'_> {
        let operation = subject.operation()?;
        Some(("operation", Value::Static(operation.id)))
    }

    /// The labels of all calls of an operation.
    pub(crate) fn call(subject: &Subject) -> impl Iterator<Item = (&'static str, Value<'_>)> {
        operation(subject).into_iter()
    }

    /// The labels of all attempts of an operation.
    pub(crate) fn attempt(subject: &Subject) -> impl Iterator<Item = (&'static str, Value<'_>)> {
        let address = subject.server_address();
        let port = subject.server_port();
        [
            operation(subject),
            Some(("http.request.method", Value::Static(subject.method()))),
            address.map(|address| ("server.address", Value::Text(address))),
            port.map(|port| ("server.port", Value::Number(port))),
        ]
        .into_iter()
        .flatten()
    }

    /// The labels of how it ended.
    pub(crate) fn outcome(outcome: &Outcome) -> impl Iterator<Item = (&'static str, Value<'_>)> {
        let error = outcome.error_type();
        [
            Some(("outcome", Value::Static(outcome.class()))),
            error.map(|error| ("error.type", Value::Text(error))),
        ]
        .into_iter()
        .flatten()
    }

    /// The labels of what the backend of a quota was asked.
    pub(crate) fn asked(
        asked: &QuotaAsked<'_>,
    ) -> impl Iterator<Item = (&'static str, Value<'static>)> {
        let error = asked.error.map(QuotaFailure::as_str);
        [
            Some(("question", Value::Static(asked.question.as_str()))),
            Some(("outcome", Value::Static(asked.outcome()))),
            error.map(|error| ("error.type", Value::Static(error))),
        ]
        .into_iter()
        .flatten()
    }

    /// How many permits an answer was about, by what became of them.
    pub(crate) fn permits(
        asked: &QuotaAsked<'_>,
    ) -> impl Iterator<Item = (u32, (&'static str, Value<'static>))> {
        let permits = [("granted", asked.granted), ("lapsed", asked.lapsed)];
        let some = permits.into_iter().filter(|(_, number)| *number > 0);
        some.map(|(state, number)| (number, ("state", Value::Static(state))))
    }

    /// The labels of what has happened to a quota's state.
    pub(crate) fn notices(
        asked: &QuotaAsked<'_>,
    ) -> impl Iterator<Item = (&'static str, Value<'static>)> {
        let notices = asked.notices.iter();
        notices.map(|notice| ("notice", Value::Static(notice.as_str())))
    }

    /// The labels of an attempt that has ended.
    pub(crate) fn finished<'a>(
        attempt: &'a AttemptFinished<'_>,
    ) -> impl Iterator<Item = (&'static str, Value<'a>)> {
        let status = attempt.outcome.status();
        let version = attempt.protocol_version;
        let reply = [
            status.map(|status| ("http.response.status_code", Value::Number(status.as_u16()))),
            version.map(|version| ("network.protocol.version", Value::Static(version))),
        ];
        self::attempt(attempt.subject)
            .chain(outcome(&attempt.outcome))
            .chain(reply.into_iter().flatten())
    }
}
