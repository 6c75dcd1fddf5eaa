//! The audit log as it grows.

mod ahead;
mod checkpoint;
mod event;
mod millis;
mod now;
mod pace;
mod slices;
mod start;
mod stream;
mod sweep;
mod undecoded;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use idpflare_layers::Backoff;
use tokio::time::{Instant, Sleep};

use crate::stack::BoxService;
use crate::{CallOptions, Client, Error, HttpService, QueryAuditLogs, Timestamp};
use ahead::Ahead;
use millis::Millis;
use pace::Pace;
use start::Start;
use stream::MAX_LEAD;
use sweep::{Question, Sweep};

pub use checkpoint::AuditCheckpoint;
pub use event::{AuditBatch, AuditTailEvent};

/// The page size where none is asked for: the most that the server gives.
const PAGE: u64 = 100;

/// A stream of the audit log's new entries, oldest first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fake = idpflare_management::testing::FakeIdpflare::new();
/// # fake.seed(2);
/// # let client = fake.client();
/// use futures_util::StreamExt;
/// use idpflare_management::workflows::{AuditTail, AuditTailEvent};
/// use idpflare_management::{AuditStatus, QueryAuditLogs, Timestamp};
///
/// let failures = QueryAuditLogs::new().status(AuditStatus::Failure);
/// let mut tail = AuditTail::new(&client, failures).from_time(Timestamp::UNIX_EPOCH);
/// while let Some(event) = tail.next().await {
///     match event? {
///         AuditTailEvent::Entries(batch) => {
///             for entry in &batch.entries {
///                 println!("{} {}", entry.created_at, entry.event_type);
///             }
///             // … and then keep batch.checkpoint, to go on from there.
///         }
///         AuditTailEvent::Retrying { error, wait, .. } => {
///             eprintln!("{error}; once more in {wait:?}");
///         }
///         // It goes on for as long as it is polled; this program has seen enough.
///         AuditTailEvent::CaughtUp { .. } => break,
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// The query's filters apply: user, client, type and status. Its `limit` is the size of pages, 100
/// unless told otherwise; its `offset` means nothing here. It works with clients of any service,
/// sends nothing before it is polled, and spawns nothing. A future of it can be dropped at any time,
/// such as by `select!`: going on then neither skips nor repeats an entry.
///
/// # Where it starts and ends
///
/// | start | what is handed out |
/// |---|---|
/// | [`from_now`](Self::from_now), the default | what was not in the log when it was first asked |
/// | [`from_time`](Self::from_time), or the query's `start_date` | what was made at that time or later |
/// | [`from_beginning`](Self::from_beginning) | the whole log |
/// | [`from_checkpoint`](Self::from_checkpoint) | what is behind the checkpoint |
///
/// It goes on for ever, unless there is an end: [`until`](Self::until), or the query's `end_date`, and
/// [`until_caught_up`](Self::until_caught_up).
///
/// # What it promises
///
/// Entries may appear in the log later than those that were made after them. So each reading begins
/// before the newest entry that is known, by the [overlap](Self::overlap), and entries that were handed
/// out already are told by their id.
///
/// - Each entry that appears no later than the overlap after it was made is handed out, **at least
///   once** over all processes that go on from each other's checkpoints, as long as each keeps a
///   checkpoint only when the entries before it are dealt with.
/// - Within one tail, each is handed out once, but for two cases that take a wrong clock: the tail goes
///   back, or there are too many entries that are dated ahead. Both are below.
/// - What one reading finds comes in the order of `created_at`; late entries come late.
/// - The time is read from two clocks, since either may be wrong: the `Date` of the replies, and that
///   of this machine. Replies without a `Date` leave the second alone. The next reading begins no later
///   than the overlap before the earlier time.
/// - Only an entry behind the later time is dated ahead. It is handed out and reported as
///   [`DatedAhead`](AuditTailEvent::DatedAhead), and no other entry is missed for it.
/// - If the tail is more than an hour ahead of both clocks, it goes back to the earlier time, and some
///   entries come again. It never goes back behind its start.
/// - This machine's clock says when [`until`](Self::until) has come.
/// - Memory is bounded. The log lists the newest entries first, so one that has much to tell is read
///   in slices of time, of at most 1,000 entries each; a single millisecond that has more is read page
///   by page. Ids are kept for the overlap alone: 65,536 at most, or those of one millisecond. Where
///   more entries are made within the overlap, it is as much shorter. Of entries that are dated ahead,
///   1,000 are remembered (65,536 where replies have no `Date`); those behind them are handed out once
///   more when their time comes.
///
/// The overlap is read again each time. Where the log grows fast, a shorter one costs less.
///
/// # Errors
///
/// Those that are likely to pass ([`Error::is_retryable`](crate::Error::is_retryable)) are told as
/// [`Retrying`](AuditTailEvent::Retrying), and the tail goes on after a wait that grows. It is no
/// shorter than the server's [`retry_after`](crate::Error::retry_after), of which 15 minutes are heeded:
/// no server can stop the tail for good. All others are the stream's
/// last item: a key that is not valid or lacks the scope `audit:read`, which
/// [`required_scope`](crate::Error::required_scope) names, a filter that the server refuses, a reply
/// that can't be decoded. Start another tail from the last checkpoint once that is mended. With
/// [`lenient`](Self::lenient), a single entry that can't be decoded is no end.
#[must_use = "streams do nothing until they are polled"]
pub struct AuditTail<S: HttpService = BoxService> {
    client: Client<S>,
    question: Question,
    overlap: Millis,
    pace: Pace,
    end: Option<Millis>,
    /// When the log can have nothing new up to the end.
    ends_at: Option<Instant>,
    ends_caught_up: bool,
    start: Start<S>,
    /// The start of the tail: it never goes back behind that.
    not_before: Option<Millis>,
    progress: AuditCheckpoint,
    /// The entries of the reading that are dated ahead.
    ahead: Ahead,
    sweep: Option<Sweep<S>>,
    /// What is to be told before anything else is done.
    items: VecDeque<Result<AuditTailEvent, Error>>,
    sleep: Option<Pin<Box<Sleep>>>,
    trusts_total: bool,
    /// The reading has had something new.
    found_any: bool,
    /// There is something that has not been told to be the latest.
    has_news: bool,
    /// The reading began when the end had passed.
    is_last: bool,
    has_ended: bool,
}

