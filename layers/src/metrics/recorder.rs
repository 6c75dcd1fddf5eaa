use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;

use crate::conventions::{method_label, server_port, without_brackets};
use crate::{Operation, Outcome, QuotaFailure, QuotaNotice};

/// What [`MetricsLayer`](crate::MetricsLayer) tells what it measures.
///
/// Whatever starts is finished exactly once, so that counting up at the one and down at the other
/// tells how many are in flight. An `Arc` of a recorder is one, too.
///
/// The methods are called while requests are being made, and should not block.
pub trait Recorder: Send + Sync {
    /// A call starts.
    fn call_started(&self, subject: &Subject) {
        let _ = subject;
    }

    /// A call has ended or was cancelled.
    fn call_finished(&self, call: &CallFinished<'_>) {
        let _ = call;
    }

    /// An attempt starts.
    fn attempt_started(&self, subject: &Subject) {
        let _ = subject;
    }

    /// An attempt has ended or was cancelled.
    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        let _ = attempt;
    }

    /// The backend of a [`SharedQuota`](crate::SharedQuota) was asked something, and has answered or
    /// has not. Only the recorder of that quota is told. Of an answer that comes after its time it is told
    /// twice: `timeout`, then `late`.
    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        let _ = asked;
    }
}

impl<R: Recorder + ?Sized> Recorder for Arc<R> {
    fn call_started(&self, subject: &Subject) {
        (**self).call_started(subject);
    }

    fn call_finished(&self, call: &CallFinished<'_>) {
        (**self).call_finished(call);
    }

    fn attempt_started(&self, subject: &Subject) {
        (**self).attempt_started(subject);
    }

    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        (**self).attempt_finished(attempt);
    }

    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        (**self).quota_asked(asked);
    }
}

/// What a call or an attempt is about: nothing in it has more values than a metric can have labels.
#[derive(Clone, Debug)]
pub struct Subject {
    operation: Option<&'static Operation>,
    method: &'static str,
    authority: Option<Authority>,
    port: Option<u16>,
}

impl Subject {
    pub(crate) fn of<B>(request: &http::Request<B>) -> Self {
        let operation = Operation::of(request);
        Self {
            operation,
            method: method_label(request.method(), operation),
            authority: request.uri().authority().cloned(),
            port: server_port(request.uri()),
        }
    }

    /// The operation, where the client that built the request said so.
    #[must_use]
    pub fn operation(&self) -> Option<&'static Operation> {
        self.operation
    }

    /// The method, `_OTHER` where it is neither a known one nor that of the operation.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Name or address of the server.
    #[must_use]
    pub fn server_address(&self) -> Option<&str> {
        let authority = self.authority.as_ref()?;
        Some(without_brackets(authority.host()))
    }

    /// The port, that of the scheme where the URL has none.
    #[must_use]
    pub fn server_port(&self) -> Option<u16> {
        self.port
    }
}

/// A call that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallFinished<'a> {
    /// What it was about.
    pub subject: &'a Subject,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, with all attempts and the waits between them.
    pub duration: Duration,
    /// How often a request was sent, as [`Call::attempts`](crate::Call::attempts) counts it.
    pub attempts: u32,
    /// How long the attempts waited for permission to be sent, in all; `None` where none had to
    /// ask. See [`Call::record_permit_wait`](crate::Call::record_permit_wait).
    pub permit_wait: Option<Duration>,
}

/// An attempt that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptFinished<'a> {
    /// What it was about.
    pub subject: &'a Subject,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
    /// The version of HTTP of a complete reply, such as `1.1` or `2`.
    pub protocol_version: Option<&'static str>,
}

/// The backend of a [`SharedQuota`](crate::SharedQuota) was asked something.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuotaAsked<'a> {
    /// What it was asked.
    pub question: QuotaQuestion,
    /// How that failed, if it did.
    pub error: Option<QuotaFailure>,
    /// What has happened to its state.
    pub notices: &'a [QuotaNotice],
    /// How many permits it has granted.
    pub granted: u32,
    /// How many permits of earlier leases have lapsed since the last question.
    pub lapsed: u32,
    /// How long the answer took.
    pub duration: Duration,
}

impl QuotaAsked<'_> {
    /// How it went, as a label of metrics: `ok`, or the [name](QuotaFailure::as_str) of the failure.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        self.error.map_or("ok", QuotaFailure::as_str)
    }
}

/// What the backend of a quota may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuotaQuestion {
    /// For permits.
    Lease,
    /// To take permits back.
    GiveBack,
    /// To have all pause.
    Pause,
}

impl QuotaQuestion {
    /// Its name in metrics and events, such as `give_back`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::GiveBack => "give_back",
            Self::Pause => "pause",
        }
    }
}
