//! Whether the server is gone.

use http::StatusCode;

use super::{ImportEventKind, ImportFailure, ImportStop};
use crate::{Delivery, Error, ErrorKind};

/// How many lines in a row have to fail, at least.
const FEWEST: usize = 10;

/// The lines since the last one that the server itself has answered.
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
                Some(error) if is_away(error) => self.lines += 1,
                _ => self.lines = 0,
            },
            _ => self.lines = 0,
        }
        (self.lines >= self.most).then_some(ImportStop::Unreachable)
    }
}

/// Whether nothing was sent, or only what stands before the server has answered: proxies say 502 to 504
/// for a server that is gone, Cloudflare 520 to 527.
fn is_away(error: &Error) -> bool {
    let stands_before = |status: StatusCode| matches!(status.as_u16(), 502..=504 | 520..=527);
    error.delivery() == Delivery::NotSent || error.status().is_some_and(stands_before)
}