impl<S: HttpService> AuditTail<S> {
    /// A tail of the entries that fit `query`.
    pub fn new(client: &Client<S>, mut query: QueryAuditLogs) -> Self {
        query.limit.get_or_insert(PAGE);
        query.offset = None;
        let (start, end) = (query.start_date.take(), query.end_date.take());
        let tail = Self {
            client: client.clone(),
            question: Question {
                query,
                options: CallOptions::new(),
                is_lenient: false,
            },
            overlap: 30_000,
            pace: Pace::new(),
            end: end.map(Timestamp::as_millisecond),
            ends_at: None,
            ends_caught_up: false,
            start: Start::Now(None),
            not_before: None,
            progress: AuditCheckpoint::default(),
            ahead: Ahead::default(),
            sweep: None,
            items: VecDeque::new(),
            sleep: None,
            trusts_total: true,
            found_any: false,
            has_news: true,
            is_last: false,
            has_ended: false,
        };
        match start {
            Some(start) => tail.from_time(start),
            None => tail,
        }
    }

    /// Starts with what appears from now on: no clock says when that is, but the log's own newest
    /// entries, which the first request asks for, a page of them.
    ///
    /// - Those are known by their ids, and none of them is handed out.
    /// - Any other is new that was made after the oldest of them, also one of the same millisecond as
    ///   the newest. Where that page is the whole log, or there was none, all others are.
    /// - Of those that were made no later than that oldest one, the ones that appear before the tail
    ///   has [caught up](AuditTailEvent::CaughtUp) for the first time can't be told from those that
    ///   were there, and count as these. Later on they are new, within the overlap.
    ///
    /// Where one millisecond has more entries than fit on that page, the others of it are handed out,
    /// though they were there: better that than to lose one.
    pub fn from_now(mut self) -> Self {
        self.not_before = None;
        self.progress = AuditCheckpoint::default();
        self.start = Start::Now(None);
        self
    }

    /// Starts with the oldest entry.
    pub fn from_beginning(self) -> Self {
        self.from_checkpoint(AuditCheckpoint::starting_from(None))
    }

    /// Starts with the entries that were made at this time.
    pub fn from_time(self, start: Timestamp) -> Self {
        let start = start.as_millisecond();
        let tail = self.from_checkpoint(AuditCheckpoint::starting_from(Some(start)));
        Self {
            not_before: Some(start),
            ..tail
        }
    }

