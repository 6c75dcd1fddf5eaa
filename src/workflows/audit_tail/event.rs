use std::time::Duration;

use super::AuditCheckpoint;
use crate::{AuditLogEntry, Error, Timestamp};

/// What an [`AuditTail`](super::AuditTail) has to tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuditTailEvent {
    /// New entries.
    Entries(AuditBatch),
    /// All that the log had when it was last asked has been handed out. This comes once at the
    /// beginning and then after each time that there was something new.
    CaughtUp {
        /// Where to go on.
        checkpoint: AuditCheckpoint,
    },
    /// The reading that has just ended has found new entries that are dated more than a minute ahead,
    /// both of the `Date` of the server's replies and of this machine's clock. They have been handed out
    /// like all others, and others are not missed for them. The clock of a server is, or was, wrong.
    DatedAhead {
        /// How many of them there were.
        entries: usize,
        /// When the last of them would have been made.
        newest: Timestamp,
        /// Since there are too many of them to remember: the time from which on entries are not read
        /// any more until it has come. Then they are handed out, those that were among these once more.
        left_from: Option<Timestamp>,
    },
    /// A page could not be had, for a reason that is likely to pass. The tail goes on by itself.
    Retrying {
        /// Why.
        error: Error,
        /// How often in a row that has happened.
        failures: u32,
        /// How long the tail waits before it asks again.
        wait: Duration,
    },
}

/// Some new entries, and where to go on behind them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuditBatch {
    /// The entries, oldest first; at least one.
    pub entries: Vec<AuditLogEntry>,
    /// Keep it once the entries are dealt with, and the errors before them that a
    /// [lenient](super::AuditTail::lenient) tail goes on past: a tail that starts from it repeats
    /// none of them, and one that starts from the checkpoint before repeats all.
    pub checkpoint: AuditCheckpoint,
}
