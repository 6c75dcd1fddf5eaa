use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Why a [`QuotaBackend`](super::QuotaBackend) could not tell what the quota allows.
///
/// It is the source of the [`RateLimited`](crate::RateLimited) that a request fails with where
/// [`WhenAway::FailClosed`](super::WhenAway::FailClosed) was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaError {
    failure: QuotaFailure,
    detail: Cow<'static, str>,
}

impl QuotaError {
    /// An error with what is known beyond its kind. That must tell no secret: it is logged.
    pub fn new(failure: QuotaFailure, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            failure,
            detail: detail.into(),
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn failure(&self) -> QuotaFailure {
        self.failure
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.failure {
            QuotaFailure::Connection => "there is no connection to the quota's server",
            QuotaFailure::Timeout => "the quota's server has not answered in time",
            QuotaFailure::Late => "the answer of the quota's server came too late",
            QuotaFailure::ReadOnly => "the quota's server takes no writes",
            QuotaFailure::Unready => "the quota's server is not ready",
            QuotaFailure::Denied => "the quota's server denies access",
            QuotaFailure::Misdirected => "the quota is on another server of the cluster",
            QuotaFailure::Invalid => "the quota can't be kept by this backend",
            QuotaFailure::Other => "the quota's server has answered with an error",
        })?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl Error for QuotaError {}

/// The kinds of [`QuotaError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuotaFailure {
    /// There is no connection, or it broke.
    Connection,
    /// There was no answer in time.
    Timeout,
    /// There was an answer, after its time, or too late for its permits to be used in theirs.
    Late,
    /// The server takes no writes: it is a replica, or lacks replicas or a disk.
    ReadOnly,
    /// The server is loading, in a failover or busy.
    Unready,
    /// The user or the password is not accepted, or has no right to do this.
    Denied,
    /// The server is one of a cluster, and another has the key.
    Misdirected,
    /// The rate is one that this backend can't keep, or its answer makes no sense.
    Invalid,
    /// Anything else.
    Other,
}

impl QuotaFailure {
    /// Its name in metrics and events, such as `read_only`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Late => "late",
            Self::ReadOnly => "read_only",
            Self::Unready => "unready",
            Self::Denied => "denied",
            Self::Misdirected => "misdirected",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }
}
