//! A server with one list, of users or something else, which changes and lies as a script says.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::Fixture;
use idpflare_management::{ApiKey, AuditLogEntry, Client, User};
use tower::Service;

/// As many requests as none of these tests takes, so that a reader that never ends is found out.
const MAX_REQUESTS: usize = 40_000;

/// What happens to the list before a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// So many rows are new, in front of all others.
    Insert(u32),
    /// The row at this place goes, counted from the front, and around.
    Delete(usize),
    /// The same, of those that were given already, and of those behind them.
    DeleteBefore(usize),
    DeleteBehind(usize),
    /// From now on, a page has at most so many rows.
    Clamp(u64),
    /// From now on, the total is told to be this.
    Lie(u64),
    /// From now on, the total is told to be less by so much more.
    Understate(u64),
    /// From now on, the truth is told.
    Truth,
    /// From now on, offsets are taken to be smaller by so much, so that pages overlap.
    Skew(u64),
    /// From now on, every page is the first one.
    Repeat,
}

#[derive(Debug)]
pub(crate) struct Model {
    /// The numbers of the rows, the newest first.
    pub(crate) rows: Vec<u32>,
    pub(crate) clamp: u64,
    pub(crate) lie: Option<u64>,
    understated: u64,
    pub(crate) skew: u64,
    /// What to do before each request.
    pub(crate) script: VecDeque<Vec<Change>>,
    /// What to do before each request when that is over.
    pub(crate) always: Option<Change>,
    /// How long each request takes to be looked at.
    pub(crate) delays: VecDeque<Duration>,
    /// The numbers of the rows that are sent without an e-mail address.
    pub(crate) broken: Vec<u32>,
    /// Offset and limit of each request, as far as they were given.
    pub(crate) requests: Vec<(Option<u64>, Option<u64>)>,
    pub(crate) deleted: usize,
    /// A reply told a total that is just what was given with it and before, and there was more.
    pub(crate) told_an_end: bool,
    /// So many rows were there in the beginning: what a log has up to then.
    first: u32,
    next: u32,
    /// So many rows are before the furthest place up to which any were given.
    given: usize,
    in_flight: usize,
    pub(crate) most_in_flight: usize,
}

#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<Model>>);

impl Server {
    /// With so many rows, in pages of at most 100.
    pub(crate) fn new(rows: u32) -> Self {
        Self(Arc::new(Mutex::new(Model {
            rows: (0..rows).rev().collect(),
            clamp: 100,
            lie: None,
            understated: 0,
            skew: 0,
            script: VecDeque::new(),
            always: None,
            delays: VecDeque::new(),
            broken: Vec::new(),
            requests: Vec::new(),
            deleted: 0,
            told_an_end: false,
            first: rows,
            next: rows,
            given: 0,
            in_flight: 0,
            most_in_flight: 0,
        })))
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        // Where a test fails, requests are dropped that still have something to say here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> Client<Self> {
        Client::from_service("https://idp.example.com", self.clone()).expect("a client")
    }
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
        let flight = Flight::of(self);
        let delay = self.model().delays.pop_front().unwrap_or_default();
        Box::pin(async move {
            let _flight = flight;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let uri = request.uri();
            let query = uri.query().unwrap_or_default();
            let page = server.model().answer(uri.path(), query);
            Ok(Response::new(Full::from(page)))
        })
    }
}

impl Model {
    fn change(&mut self, change: &Change) {
        match *change {
            Change::Insert(rows) => {
                let new = (self.next..self.next + rows).rev();
                self.rows.splice(0..0, new);
                self.next += rows;
                self.given += rows as usize;
            }
            Change::Delete(place) => self.delete(place, 0..self.rows.len()),
            Change::DeleteBefore(place) => self.delete(place, 0..self.given),
            Change::DeleteBehind(place) => self.delete(place, self.given..self.rows.len()),
            Change::Clamp(clamp) => self.clamp = clamp,
            Change::Lie(total) => self.lie = Some(total),
            Change::Understate(less) => self.understated += less,
            Change::Truth => (self.lie, self.understated) = (None, 0),
            Change::Skew(skew) => self.skew = skew,
            Change::Repeat => self.skew = u64::MAX,
        }
    }

