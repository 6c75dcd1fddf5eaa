use super::ImportFailure;
use crate::UserId;

/// What has become of a line: see [`ImportUsers::run_with`](super::ImportUsers::run_with).
///
/// It names a person, but never holds a password.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImportEvent {
    /// The line of the input.
    pub line: u64,
    /// The address in that line, where it could be read.
    pub email: Option<String>,
    /// The user that there is now, where that is known. In a dry run, the one that there was.
    pub user_id: Option<UserId>,
    /// What has happened.
    pub kind: ImportEventKind,
}

/// What an [`ImportEvent`] tells. Each line has one that is not [`Started`](Self::Started), and it
/// is the last. In a dry run it says what would happen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportEventKind {
    /// Work on the line begins.
    Started,
    /// The user was created.
    Created,
    /// Another user has the address, and was changed to what the line says.
    Updated,
    /// Another user has the address, and was left alone: by policy, or because there is nothing to
    /// change.
    Skipped,
    /// An earlier attempt, whose reply was lost, has created the user, as far as can be known: see
    /// [`ImportUsers`](super::ImportUsers#what-is-sent).
    Reconciled,
    /// An earlier run was done with the line, as the ledger says.
    AlreadyDone,
    /// An earlier line has the same address, so that nothing was sent for this one.
    Duplicate {
        /// That line.
        first_line: u64,
    },
    /// There is no such user because of this line, as far as is known.
    Failed(ImportFailure),
}
