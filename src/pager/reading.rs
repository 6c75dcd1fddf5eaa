use std::task::{Context, Poll};

use bytes::Bytes;
use idpflare_layers::reply_date;

use super::cursor::NoProgress;
use super::fetch::{Fetch, Fetched};
use super::listing::{INTERNAL, Reply};
use super::rows::{self, Rows};
use super::{Listing, Pager};
use crate::client::ReplyReader;
use crate::{EncodeError, Error, HttpService, Timestamp};

impl<R: Listing, S: HttpService> Pager<R, S> {
    /// Sees to it that there are rows to hand out; false at the end.
    ///
    /// Nothing of a page counts before it is here as a whole, and then all of it does: that is what
    /// makes futures and streams of a pager safe to drop.
    pub(super) fn poll_rows(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if self.request.asked_limit(INTERNAL) == Some(0) {
            let error = EncodeError::new("limit is 0, which no page gets anywhere with");
            return Poll::Ready(Err(Error::encode(R::OPERATION, &error)));
        }
        if !self.has_started {
            self.has_started = true;
            self.request = self.request.clone().up_to(Timestamp::now(), INTERNAL);
        }
        while self.rows.is_empty() && !self.cursor.has_ended() {
            self.plan_next();
            self.plan_ahead(self.pages_at_once());
            for fetch in &mut self.fetches {
                fetch.poll(cx);
            }
            let outcome = self.fetches.front_mut().and_then(Fetch::take);
            let Some(outcome) = outcome else {
                return Poll::Pending;
            };
            let is_ahead = self.fetches.pop_front().is_some_and(|fetch| fetch.is_ahead);
            match outcome.and_then(|fetched| self.read(fetched)) {
                Ok(page) if !is_ahead || page.rows.total == self.cursor.total() => {
                    if let Err(error) = self.receive(page) {
                        self.fetches.clear();
                        return Poll::Ready(Err(error));
                    }
                }
                // What was fetched ahead counts only where all is well and it fits.
                _ if is_ahead => self.fetches.clear(),
                Ok(_) => {}
                Err(error) => {
                    self.fetches.clear();
                    return Poll::Ready(Err(error));
                }
            }
        }
        if self.cursor.has_ended() {
            self.fetches.clear();
        } else {
            // The next pages are on their way while this one is worked on.
            self.plan_ahead(self.pages_at_once() - 1);
            for fetch in &mut self.fetches {
                fetch.poll(cx);
            }
        }
        Poll::Ready(Ok(!self.rows.is_empty()))
    }

    /// How many pages may be on their way or waiting. Where the list moves, those that are ahead may be
    /// of an older one, and would leave out what has moved in between.
    fn pages_at_once(&self) -> usize {
        if self.cursor.is_steady() {
            self.concurrency
        } else {
            1
        }
    }

    /// Sees to it that the first page on its way is the next one.
    fn plan_next(&mut self) {
        let position = self.cursor.position();
        let next = self.fetches.front().map(|fetch| fetch.offset);
        if next != Some(position) {
            self.fetches.clear();
            self.fetch(position, false);
        }
    }

    /// Sees to it that `pages` pages are on their way, as far as can be told where they are.
    fn plan_ahead(&mut self, pages: usize) {
        let position = self.cursor.position();
        if self
            .fetches
            .front()
            .is_some_and(|fetch| fetch.offset != position)
        {
            self.fetches.clear();
        }
        while self.fetches.len() < pages {
            let next = match self.fetches.back() {
                Some(last) => self.cursor.after(last.offset),
                None => Some(position),
            };
            // Without a total, or behind it, nobody knows where the end is.
            let is_before_end = |offset: &u64| Some(*offset) < self.cursor.total();
            let Some(offset) = next.filter(is_before_end) else {
                break;
            };
            self.fetch(offset, true);
        }
    }

    fn fetch(&mut self, offset: u64, is_ahead: bool) {
        let request = self.request_at(offset);
        let fetch = Fetch::new(&self.client, &request, offset, is_ahead);
        self.fetches.push_back(fetch);
    }

    fn read(&self, fetched: Fetched) -> Result<Received<R::Row>, Error> {
        let Fetched { reply, reader } = fetched;
        match rows::read::<R>(&reply, self.is_lenient) {
            Ok(rows) => Ok(Received {
                rows,
                head: reply.map(|_| Bytes::new()),
                reader,
            }),
            Err(error) => Err(Error::decode(R::OPERATION, &reader.call, reply, error)),
        }
    }

    /// Takes the next page.
    fn receive(&mut self, page: Received<R::Row>) -> Result<(), Error> {
        let Received { rows, head, reader } = page;
        self.date = reply_date(head.headers());
        let received = rows.rows.len();
        let position = self.cursor.position();
        for (row, index) in rows.rows.into_iter().zip(0..) {
            let is_new = match &row {
                Ok(row) => self.cursor.sees(R::id(row, INTERNAL).as_ref()),
                Err(undecoded) => self.cursor.sees(&undecoded.key),
            };
            if is_new {
                let row = row.map_err(|undecoded| {
                    Error::decode(R::OPERATION, &reader.call, head.clone(), undecoded.error)
                });
                self.rows.push_back((position.saturating_add(index), row));
            }
        }
        let outcome = self.cursor.advance(received, self.rows.len(), rows.total);
        if !self.cursor.is_steady() {
            self.fetches.clear();
        }
        outcome.map_err(|NoProgress { pages, offset }| {
            let message = format!(
                "the last {pages} pages, up to the one at offset {offset}, only repeat rows"
            );
            Error::no_progress(R::OPERATION, &reader.call, message)
        })
    }
}

/// A page that was read.
struct Received<T> {
    rows: Rows<T>,
    /// The reply without its body.
    head: Reply,
    reader: ReplyReader,
}
