use std::task::{Context, Poll, ready};

use idpflare_layers::Call;

use super::millis::{self, Millis};
use super::now::Now;
use super::slices::{Slice, Slices};
use super::undecoded::Undecoded;
use crate::{
    ApiRequest, AuditLogEntry, CallOptions, Client, Error, HttpService, Pager, QueryAuditLogs,
    WithOptions,
};

/// How many entries a slice may have.
const MAX_ENTRIES: usize = 1000;

/// How the log is asked: what all requests have in common.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The filters and the size of pages.
    pub(super) query: QueryAuditLogs,
    pub(super) options: CallOptions,
    pub(super) is_lenient: bool,
}

pub(super) type AuditPager<S> = Pager<WithOptions<QueryAuditLogs>, S>;

impl Question {
    /// The entries of a slice, and those of a millisecond around it: the protocol does not say
    /// whether the bounds of a query are included.
    pub(super) fn pager<S: HttpService>(&self, client: &Client<S>, slice: Slice) -> AuditPager<S> {
        let mut query = self.query.clone();
        query.start_date = slice
            .from
            .map(|from| millis::timestamp(from.saturating_sub(1)));
        query.end_date = slice.to.map(|to| millis::timestamp(to.saturating_add(1)));
        let pager = Pager::new(client, query.with(self.options.clone())).open_ended();
        if self.is_lenient {
            pager.lenient()
        } else {
            pager
        }
    }
}

/// Reads all that the log has from some point on, once, oldest first.
pub(super) struct Sweep<S: HttpService> {
    slices: Slices,
    pager: Option<AuditPager<S>>,
    /// What has been read of the next slice, newest first.
    entries: Vec<AuditLogEntry>,
    undecoded: Vec<Undecoded>,
    /// How many rows that was with those outside of the slice.
    received: usize,
    /// The newest of those inside.
    newest: Option<Millis>,
    /// The row that was read last.
    last: Option<Millis>,
    /// The slice is a single millisecond, so that any order will do.
    is_single: bool,
    /// The newest entry that there was in the beginning.
    horizon: Option<Millis>,
    /// When the last page was made.
    now: Now,
    was_cut: bool,
}

/// A part of what a sweep reads.
pub(super) struct Portion {
    /// Oldest first.
    pub(super) entries: Vec<AuditLogEntry>,
    /// The rows that can't be decoded, likewise.
    pub(super) undecoded: Vec<Undecoded>,
    /// All entries before have been read, where that can be told.
    pub(super) read_to: Option<Millis>,
    /// Nothing older will be added to the log any more, apart from the overlap; `None` where nothing
    /// is there.
    pub(super) horizon: Option<Millis>,
    pub(super) now: Now,
}

impl<S: HttpService> Sweep<S> {
    pub(super) fn new(from: Option<Millis>, to: Option<Millis>) -> Self {
        Self {
            slices: Slices::new(from, to),
            pager: None,
            entries: Vec::new(),
            undecoded: Vec::new(),
            received: 0,
            newest: None,
            last: None,
            is_single: false,
            horizon: None,
            now: Now::of(None),
            was_cut: false,
        }
    }

    /// Whether it took long, so that there may be more by now.
    pub(super) fn was_cut(&self) -> bool {
        self.was_cut
    }

    /// The time of the last page.
    pub(super) fn now(&self) -> Now {
        self.now
    }

    /// The next portion; `None` at the end. After an error, it goes on where it was.
    pub(super) fn poll_portion(
        &mut self,
        client: &Client<S>,
        question: &Question,
        trusts_total: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Portion>, Error>> {
        while let Some(slice) = self.slices.current() {
            let pager = self
                .pager
                .get_or_insert_with(|| question.pager(client, slice));
            let rows = ready!(pager.poll_page(cx))?;
            let total = pager.total();
            self.now = Now::of(pager.date());
            let Some(rows) = rows else {
                if self.received <= MAX_ENTRIES && is_too_many(total) {
                    // Cutting by it would go on down to single milliseconds, each time.
                    *trusts_total = false;
                }
                return Poll::Ready(Ok(Some(self.finish(slice))));
            };
            let strays = self.take(rows, slice);
            if self.is_single {
                return Poll::Ready(Ok(Some(self.portion(slice.to))));
            }
            let is_too_much = self.entries.len() + self.undecoded.len() > MAX_ENTRIES
                || self.received > 2 * MAX_ENTRIES
                || (*trusts_total && is_too_many(total));
            if is_too_much {
                if strays > 0 {
                    return Poll::Ready(Err(outside()));
                }
                self.cut(slice);
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Takes over a page, and says how many of its rows nobody has asked for.
    fn take(&mut self, rows: Vec<Result<AuditLogEntry, Error>>, slice: Slice) -> usize {
        let asked = Slice {
            from: slice.from.map(|from| from.saturating_sub(1)),
            to: slice.to.map(|to| to.saturating_add(1)),
        };
        let mut strays = 0;
        for row in rows {
            self.received += 1;
            let (row, made) = match row {
                Ok(entry) => {
                    let made = entry.created_at.as_millisecond();
                    (Ok(entry), Some(made))
                }
                Err(error) => {
                    let newer = self.last.unwrap_or(slice.behind());
                    let row = Undecoded::new(error, newer);
                    let made = row.made.known();
                    (Err(row), made)
                }
            };
            if let Some(made) = made {
                self.last = Some(made);
                strays += usize::from(!asked.contains(made));
                if !slice.contains(made) {
                    continue;
                }
                self.newest = self.newest.max(Some(made));
            }
            // Which slice a row is of that does not say can't be told, so it is of each that has it.
            match row {
                Ok(entry) => self.entries.push(entry),
                Err(row) => self.undecoded.push(row),
            }
        }
        if self.horizon.is_none() {
            // An entry that is dated ahead must not have those missed that come in the meantime.
            let now = self.now.earliest;
            self.horizon = self.newest.map(|newest| newest.min(now));
        }
        strays
    }

    fn cut(&mut self, slice: Slice) {
        self.was_cut = true;
        // Where only its neighbours have many entries, all that is known is where it ends.
        let newest = self.newest.or(slice.to).or(slice.from).unwrap_or(0);
        if self.slices.cut(newest) {
            self.forget();
        } else {
            self.is_single = true;
        }
    }

    /// Goes on with the next slice.
    fn finish(&mut self, slice: Slice) -> Portion {
        let read_to = slice.to.or(self.newest);
        let portion = self.portion(read_to.map(|to| to.saturating_add(1)));
        self.slices.advance();
        self.forget();
        portion
    }

    fn forget(&mut self) {
        self.pager = None;
        self.entries = Vec::new();
        self.undecoded = Vec::new();
        self.received = 0;
        self.newest = None;
        self.last = None;
        self.is_single = false;
    }

    fn portion(&mut self, read_to: Option<Millis>) -> Portion {
        let mut entries = std::mem::take(&mut self.entries);
        entries.reverse();
        entries.sort_by_key(|entry| entry.created_at.as_millisecond());
        let mut undecoded = std::mem::take(&mut self.undecoded);
        undecoded.reverse();
        Portion {
            entries,
            undecoded,
            read_to,
            horizon: self.horizon,
            now: self.now,
        }
    }
}

fn is_too_many(total: Option<u64>) -> bool {
    total.is_some_and(|total| total > MAX_ENTRIES as u64)
}

fn outside() -> Error {
    let message = String::from("the entries are not those between start_date and end_date");
    Error::no_progress(QueryAuditLogs::OPERATION, &Call::new(), message)
}
