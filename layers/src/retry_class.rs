use http::StatusCode;

use crate::{
    AttemptOutcome, CredentialError, NewerCredential, OriginMismatch, RateLimited, Timeout,
    TimeoutScope, TransportError, find_source, is_transient,
};

/// What an outcome means for the question whether to try again.
///
/// | outcome | class |
/// |---|---|
/// | no connection, no [credential](CredentialError); nothing was sent, or the server went away before it (HTTP/2 GOAWAY) | [`NotSent`](Self::NotSent) |
/// | HTTP/2 `REFUSED_STREAM` | [`RefusedStream`](Self::RefusedStream) |
/// | 421 | [`Misdirected`](Self::Misdirected) |
/// | 429 | [`RateLimited`](Self::RateLimited) |
/// | 503 with `Retry-After` | [`Unavailable`](Self::Unavailable) |
/// | 401, marked with [`NewerCredential`] | [`NewerCredential`](Self::NewerCredential) |
/// | 408, 425, 500, 502, 503, 504, 520–524, 527; a lost connection, a timeout, a 2xx whose body broke off, any error that nobody typed | [`Transient`](Self::Transient) |
/// | everything else: 2xx, 3xx, other 4xx and 5xx, what another attempt would not change ([`TransportError::permanent`], [`OriginMismatch`], [`RateLimited`](crate::RateLimited), a reply that is too large), and a call whose deadline has passed | [`Final`](Self::Final) |
///
/// A reply whose body broke off is of the class that its status is of, a 2xx aside.
///
/// | class | [`ReadOnly`], [`Idempotent`] | [`Once`] |
/// |---|---|---|
/// | `NotSent` | retry | retry |
/// | `Misdirected`, `NewerCredential` | retry, once | retry, once |
/// | `RateLimited` | retry | retry, unless [opted out](crate::RetryPolicy::repeat_once_after_429) |
/// | `RefusedStream` | retry | no, unless [opted in](crate::RetryPolicy::repeat_once_after_refused_stream) |
/// | `Unavailable` | retry | no, unless [opted in](crate::RetryPolicy::repeat_once_after_503) |
/// | `Transient` | retry | never |
/// | `Final` | no | no |
///
/// [`ReadOnly`]: crate::Safety::ReadOnly
/// [`Idempotent`]: crate::Safety::Idempotent
/// [`Once`]: crate::Safety::Once
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryClass {
    /// A success, or a failure that would be the same once more.
    Final,
    /// The server has not acted, so anything may be sent again.
    NotSent,
    /// The server handles the request on other connections only.
    Misdirected,
    /// Too many requests. By convention it was not acted on.
    RateLimited,
    /// The server is down and says until when. It may have acted all the same.
    Unavailable,
    /// The server reset the HTTP/2 stream with `REFUSED_STREAM`. It may have acted all the same.
    RefusedStream,
    /// It may pass, and the server may have acted.
    Transient,
    /// The credential was refused, and there is a newer one.
    NewerCredential,
}

impl RetryClass {
    /// The class of `outcome`.
    #[must_use]
    pub fn of(outcome: &AttemptOutcome<'_>) -> Self {
        let marked = outcome
            .extensions()
            .is_some_and(|extensions| extensions.get::<NewerCredential>().is_some());
        if marked && outcome.status() == Some(StatusCode::UNAUTHORIZED) {
            return Self::NewerCredential;
        }
        if let Some(status) = outcome.status() {
            let broke_off = outcome
                .collect_error()
                .is_some_and(|error| error.exceeded_limit().is_none());
            return if status.is_success() && broke_off {
                Self::Transient
            } else {
                Self::of_status(status, outcome.retry_after().is_some())
            };
        }
        let Some(error) = outcome.error() else {
            return Self::Final;
        };
        if let Some(transport) = find_source::<TransportError>(error) {
            return match transport.delivery() {
                _ if transport.is_permanent() => Self::Final,
                crate::Delivery::NotSent => Self::NotSent,
                _ if transport.is_refused_stream() => Self::RefusedStream,
                _ => Self::Transient,
            };
        }
        match find_source::<Timeout>(error).map(Timeout::scope) {
            Some(TimeoutScope::Connect) => Self::NotSent,
            // Nothing that is tried after it has any time.
            Some(TimeoutScope::Call) => Self::Final,
            None if find_source::<CredentialError>(error).is_some() => Self::NotSent,
            None if find_source::<OriginMismatch>(error).is_some() => Self::Final,
            // It has already said that there is no time to wait for the next permit.
            None if find_source::<RateLimited>(error).is_some() => Self::Final,
            _ => Self::Transient,
        }
    }

    fn of_status(status: StatusCode, says_when: bool) -> Self {
        match status {
            StatusCode::MISDIRECTED_REQUEST => Self::Misdirected,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE if says_when => Self::Unavailable,
            status if is_transient(status) => Self::Transient,
            _ => Self::Final,
        }
    }
}
