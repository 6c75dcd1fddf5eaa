//! Which problem an error of the client is.
//!
//! Callers are told in words of this service's own what they can do about it. What the server said,
//! and what the service's key lacks, is for those who run the service: it is in the log.

use std::error::Error as _;
use std::time::Duration;

use axum::http::StatusCode;
use idpflare_management::{Delivery, Error, ErrorKind, Safety};

use super::problem::{Kind, Problem};

/// How long to wait where nobody says.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = kind_of(&error);
        log(&error, kind);
        let operation = error.operation().map(|operation| operation.id);
        let mut detail = detail_of(&error, kind);
        if may_have_changed(&error) {
            detail.push_str(" It may have taken effect.");
        }
        let problem = Problem::new(kind, detail).upstream(operation, error.request_id());
        if kind == Kind::Busy {
            problem.retry_after(error.retry_after().unwrap_or(DEFAULT_WAIT))
        } else {
            problem
        }
    }
}

fn kind_of(error: &Error) -> Kind {
    // The kind first: a status may be that of an earlier attempt.
    match error.kind() {
        ErrorKind::Encode => Kind::InvalidRequest,
        ErrorKind::RateLimited => Kind::Busy,
        ErrorKind::Timeout => Kind::Timeout,
        ErrorKind::Api => match error.status() {
            Some(StatusCode::NOT_FOUND) => Kind::NotFound,
            Some(StatusCode::CONFLICT) => Kind::Conflict,
            Some(StatusCode::TOO_MANY_REQUESTS) => Kind::Busy,
            _ => Kind::IdentityProviderFailed,
        },
        _ => Kind::IdentityProviderFailed,
    }
}

fn detail_of(error: &Error, kind: Kind) -> String {
    // What can't be sent is described by the client, not by the server, and came from the caller.
    if error.kind() == ErrorKind::Encode {
        return error.message().to_owned();
    }
    let operation = error.operation().map_or("it", |operation| operation.id);
    if kind == Kind::NotFound {
        format!("{operation}: what the path names does not exist.")
    } else {
        format!("{operation} did not succeed.")
    }
}

fn may_have_changed(error: &Error) -> bool {
    error.delivery() == Delivery::Unknown
        && error
            .operation()
            .is_some_and(|operation| operation.safety != Safety::ReadOnly)
}

fn log(error: &Error, kind: Kind) {
    if let Some(scope) = error.required_scope() {
        tracing::error!(%error, "the service's key lacks {scope}");
    } else if error.status() == Some(StatusCode::UNAUTHORIZED) {
        tracing::error!(%error, "the service's key is not valid");
    } else if kind == Kind::IdentityProviderFailed {
        tracing::warn!(%error, cause = cause(error), "a call failed");
    } else {
        tracing::info!(%error, "a call failed");
    }
}

fn cause(error: &Error) -> Option<String> {
    let sources = std::iter::successors(error.source(), |&error| error.source());
    let texts: Vec<_> = sources.map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(": "))
}