    /// Goes on where another tail, with the same filters, has been.
    pub fn from_checkpoint(mut self, checkpoint: AuditCheckpoint) -> Self {
        let now = Timestamp::now().as_millisecond();
        let is_ahead = |floor: &Millis| *floor > now.saturating_add(MAX_LEAD);
        self.not_before = checkpoint.floor().filter(|floor| !is_ahead(floor));
        self.progress = checkpoint;
        self.start = Start::Known;
        self
    }

    /// Ends when this time has passed, by this machine's clock, and the overlap after it. Where it
    /// has passed already, what there is up to then is read once.
    pub fn until(mut self, end: Timestamp) -> Self {
        self.end = Some(end.as_millisecond());
        self
    }

    /// Ends when all has been handed out that the log has now, and does not wait for more.
    pub fn until_caught_up(mut self) -> Self {
        self.ends_caught_up = true;
        self
    }

    /// How much later than others, that were made after it, an entry may appear and still be found;
    /// 30 s unless told otherwise.
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = millis::of(overlap);
        self
    }

    /// How long to wait before the log is read again: `shortest` where there was something new, and
    /// then twice as long each time that there is not, up to `longest`. It is 2 s to 30 s unless told
    /// otherwise, and at least 10 ms.
    pub fn interval(mut self, shortest: Duration, longest: Duration) -> Self {
        self.pace.set_interval(shortest, longest);
        self
    }

    /// How long to wait after errors, beyond the shortest interval: from 1 s up to 60 s unless told
    /// otherwise. The client may have made several attempts before that.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.pace.set_backoff(backoff);
        self
    }

    /// Goes on past entries that can't be decoded. Each is an error among the stream's items, with its
    /// place and its JSON in [`Error::decode_error`]; what comes behind it goes on. That it has a
    /// [`raw_row`](crate::DecodeError::raw_row) tells it from an error that is the last item.
    ///
    /// It comes before the batch, or the [`CaughtUp`](AuditTailEvent::CaughtUp), whose checkpoint
    /// takes it for told. So it is told **at least once** over all processes that go on from each
    /// other's checkpoints, as long as each deals with it before it keeps a later one. Within one tail
    /// it is told once, but for the cases in which entries come again. If the tail that goes on from a checkpoint can decode it, it comes as an entry,
    /// as long as it is within the overlap.
    ///
    /// Where it can't even be read when it was made, it counts as made when the one was that is listed
    /// before it. Of those that are too many to be remembered, more than 65,536 within the overlap,
    /// some are told again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::StreamExt;
    /// use http::StatusCode;
    /// use idpflare_management::testing::{CannedReply, Fixture};
    /// use idpflare_management::workflows::{AuditTail, AuditTailEvent};
    /// use idpflare_management::{AuditLogEntry, Client, QueryAuditLogs};
    /// use serde_json::json;
    ///
    /// let log = json!({"entries": [{"id": "log_2"}, AuditLogEntry::fixture()], "total": 2,
    ///     "limit": 100, "offset": 0});
    /// let mock = CannedReply::new(StatusCode::OK).json(&log);
    /// let client = Client::from_service("https://idp.example.com", mock)?;
    ///
    /// let mut tail = AuditTail::new(&client, QueryAuditLogs::new())
    ///     .from_beginning()
    ///     .until_caught_up()
    ///     .lenient();
    /// let (mut entries, mut undecoded) = (Vec::new(), Vec::new());
    /// while let Some(event) = tail.next().await {
    ///     match event {
    ///         Ok(AuditTailEvent::Entries(batch)) => entries.extend(batch.entries),
    ///         Ok(_) => {}
    ///         Err(error) => match error.decode_error().and_then(|error| error.raw_row()) {
    ///             Some(raw) => undecoded.push(String::from(raw)),
    ///             None => return Err(error.into()),
    ///         },
    ///     }
    /// }
    /// assert_eq!(entries, [AuditLogEntry::fixture()]);
    /// assert_eq!(undecoded, [r#"{"id":"log_2"}"#]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lenient(mut self) -> Self {
        self.question.is_lenient = true;
        self
    }

    /// Sends all requests with these options.
    pub fn call_options(mut self, options: CallOptions) -> Self {
        self.question.options = options;
        self
    }
}

impl<S: HttpService> fmt::Debug for AuditTail<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTail")
            .field("progress", &self.progress)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
