use std::time::Duration;

use super::AuditCheckpoint;
use crate::{AuditLogEntry, Error};

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
