//! Jobs that are made of several operations.
//!
//! | job | what it does |
//! |---|---|
//! | [`Offboard`] | blocks a user and ends all access, then looks whether any is left |
//! | [`RotateApiKey`] | replaces the API key of a running client, without a failed call |
//! | [`RotateClientSecret`] | replaces the secret of an OAuth client; one that can't be stored is handed back |
//! | [`ImportUsers`] | creates many users, and goes on where it broke off, without creating one twice |
//! | [`AuditTail`] | reads the audit log as it grows, and goes on where it was |
//!
//! What those that change something have in common:
//!
//! - They need a [`Client`](crate::Client) and nothing else, whatever its stack.
//! - They never return early with an error: the report has a [`StepOutcome`] for each step, or the
//!   failure of each row, and its text is for people. Only an import whose ledger can't be opened does
//!   not begin.
//! - `dry_run(true)` only reads, and says what would be done.
//! - They refuse a key that lacks a scope before the first change, where that can be found out: see
//!   [`ScopeCheck`]. Otherwise the 403 names the scope, and an import stops at it.
//! - They bear with a server that is busy: each request has up to 10 attempts as long as they are
//!   answered with 429, within the client's deadline.
//! - They can be run again, after a failure or where the future was dropped: what is done is not
//!   done twice, and what is left is done.
//! - Nothing that may act twice is sent again by itself: where nobody knows whether it was done, the
//!   outcome is [`Unknown`](StepOutcome::Unknown).

mod audit_tail;
mod import_users;
mod key_ref;
mod offboard;
mod patience;
mod preflight;
mod rotate_api_key;
mod rotate_client_secret;
mod server_clock;
mod step;

pub use audit_tail::{AuditBatch, AuditCheckpoint, AuditTail, AuditTailEvent};
pub use import_users::{
    FailedRow, FileLedger, Fsync, ImportEvent, ImportEventKind, ImportFailure, ImportReport,
    ImportRow, ImportStop, ImportUsers, Ledger, LedgerEntry, LedgerError, LedgerErrorKind,
    LedgerMark, LedgerState, NoLedger, OnConflict,
};
pub use key_ref::KeyRef;
pub use offboard::{
    AccessTokens, ClientAccess, Lock, Offboard, OffboardReport, Remaining, Verification,
};
pub use preflight::{KeyNotFound, ScopeCheck};
pub use rotate_api_key::{NewApiKey, RotateApiKey, RotateApiKeyReport, Suspects, UnfitKey};
pub use rotate_client_secret::{RotateClientSecret, RotateClientSecretReport};
pub use step::StepOutcome;
