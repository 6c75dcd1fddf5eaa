use std::error::Error;

use http::StatusCode;

use crate::{
    BoxError, CollectError, CredentialError, Delivery, OriginMismatch, RateLimited, Timeout,
    TimeoutScope, TransportError, TransportPhase, find_source,
};

/// Why there was no complete reply, as one of a small, fixed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorType {
    /// A limit of time ran out.
    Timeout,
    /// The limit for making a connection ran out.
    ConnectTimeout,
    /// No connection could be made.
    Connect,
    /// There was a connection, but the request did not go out on it.
    NotSent,
    /// The connection was lost before the reply was complete.
    ConnectionLost,
    /// The body of the reply was larger than its limit, or broke off.
    Body,
    /// The request was for another origin than that of the credential, and not sent.
    OriginMismatch,
    /// The rate limit asked for a longer wait than there was time for, so it was not sent.
    RateLimited,
    /// There was no credential to send it with.
    Credential,
    /// Anything else.
    Other,
}

impl ErrorType {
    /// The type of `error`, judged by the typed errors in its chain.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(timeout) = find_source::<Timeout>(error) {
            return match timeout.scope() {
                TimeoutScope::Connect => Self::ConnectTimeout,
                _ => Self::Timeout,
            };
        }
        if let Some(transport) = find_source::<TransportError>(error) {
            return match (transport.phase(), transport.delivery()) {
                (TransportPhase::Connect, _) => Self::Connect,
                (_, Delivery::NotSent) => Self::NotSent,
                _ => Self::ConnectionLost,
            };
        }
        if find_source::<CollectError>(error).is_some() {
            Self::Body
        } else if find_source::<OriginMismatch>(error).is_some() {
            Self::OriginMismatch
        } else if find_source::<RateLimited>(error).is_some() {
            Self::RateLimited
        } else if find_source::<CredentialError>(error).is_some() {
            Self::Credential
        } else {
            Self::Other
        }
    }

    /// The value of the attribute `error.type`. That of [`Other`](Self::Other) is `_OTHER`, as
    /// OpenTelemetry wants it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectTimeout => "connect_timeout",
            Self::Connect => "connect",
            Self::NotSent => "not_sent",
            Self::ConnectionLost => "connection_lost",
            Self::Body => "body",
            Self::OriginMismatch => "origin_mismatch",
            Self::RateLimited => "rate_limited",
            Self::Credential => "credential",
            Self::Other => "_OTHER",
        }
    }
}

/// How a call or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// With a reply.
    Replied(StatusCode),
    /// Without one, or with only a part of it.
    #[non_exhaustive]
    Failed {
        /// Why.
        error: ErrorType,
        /// The status of the reply, where its head arrived.
        status: Option<StatusCode>,
    },
    /// Whoever waited for it has gone away. That is not an error.
    Cancelled,
}

impl Outcome {
    /// The outcome that `result` stands for.
    pub(crate) fn of<B>(result: &Result<http::Response<B>, BoxError>) -> Self {
        match result {
            Ok(reply) => Self::Replied(reply.status()),
            Err(error) => Self::Failed {
                error: ErrorType::of(&**error),
                status: find_source::<CollectError>(&**error).map(CollectError::status),
            },
        }
    }

    /// The status of the reply, where one arrived.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Replied(status) => Some(*status),
            Self::Failed { status, .. } => *status,
            Self::Cancelled => None,
        }
    }

    /// The value of the attribute `error.type`: the status where it is 400 or above, the
    /// [`ErrorType`] where there was no complete reply, nothing where it is no error.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        match self {
            Self::Replied(status) => (status.as_u16() >= 400).then(|| status.as_str()),
            Self::Failed { error, .. } => Some(error.as_str()),
            Self::Cancelled => None,
        }
    }

    /// The class of the reply's status (`2xx`, …), or else `error` or `cancelled`: a label with few
    /// values.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Replied(status) => match status.as_u16() / 100 {
                1 => "1xx",
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                5 => "5xx",
                _ => "other",
            },
            Self::Failed { .. } => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_error_has_a_type() {
        let timeout = |scope| Timeout::new(scope, Duration::ZERO, Duration::ZERO).into();
        let table: [(BoxError, &str); 9] = [
            (timeout(TimeoutScope::Call), "timeout"),
            (timeout(TimeoutScope::Attempt), "timeout"),
            (timeout(TimeoutScope::Connect), "connect_timeout"),
            (
                TransportError::connect(timeout(TimeoutScope::Connect)).into(),
                "connect_timeout",
            ),
            (TransportError::connect("dns".into()).into(), "connect"),
            (TransportError::not_sent("goaway".into()).into(), "not_sent"),
            (
                TransportError::lost("reset".into()).into(),
                "connection_lost",
            ),
            (
                CredentialError::failed("vault is sealed".into()).into(),
                "credential",
            ),
            ("alice@example.com is unknown".into(), "_OTHER"),
        ];
        for (error, name) in table {
            let outcome = Outcome::of::<()>(&Err(error));
            assert_eq!(outcome.error_type(), Some(name));
            assert_eq!((outcome.class(), outcome.status()), ("error", None));
        }
    }

    #[test]
    fn a_status_is_an_error_from_400_on() {
        for (status, error, class) in [
            (101, None, "1xx"),
            (204, None, "2xx"),
            (304, None, "3xx"),
            (404, Some("404"), "4xx"),
            (503, Some("503"), "5xx"),
            (999, Some("999"), "other"),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let outcome = Outcome::Replied(status);
            assert_eq!(outcome.error_type(), error);
            assert_eq!((outcome.class(), outcome.status()), (class, Some(status)));
        }
        assert_eq!(Outcome::Cancelled.error_type(), None);
    }
}
