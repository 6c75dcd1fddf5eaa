//! Whether the server is gone.

use super::{ImportEventKind, ImportFailure, ImportStop};
use crate::{Delivery, ErrorKind};

/// How many lines in a row have to fail, at least.
const FEWEST: usize = 10;

/// The lines since the last one of which anything reached the server.
pub(super) struct Unsent {
    lines: usize,
    most: usize,
}

impl Unsent {
    /// Those that are under way together fail together, in an outage that is soon over, too; it takes
    /// as many again.
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            lines: 0,
            most: concurrency.saturating_mul(2).max(FEWEST),
        }
    }

    /// Takes into account how a line ended, and says whether that is a reason to stop.
    pub(super) fn note(&mut self, ended: &ImportEventKind) -> Option<ImportStop> {
        match ended {
            // These would not have been sent anywhere.
            ImportEventKind::Started
            | ImportEventKind::AlreadyDone
            | ImportEventKind::Duplicate { .. }
            | ImportEventKind::Failed(ImportFailure::Invalid(_) | ImportFailure::NotRecorded) => {
                return None;
            }
            ImportEventKind::Failed(failure) => match failure.error() {
                Some(error) if error.kind() == ErrorKind::Encode => return None,
                Some(error) if error.delivery() == Delivery::NotSent => self.lines += 1,
                _ => self.lines = 0,
            },
            _ => self.lines = 0,
        }
        (self.lines >= self.most).then_some(ImportStop::Unreachable)
    }
}
