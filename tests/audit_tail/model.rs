//! A server with one audit log, which grows and goes wrong as a script says.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::Fixture;
use idpflare_management::{AuditLogEntry, Client};
use tower::Service;

/// When the first entries are made, in milliseconds: a while ago.
pub(crate) const START: i64 = 1_750_000_000_000;

/// What happens before a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// So much time passes, and an entry is made.
    Make(i64),
    /// An entry appears that was made so long ago.
    Late(i64),
    /// The request is answered with this status.
    Fail(u16),
}

/// What is wrong with an entry that can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Most of it is missing.
    Rest,
    /// Its time is none.
    Time,
    /// It has no id.
    Id,
    /// It is no object.
    All,
}

#[derive(Debug)]
pub(crate) struct Model {
    /// When each entry was made, and its number; in the order of their times.
    pub(crate) log: Vec<(i64, u32)>,
    /// The server's time.
    pub(crate) now: i64,
    next: u32,
    /// What happens before each request.
    pub(crate) script: VecDeque<Vec<Change>>,
    pub(crate) clamp: usize,
    /// What the total is told to be.
    pub(crate) lie: Option<u64>,
    /// The `Date` of replies, in milliseconds.
    pub(crate) date: Option<i64>,
    /// The `Date`s of the next replies, before that one.
    pub(crate) next_dates: VecDeque<i64>,
    /// The `Retry-After` of a 429.
    pub(crate) retry_after: &'static str,
    /// Whether `start_date` and `end_date` are a part of what they bound.
    pub(crate) bounds: (bool, bool),
    /// The dates are not looked at.
    pub(crate) ignores_dates: bool,
    /// The entries that can't be decoded, by their number.
    pub(crate) damaged: HashMap<u32, Damage>,
    pub(crate) requests: usize,
    pub(crate) queries: Vec<String>,
    /// When each entry of the first page was made, and its number.
    pub(crate) first_page: Option<Vec<(i64, u32)>>,
}

#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<Model>>);

impl Server {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Model {
            log: Vec::new(),
            now: START,
            next: 0,
            script: VecDeque::new(),
            clamp: 100,
            lie: None,
            date: None,
            next_dates: VecDeque::new(),
            retry_after: "90",
            bounds: (true, true),
            ignores_dates: false,
            damaged: HashMap::new(),
            requests: 0,
            queries: Vec::new(),
            first_page: None,
        })))
    }

    /// With as many entries, one in so many milliseconds.
    pub(crate) fn with(entries: u32, every: i64) -> Self {
        let server = Self::new();
        server.model().make(entries, every);
        server
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().expect("not poisoned")
    }

    pub(crate) fn client(&self) -> Client<Self> {
        Client::from_service("https://idp.example.com", self.clone()).expect("an authority")
    }
}

impl Model {
    pub(crate) fn make(&mut self, entries: u32, every: i64) {
        for _ in 0..entries {
            self.now += every;
            self.insert(self.now);
        }
    }

    pub(crate) fn insert(&mut self, at: i64) -> u32 {
        let number = self.next;
        self.next += 1;
        let place = self.log.partition_point(|(other, _)| *other <= at);
        self.log.insert(place, (at, number));
        number
    }

    fn answer(&mut self, query: &str) -> Response<Full<Bytes>> {
        self.requests += 1;
        let mut status = None;
        for change in self.script.pop_front().unwrap_or_default() {
            match change {
                Change::Make(passed) => self.make(1, passed),
                Change::Late(ago) => {
                    self.insert(self.now - ago);
                }
                Change::Fail(code) => status = Some(code),
            }
        }
        if let Some(code) = status {
            let mut reply = Response::new(Full::from(r#"{"error":"Not now"}"#));
            *reply.status_mut() = StatusCode::from_u16(code).expect("a status");
            if code == 429 {
                let asked = http::HeaderValue::from_static(self.retry_after);
                reply.headers_mut().insert("retry-after", asked);
            }
            return reply;
        }
        let mut reply = Response::new(Full::from(self.page(query)));
        if let Some(date) = self.next_dates.pop_front().or(self.date) {
            let date = UNIX_EPOCH + Duration::from_millis(date.try_into().expect("since 1970"));
            let date = httpdate::fmt_http_date(date).parse().expect("a header");
            reply.headers_mut().insert("date", date);
        }
        reply
    }

    fn page(&mut self, query: &str) -> String {
        self.queries.push(query.to_owned());
        let number = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.parse::<i64>().expect("a number"))
        };
        let start = number("start_date").unwrap_or(i64::MIN);
        let end = number("end_date").unwrap_or(i64::MAX);
        let (with_start, with_end) = self.bounds;
        let first = self.log.partition_point(|(at, _)| {
            !self.ignores_dates
                && if with_start {
                    *at < start
                } else {
                    *at <= start
                }
        });
        let behind = self.log.partition_point(|(at, _)| {
            self.ignores_dates || if with_end { *at <= end } else { *at < end }
        });
        let fitting = &self.log[first.min(behind)..behind];
        let limit = usize::try_from(number("limit").unwrap_or(50)).expect("64 bits");
        let offset = usize::try_from(number("offset").unwrap_or(0)).expect("64 bits");
        let page = fitting.iter().rev().skip(offset);
        let page: Vec<_> = page.take(limit.min(self.clamp)).copied().collect();
        let entries = page
            .iter()
            .map(|(at, number)| match self.damaged.get(number) {
                None => entry(*at, *number),
                Some(damage) => damage.text(*at, *number),
            });
        let entries: Vec<_> = entries.collect();
        self.first_page.get_or_insert(page);
        let total = self.lie.unwrap_or(fitting.len() as u64);
        format!(
            r#"{{"entries":[{}],"total":{total},"limit":{limit},"offset":{offset}}}"#,
            entries.join(",")
        )
    }
}

impl Damage {
    pub(crate) fn text(self, at: i64, number: u32) -> String {
        match self {
            Self::Rest => format!(r#"{{"id":"{number}","created_at":{at}}}"#),
            Self::Time => format!(r#"{{"id":"{number}","created_at":"soon"}}"#),
            Self::Id => format!(r#"{{"number":{number},"created_at":{at}}}"#),
            Self::All => number.to_string(),
        }
    }
}

/// An entry as text, quickly: most of the time of these tests goes into making and reading them.
fn entry(at: i64, number: u32) -> String {
    static ENTRY: LazyLock<String> = LazyLock::new(|| {
        let mut entry = AuditLogEntry::fixture();
        entry.id = "NUMBER".into();
        entry.created_at = "1970-01-01T00:00:00.077Z".parse().expect("a time");
        serde_json::to_string(&entry).expect("an entry")
    });
    ENTRY
        .replace("NUMBER", &number.to_string())
        .replace(r#""created_at":77"#, &format!(r#""created_at":{at}"#))
}

impl Service<Request<Full<Bytes>>> for Server {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            // So that futures can be dropped while they wait.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            let query = request.uri().query().unwrap_or_default();
            let reply = server.model().answer(query);
            Ok(reply)
        })
    }
}
