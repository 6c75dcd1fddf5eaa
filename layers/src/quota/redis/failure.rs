//! The errors of the server, by kind.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{QuotaError, QuotaFailure};

/// What it was, and what the server says of it, which names no secret.
pub(super) fn of(error: &RedisError) -> QuotaError {
    let failure = kind(error);
    let detail = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    };
    QuotaError::new(failure, detail)
}

fn kind(error: &RedisError) -> QuotaFailure {
    if error.is_timeout() {
        return QuotaFailure::Timeout;
    }
    if error.is_io_error() || error.is_connection_dropped() {
        return QuotaFailure::Connection;
    }
    let (code, detail) = (error.code(), error.detail().unwrap_or_default());
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        ) => QuotaFailure::Unready,
        ErrorKind::Server(ServerErrorKind::ReadOnly) => QuotaFailure::ReadOnly,
        ErrorKind::Server(ServerErrorKind::NoPerm) | ErrorKind::AuthenticationFailed => {
            QuotaFailure::Denied
        }
        ErrorKind::Server(
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot,
        ) => QuotaFailure::Misdirected,
        _ => match code {
            Some("WRONGTYPE") => QuotaFailure::WrongType,
            Some("NOREPLICAS" | "MISCONF") => QuotaFailure::ReadOnly,
            Some("BUSY") => QuotaFailure::Unready,
            Some("NOAUTH" | "WRONGPASS") => QuotaFailure::Denied,
            // What somebody who has not logged in is told of a command with many arguments.
            Some("ERR") if detail.contains("unauthenticated") => QuotaFailure::Denied,
            _ => QuotaFailure::Other,
        },
    }
}

/// Whether another connection may lead to a server that is better.
pub(super) fn calls_for_another_connection(failure: QuotaFailure) -> bool {
    matches!(
        failure,
        QuotaFailure::Connection
            | QuotaFailure::ReadOnly
            | QuotaFailure::Unready
            | QuotaFailure::Denied
            | QuotaFailure::Misdirected
    )
}
