use std::fmt;

use http::StatusCode;

use crate::one_line::one_line;
use crate::{Delivery, Error, ErrorKind, Safety};

/// After so many failures in a row the rest of a list is not tried: it may be of any length, and each
/// failure may take as long as the deadline allows.
const MAX_FAILURES: u32 = 10;

/// The failures in a row while a job goes through a list.
#[derive(Debug, Default)]
pub(super) struct FailuresInARow(u32);

impl FailuresInARow {
    /// Takes note of an outcome, and returns whether the rest of the list is left alone.
    pub(super) fn end_with(&mut self, outcome: &StepOutcome) -> bool {
        self.0 = if outcome.is_done() {
            0
        } else {
            self.0.saturating_add(1)
        };
        self.0 >= MAX_FAILURES
    }
}

/// What became of one step of a job.
///
/// Its text is one line. `E` is the error that the step can fail with.
#[derive(Debug)]
#[non_exhaustive]
pub enum StepOutcome<E = Error> {
    /// It was done.
    Done,
    /// There was nothing left to do.
    AlreadyDone,
    /// It was not asked for, there was no occasion for it, or the job ended before it.
    Skipped,
    /// It would be done, but this is a dry run.
    WouldDo,
    /// It was not done.
    Failed(E),
    /// Nobody knows whether it was done: the request may have been acted on, but no reply says so
    /// that could be read.
    Unknown(E),
}

impl<E> StepOutcome<E> {
    /// Whether the step is known to be done, by this run or before it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::AlreadyDone)
    }

    /// Why it is not known to be done, where it was tried.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        match self {
            Self::Failed(error) | Self::Unknown(error) => Some(error),
            _ => None,
        }
    }
}

impl StepOutcome {
    pub(super) fn of(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(error) => Self::failed(error),
        }
    }

    pub(super) fn failed(error: Error) -> Self {
        if may_have_acted(&error) {
            Self::Unknown(error)
        } else {
            Self::Failed(error)
        }
    }
}

impl<E: fmt::Display> fmt::Display for StepOutcome<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::AlreadyDone => f.write_str("nothing to do"),
            Self::Skipped => f.write_str("skipped"),
            Self::WouldDo => f.write_str("would be done"),
            Self::Failed(error) => write!(f, "FAILED: {}", one_line(&error.to_string())),
            Self::Unknown(error) => write!(f, "UNKNOWN: {}", one_line(&error.to_string())),
        }
    }
}

pub(super) fn is_not_found(error: &Error) -> bool {
    error.status() == Some(StatusCode::NOT_FOUND)
}

/// Whether the server may have done what it was asked for. A reply of 2xx that can't be read says
/// that it has, but not what came of it.
pub(super) fn may_have_acted(error: &Error) -> bool {
    let refused = || error.status().is_some_and(|status| !status.is_success());
    match (error.delivery(), error.kind()) {
        (Delivery::NotSent, _) => false,
        (Delivery::Answered, _) if may_repeat(error) => error.attempts() > 1 || !refused(),
        (
            Delivery::Answered,
            ErrorKind::Api
            | ErrorKind::Redirect
            | ErrorKind::Connect
            | ErrorKind::Credential
            | ErrorKind::RateLimited,
        ) => false,
        (Delivery::Answered, _) => !refused(),
        _ => true,
    }
}

/// Whether an attempt may have been repeated that was answered with 2xx, but in a reply that broke
/// off. What is refused then, if only because nothing is left to do, is the repeat.
fn may_repeat(error: &Error) -> bool {
    error
        .operation()
        .is_none_or(|operation| operation.safety != Safety::Once)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::layers::TransportError;
    use crate::testing::{CannedReply, ErrorFixture};
    use crate::{CreateApiKey, RevokeApiKey};

    #[test]
    fn what_may_have_been_done_is_never_called_failed() {
        let reply = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            ErrorFixture::reply::<CreateApiKey>(CannedReply::error(status, "no"))
        };
        let lost = || TransportError::lost("reset".into());
        let unsent = || TransportError::connect("refused".into());
        let gone = || CannedReply::error(StatusCode::NOT_FOUND, "gone");
        let busy = StatusCode::TOO_MANY_REQUESTS;
        for (error, unknown) in [
            (ErrorFixture::reply::<RevokeApiKey>(gone()), false),
            (
                ErrorFixture::reply::<RevokeApiKey>(gone()).after_reply(StatusCode::OK),
                true,
            ),
            (
                ErrorFixture::failure::<RevokeApiKey>(unsent()).after_reply(StatusCode::OK),
                true,
            ),
            (
                ErrorFixture::reply::<RevokeApiKey>(CannedReply::new(busy)),
                false,
            ),
            (
                ErrorFixture::failure::<RevokeApiKey>(unsent()).after_failure(unsent()),
                false,
            ),
            (
                ErrorFixture::reply::<CreateApiKey>(gone()).after_reply(busy),
                false,
            ),
            (reply(400), false),
            (reply(403), false),
            (reply(429), false),
            (reply(500), true),
            (reply(201), true),
            (reply(429).after_failure(lost()), true),
            (ErrorFixture::failure::<CreateApiKey>(lost()), true),
            (ErrorFixture::failure::<CreateApiKey>(unsent()), false),
            (
                ErrorFixture::failure::<CreateApiKey>(unsent())
                    .after_reply(StatusCode::TOO_MANY_REQUESTS),
                false,
            ),
            (
                ErrorFixture::truncated::<CreateApiKey>(StatusCode::CREATED),
                true,
            ),
        ] {
            let error = error.build();
            let text = error.to_string();
            let outcome = StepOutcome::failed(error);
            assert_eq!(
                matches!(outcome, StepOutcome::Unknown(_)),
                unknown,
                "{text}"
            );
        }
    }
}