    fn delete(&mut self, place: usize, of: Range<usize>) {
        if of.is_empty() {
            return;
        }
        let place = of.start + place % of.len();
        self.rows.remove(place);
        self.deleted += 1;
        self.given -= usize::from(place < self.given);
    }

    fn answer(&mut self, path: &str, query: &str) -> String {
        let changes = self.script.pop_front();
        let changes = changes.unwrap_or_else(|| self.always.iter().cloned().collect());
        for change in changes {
            self.change(&change);
        }
        let number = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.parse::<u64>().expect("a number"))
        };
        let (offset, limit) = (number("offset"), number("limit"));
        self.requests.push((offset, limit));
        // Each row may cost a page, and each page may be fetched twice.
        assert!(self.requests.len() < MAX_REQUESTS, "it never ends");
        let limit = limit.unwrap_or(50).min(self.clamp);
        let asked = usize::try_from(offset.unwrap_or(0)).expect("64 bits");
        let skew = usize::try_from(self.skew).expect("64 bits");
        let offset = asked.saturating_sub(skew);
        let is_frozen = number("end_date").is_some();
        let fitting = self.rows.iter().copied();
        let fitting = fitting.filter(|number| !is_frozen || *number < self.first);
        let fitting: Vec<_> = fitting.collect();
        let page = fitting.iter().skip(offset);
        let page: Vec<_> = page
            .take(usize::try_from(limit).expect("64 bits"))
            .collect();
        let behind = (offset + page.len()).min(fitting.len());
        self.given = self.given.max(behind);
        let total = self.lie.unwrap_or(fitting.len() as u64);
        let total = total.saturating_sub(self.understated);
        let place = asked.saturating_add(page.len()) as u64;
        self.told_an_end |= total == place && behind < fitting.len();
        let row = |number: &&u32| row(path, **number, self.broken.contains(number));
        let rows: Vec<_> = page.iter().map(row).collect();
        let rows = rows.join(",");
        match path {
            "/api/v1/users" => {
                format!(r#"{{"users":[{rows}],"total":{total},"limit":{limit},"offset":{offset}}}"#)
            }
            // It tells no total.
            "/api/v1/api-keys" => format!(r#"{{"api_keys":[{rows}]}}"#),
            _ => format!(
                r#"{{"entries":[{rows}],"total":{total},"limit":{limit},"offset":{offset}}}"#
            ),
        }
    }
}

/// A row as text, quickly: most of the time of these tests goes into making and reading rows.
fn row(path: &str, number: u32, is_broken: bool) -> String {
    static USER: LazyLock<String> = LazyLock::new(|| {
        let mut user = User::fixture();
        user.id = "NUMBER".into();
        user.email = "EMAIL".into();
        serde_json::to_string(&user).expect("a user")
    });
    static API_KEY: LazyLock<String> = LazyLock::new(|| {
        let mut key = ApiKey::fixture();
        key.id = "NUMBER".into();
        serde_json::to_string(&key).expect("a key")
    });
    static ENTRY: LazyLock<String> = LazyLock::new(|| {
        let mut entry = AuditLogEntry::fixture();
        entry.id = "NUMBER".into();
        serde_json::to_string(&entry).expect("an entry")
    });
    let email = if is_broken {
        "null"
    } else {
        r#""ada@example.com""#
    };
    let row = match path {
        "/api/v1/users" => &USER,
        "/api/v1/api-keys" => &API_KEY,
        _ => &ENTRY,
    };
    row.replace("NUMBER", &number.to_string())
        .replace(r#""EMAIL""#, email)
}

/// A request that is being answered.
struct Flight(Server);

impl Flight {
    fn of(server: &Server) -> Self {
        let mut model = server.model();
        model.in_flight += 1;
        model.most_in_flight = model.most_in_flight.max(model.in_flight);
        drop(model);
        Self(server.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.model().in_flight -= 1;
    }
}
