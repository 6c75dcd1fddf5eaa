use std::pin::pin;
use std::task::{Context, Poll, ready};

use super::millis::Millis;
use super::slices::Slice;
use super::sweep::AuditPager;
use super::{AuditCheckpoint, AuditTail};
use crate::{Error, HttpService, Timestamp};

/// What is to be done before the first reading.
pub(super) enum Start<S: HttpService> {
    /// Find out what the newest entries are.
    Now(Option<Box<AuditPager<S>>>),
    /// In the first reading, entries that were made before this time are only taken note of.
    Quiet(Millis),
    /// Nothing.
    Known,
}

impl<S: HttpService> AuditTail<S> {
    /// Finds out what is in the log already.
    pub(super) fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Start::Now(pager) = &mut self.start else {
            return Poll::Ready(Ok(()));
        };
        let whole = Slice {
            from: None,
            to: self.end,
        };
        let pager = pager.get_or_insert_with(|| Box::new(self.question.pager(&self.client, whole)));
        let page = ready!(pin!(pager.next_page()).poll(cx))?;
        let is_whole_log = pager.next_request().is_none();
        let entries = page.map(|page| page.rows).unwrap_or_default();
        let times = entries
            .iter()
            .map(|entry| entry.created_at.as_millisecond());
        let (Some(oldest), Some(newest)) = (times.clone().min(), times.max()) else {
            self.start = Start::Known;
            return Poll::Ready(Ok(()));
        };
        // One that is dated ahead must not have those missed that come in the meantime.
        let floor = self.floor_below(newest.min(Timestamp::now().as_millisecond()));
        self.progress = AuditCheckpoint::starting_from(Some(floor));
        for entry in &entries {
            if floor <= entry.created_at.as_millisecond() {
                self.progress.sees(entry);
            }
        }
        self.start = if is_whole_log {
            Start::Known
        } else {
            // The page may have ended among those of its oldest millisecond. Of the newest one, none
            // may be lost.
            Start::Quiet(oldest.saturating_add(1).min(newest))
        };
        Poll::Ready(Ok(()))
    }
}
