//! The errors of the server, by kind.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{QuotaError, QuotaFailure};

/// How much is repeated of what a server says, in characters.
const LONGEST: usize = 200;

/// What servers say before they repeat the arguments of a command, cut short.
const ARGUMENTS: &str = ", with args";

/// What it was, and what the server says of it. Some repeat commands that they don't know, that with the
/// password too.
pub(super) fn of(error: &RedisError, password: Option<&str>) -> QuotaError {
    let failure = kind(error);
    let detail = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    };
    if password.is_some_and(|password| !password.is_empty() && detail.contains(password)) {
        return QuotaError::new(failure, "");
    }
    let shown = |character: char| match character {
        _ if character.is_control() => ' ',
        _ => character,
    };
    // What is repeated of them may be a part of the password.
    let detail = detail.split(ARGUMENTS).next().unwrap_or_default();
    let detail: String = detail.chars().take(LONGEST).map(shown).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(detail: String, password: &str) -> String {
        let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
        let error = RedisError::from((kind, "an error", detail));
        let error = of(&error, Some(password));
        assert_eq!(error.failure(), QuotaFailure::Other);
        format!("{error} {error:?}")
    }

    #[test]
    fn what_a_server_says_is_short_and_tells_no_password() {
        let unknown =
            "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'user' 'hunter2'";
        assert!(!shown(unknown.to_owned(), "hunter2").contains("hunter2"));
        for other in ["other", ""] {
            let shown = shown(unknown.to_owned(), other);
            assert!(shown.contains("unknown command") && !shown.contains("hunter2"));
        }
        let long = shown("\u{1b}é".repeat(10_000), "hunter2");
        assert!(long.len() < 2000 && !long.contains('\u{1b}'));
    }
}
