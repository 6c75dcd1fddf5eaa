use std::fmt;

use crate::CreateUser;
use crate::one_line::one_line;

/// One line of the input of an import: a user, or why there is none in it.
///
/// It is made of a [`CreateUser`], of a `Result` of one, or of either with the number of its line.
/// Where there is no number, lines are counted from 1 in the order in which they come.
///
/// ```
/// use idpflare_management::CreateUser;
/// use idpflare_management::workflows::ImportRow;
///
/// let rows = [
///     ImportRow::from((2, CreateUser::new("ada@example.com"))),
///     ImportRow::invalid("it is not JSON").line(3),
/// ];
/// # let _ = rows;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a row does nothing until it is in the input of an import"]
pub struct ImportRow {
    pub(super) line: Option<u64>,
    pub(super) user: Result<CreateUser, String>,
}

impl ImportRow {
    /// A row with a user.
    pub fn new(user: CreateUser) -> Self {
        Self {
            line: None,
            user: Ok(user),
        }
    }

    /// A row that can't be read, and why: a text that is shown, and so must not quote a password.
    pub fn invalid(reason: impl fmt::Display) -> Self {
        Self {
            line: None,
            user: Err(one_line(&reason.to_string())),
        }
    }

    /// Says in which line of the input it is.
    pub fn line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }
}

impl From<CreateUser> for ImportRow {
    fn from(user: CreateUser) -> Self {
        Self::new(user)
    }
}

impl From<(u64, CreateUser)> for ImportRow {
    fn from((line, user): (u64, CreateUser)) -> Self {
        Self::new(user).line(line)
    }
}

impl<E: fmt::Display> From<Result<CreateUser, E>> for ImportRow {
    fn from(row: Result<CreateUser, E>) -> Self {
        row.map_or_else(Self::invalid, Self::new)
    }
}

impl<E: fmt::Display> From<(u64, Result<CreateUser, E>)> for ImportRow {
    fn from((line, row): (u64, Result<CreateUser, E>)) -> Self {
        Self::from(row).line(line)
    }
}
