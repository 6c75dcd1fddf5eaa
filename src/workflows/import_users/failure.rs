use std::fmt;

use crate::one_line::one_line;
use crate::{Error, UserId};

/// Why a line was not imported.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportFailure {
    /// The line can't be read, or has no address. Nothing was sent.
    Invalid(String),
    /// Another user has the address, and the policy is [`OnConflict::Fail`](super::OnConflict::Fail).
    Conflict {
        /// That user.
        user_id: UserId,
    },
    /// This user's address may differ from that of the line in case only, and is not the line's in ASCII
    /// small letters. Characters beyond ASCII are not compared, since servers fold them in different
    /// ways. The user is left alone whatever the policy: the account may be of another person.
    OtherCase {
        /// That user.
        user_id: UserId,
    },
    /// The address is taken, or may be by now, but the search for it does not tell by whom.
    NotFound,
    /// An operation was refused or not sent: the line has changed nothing.
    Refused(Error),
    /// An operation may have taken effect. The next run looks before it sends anything.
    Unknown(Error),
    /// The ledger can't be written, so nothing was sent.
    NotRecorded,
}

impl ImportFailure {
    /// The operation that failed, where one did.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Refused(error) | Self::Unknown(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ImportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => f.write_str(reason),
            Self::Conflict { user_id } => {
                let user_id = one_line(user_id.as_str());
                write!(f, "the address is that of another user, {user_id}")
            }
            Self::OtherCase { user_id } => {
                let user_id = one_line(user_id.as_str());
                write!(
                    f,
                    "the address of user {user_id} may differ in case only; the user is left alone"
                )
            }
            Self::NotFound => {
                f.write_str("the address is taken, but the search does not find whose it is")
            }
            Self::Refused(error) => write!(f, "{error}"),
            Self::Unknown(error) => write!(f, "{error}; the next run will look"),
            Self::NotRecorded => f.write_str("not sent, because the ledger can't be written"),
        }
    }
}

impl std::error::Error for ImportFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().and_then(std::error::Error::source)
    }
}

/// A line that was not imported. Its text is one line.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedRow {
    /// The line of the input.
    pub line: u64,
    /// The address in that line, where it could be read.
    pub email: Option<String>,
    /// Why.
    pub failure: ImportFailure,
}

impl fmt::Display for FailedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(email) = &self.email {
            write!(f, " ({})", one_line(email))?;
        }
        write!(f, ": {}", self.failure)
    }
}
