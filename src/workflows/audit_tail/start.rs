use std::task::{Context, Poll, ready};

use super::AuditTail;
use super::millis::Millis;
use super::now::Now;
use super::slices::Slice;
use super::sweep::AuditPager;
use super::undecoded::Undecoded;
use crate::{Error, HttpService};

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
        let mut newer = whole.behind();
        let ((oldest, newest), now) = loop {
            let Some(rows) = ready!(pager.poll_page(cx))? else {
                self.start = Start::Known;
                return Poll::Ready(Ok(()));
            };
            let now = Now::of(pager.date());
            let mut times: Option<(Millis, Millis)> = None;
            for row in rows {
                let made = match row {
                    Ok(entry) => {
                        self.progress.sees(&entry, now);
                        Some(entry.created_at.as_millisecond())
                    }
                    Err(error) => {
                        let row = Undecoded::new(error, newer);
                        self.progress.sees_undecoded(&row);
                        row.made.known()
                    }
                };
                if let Some(made) = made {
                    newer = made;
                    let (oldest, newest) = times.unwrap_or((made, made));
                    times = Some((oldest.min(made), newest.max(made)));
                }
            }
            // Where no row says when it was made, the next page may.
            if let Some(times) = times {
                break (times, now);
            }
        };
        let is_whole_log = pager.next_request().is_none();
        // One that is dated ahead must not have those missed that come in the meantime.
        let start = newest.min(now.earliest);
        self.not_before = Some(start);
        self.progress.settle(self.floor_below(start), now);
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
