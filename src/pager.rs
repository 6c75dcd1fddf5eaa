//! Lists that are longer than a page.

mod act;
mod cursor;
mod fetch;
mod items;
mod listing;
mod listings;
mod page;
mod reading;
mod rows;
mod seen;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use cursor::Cursor;
use fetch::Fetch;
use listing::INTERNAL;

use crate::stack::BoxService;
use crate::{Client, Error, HttpService};

pub use act::Acted;
pub use items::Items;
pub use listing::Listing;
pub use page::Page;
pub(crate) use rows::key as row_key;

/// A row, or what is wrong with it.
type ListedRow<R> = Result<<R as Listing>::Row, Error>;

/// How many pages may be on their way at once.
const MAX_CONCURRENCY: usize = 64;

/// Reads a list page by page, or row by row, and sees to it that it gets everywhere and comes to an
/// end.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # let fake = idpflare_management::testing::FakeIdpflare::new();
/// # fake.seed(120);
/// # let client = fake.client();
/// use futures_util::StreamExt;
/// use idpflare_management::{ListUsers, Pager};
///
/// let mut pager = Pager::new(&client, ListUsers::new().is_active(true).limit(50));
/// while let Some(page) = pager.next_page().await? {
///     println!("{} users from {} on", page.rows.len(), page.offset);
/// }
///
/// // Or row by row, with the next pages on their way.
/// let mut pager = Pager::new(&client, ListUsers::new()).concurrency(4);
/// let mut users = pager.items();
/// while let Some(user) = users.next().await {
///     println!("{}", user?.email);
/// }
/// # assert_eq!(pager.total(), Some(120));
/// # Ok(())
/// # }
/// ```
///
/// It is for every [`Listing`], with [options](crate::ApiRequest::with) or without, and for clients
/// of any service. Nothing is sent before it is polled, and it is `Send` where the client's service
/// and its futures are. It starts at the request's `offset`; its `limit` is the size of a page.
///
/// # What it promises
///
/// The protocol pages by offset: each request says how many rows to skip of the list as it is then.
/// Lists change meanwhile, the newest rows coming first.
///
/// - Rows that are **inserted** push others back onto the next page. These are dropped, by their id:
///   no row comes twice, as long as no more than 4,096 are inserted between two pages. Of the new rows
///   themselves some may come. A [`QueryAuditLogs`](crate::QueryAuditLogs) without an `end_date` is
///   given one, now, so that the log stays as it is. A
///   [`GetUserAuditLogs`](crate::GetUserAuditLogs) knows no dates: there, as in any other list, new
///   entries push back, and that is all they do.
/// - Rows that are **deleted**, or do not fit the filter any more, pull others forward over the
///   reader's place, if they were before it: as many may be missed. Nothing in the protocol could tell.
///   What changes its own list should [collect before it acts](Self::collect_then_act).
/// - A row that stays, in a list from which none is taken away, is never missed. Nor is it where pages
///   are [fetched ahead](Self::concurrency), as long as the total tells of the rows that come in
///   meanwhile, or these are fewer than those that were read.
/// - It goes on by the rows it was given, not by those it asked for, so a server that gives fewer
///   loses nothing, nor does one whose pages overlap.
/// - It ends where the total is reached, or with an empty page. A total that is less than what has
///   been given already is not believed, nor is one that is reached with rows that came again, unless
///   it has grown by as many; there, and without a total, only an empty page is the end. A total that
///   is just what has been given so far is believed, even if there is more.
/// - Where pages only repeat rows, and no growth of the total explains it, that is an error of kind
///   [`NoProgress`](crate::ErrorKind::NoProgress), never a loop. A list that grows faster than it is
///   read has no end, and is read for as long.
/// - What it keeps does not grow with the list: the pages on their way, and 4,096 ids.
///
/// # Errors, and going on
///
/// After an error the pager is where it was: calling it again asks for the same page, or after
/// `NoProgress` for the one behind. A future or stream of it can be dropped at any time, such as by
/// `select!`; going on then neither skips nor repeats a row. For going on in another process there is
/// [`next_request`](Self::next_request).
#[must_use = "nothing is sent until a page or a row is asked for"]
pub struct Pager<R: Listing, S: HttpService = BoxService> {
    client: Client<S>,
    request: R,
    cursor: Cursor,
    /// Pages on their way, in their order.
    fetches: VecDeque<Fetch<S>>,
    /// What is left of the page that was received last, each with its offset.
    rows: VecDeque<(u64, ListedRow<R>)>,
    concurrency: usize,
    is_lenient: bool,
    has_started: bool,
    /// The `Date` of the page that was received last.
    date: Option<SystemTime>,
}

impl<R: Listing, S: HttpService> Pager<R, S> {
    /// Reads the pages of `request`.
    pub fn new(client: &Client<S>, request: R) -> Self {
        Self {
            client: client.clone(),
            cursor: Cursor::new(request.asked_offset(INTERNAL).unwrap_or(0)),
            request,
            fetches: VecDeque::new(),
            rows: VecDeque::new(),
            concurrency: 1,
            is_lenient: false,
            has_started: false,
            date: None,
        }
    }

    /// Lets up to `pages` pages be on their way or waiting at once; 1 unless told otherwise, and at
    /// most 64. The order of the rows stays the same: a page that was fetched ahead is fetched once more
    /// where the one before it turns out to be shorter, to be of a list with another total, or to have
    /// rows that came before.
    ///
    /// The first page is always alone, since it tells how large pages are and how many there will
    /// be. [`ListApiKeys`](crate::ListApiKeys), which does not tell, is read one page after the other.
    /// Pages that are ahead go on while the pager is polled. One that fails, be it because nobody
    /// polled for longer than its deadline, is asked for again when its turn comes.
    pub fn concurrency(mut self, pages: usize) -> Self {
        self.concurrency = pages.clamp(1, MAX_CONCURRENCY);
        self
    }

