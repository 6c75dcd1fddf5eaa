use super::AuditTailEvent;
use super::millis::{self, Millis};
use super::now::Now;

/// By how much the clocks of one server may differ, in milliseconds.
const SKEW: Millis = 60_000;

/// The entries of one reading that are dated ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    entries: usize,
    newest: Millis,
    /// The entries from this time on are too many to be known again.
    pub(super) left_from: Option<Millis>,
}

impl Ahead {
    pub(super) fn note(&mut self, made: Millis, now: Now) {
        if made > now.latest.saturating_add(SKEW) {
            self.entries = self.entries.saturating_add(1);
            self.newest = self.newest.max(made);
        }
    }

    pub(super) fn leave(&mut self, from: Option<Millis>) {
        let earlier = self.left_from.into_iter().chain(from).min();
        self.left_from = earlier;
    }

    /// The report of the reading, if there is anything to report.
    pub(super) fn event(&self) -> Option<AuditTailEvent> {
        (self.entries > 0).then(|| AuditTailEvent::DatedAhead {
            entries: self.entries,
            newest: millis::timestamp(self.newest),
            left_from: self.left_from.map(millis::timestamp),
        })
    }
}