    /// Sets a row that can't be decoded apart, so that the others on its page can be had: it is an
    /// error of its own, with its place and its JSON in
    /// [`Error::decode_error`](Error::decode_error), and what comes behind it goes on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// use http::StatusCode;
    /// use idpflare_management::testing::{CannedReply, Fixture};
    /// use idpflare_management::{Client, ListUsers, Pager, User};
    /// use serde_json::json;
    ///
    /// let users = json!({"users": [{"id": "usr_1"}, User::fixture()], "total": 2});
    /// let mock = CannedReply::new(StatusCode::OK).json(&users);
    /// let client = Client::from_service("https://idp.example.com", mock)?;
    ///
    /// let mut pager = Pager::new(&client, ListUsers::new()).lenient();
    /// let page = pager.next_page().await?.expect("a page");
    /// assert_eq!(page.rows, [User::fixture()]);
    /// let error = page.undecoded[0].decode_error().expect("of decoding");
    /// assert_eq!(error.path(), Some("users[0]"));
    /// assert_eq!(error.raw_row(), Some(r#"{"id":"usr_1"}"#));
    /// # Ok(())
    /// # }
    /// ```
    pub fn lenient(mut self) -> Self {
        self.is_lenient = true;
        self
    }

    /// Reads the audit log without an end where none is asked for, so that no clock but the server's
    /// decides what is new.
    pub(crate) fn open_ended(mut self) -> Self {
        self.has_started = true;
        self
    }

    /// When the page was made that was received last, where its reply says so.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        self.date
    }

    /// How many rows there are on all pages, as the server said last; `None` before the first page,
    /// and for [`ListApiKeys`](crate::ListApiKeys), where it does not say.
    pub fn total(&self) -> Option<u64> {
        self.cursor.total()
    }

    /// The request for all that is left, from the first row that was not handed out; `None` at the
    /// end. Keep it, and a pager of it goes on there, in another process too.
    ///
    /// The rows that were handed out are not known to that pager: those that are pushed back by
    /// inserts in between come once more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let fake = idpflare_management::testing::FakeIdpflare::new();
    /// # fake.seed(10);
    /// # let client = fake.client();
    /// use idpflare_management::{ListUsers, Pager};
    ///
    /// let mut pager = Pager::new(&client, ListUsers::new().limit(4));
    /// pager.next_page().await?;
    /// let kept = serde_json::to_string(&pager.next_request())?;
    /// assert_eq!(kept, r#"{"limit":4,"offset":4}"#);
    ///
    /// let request: ListUsers = serde_json::from_str(&kept)?;
    /// let page = Pager::new(&client, request).next_page().await?.expect("more");
    /// assert_eq!(page.offset, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_request(&self) -> Option<R> {
        match self.rows.front() {
            Some((offset, _)) => Some(self.request_at(*offset)),
            None if self.cursor.has_ended() => None,
            None => Some(self.request_at(self.cursor.position())),
        }
    }

    fn request_at(&self, offset: u64) -> R {
        let request = self.request.clone();
        if request.asked_offset(INTERNAL).unwrap_or(0) == offset {
            return request;
        }
        request.at_offset(offset, INTERNAL)
    }

    /// The next rows, or `None` at the end. After [`items`](Self::items) it is what that has left of
    /// a page.
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`], and [`NoProgress`](crate::ErrorKind::NoProgress). Call it again to
    /// try again; whether that makes sense, [`Error::is_retryable`] says.
    pub async fn next_page(&mut self) -> Result<Option<Page<R::Row>>, Error> {
        if !poll_fn(|cx| self.poll_rows(cx)).await? {
            return Ok(None);
        }
        let offset = self.rows.front().map_or(0, |(offset, _)| *offset);
        let mut rows = Vec::with_capacity(self.rows.len());
        let mut undecoded = Vec::new();
        for (_, row) in self.rows.drain(..) {
            match row {
                Ok(row) => rows.push(row),
                Err(error) => undecoded.push(error),
            }
        }
        Ok(Some(Page {
            rows,
            undecoded,
            offset,
            total: self.cursor.total(),
        }))
    }

    /// The next rows in their order, with those between them that can't be decoded; `None` at the
    /// end.
    pub(crate) fn poll_page(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<ListedRow<R>>>, Error>> {
        let has_rows = ready!(self.poll_rows(cx))?;
        let rows = self.rows.drain(..).map(|(_, row)| row);
        Poll::Ready(Ok(has_rows.then(|| rows.collect())))
    }

    /// The rows that are left, as a stream, which is `Unpin`.
    ///
    /// It ends after an error, since an error that is not looked at could come for ever. Call this
    /// again to go on with the page that failed. In a [lenient](Self::lenient) pager it goes on after
    /// a row that can't be decoded, which [`DecodeError::raw_row`](crate::DecodeError::raw_row) tells
    /// from other errors.
    pub fn items(&mut self) -> Items<'_, R, S> {
        Items::new(self)
    }
}

impl<R: Listing, S: HttpService> fmt::Debug for Pager<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("operation", &R::OPERATION.id)
            .field("offset", &self.cursor.position())
            .field("total", &self.cursor.total())
            .finish_non_exhaustive()
    }
}
