//! A server with one list of users, which changes and lies as a script says.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::Fixture;
use idpflare_management::{Client, User};
use tower::Service;

/// What happens to the list before a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// So many rows are new, in front of all others.
    Insert(u32),
    /// The row at this place goes, counted from the front, and around.
    Delete(usize),
    /// From now on, a page has at most so many rows.
    Clamp(u64),
    /// From now on, the total is told to be this.
    Lie(u64),
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
    pub(crate) skew: u64,
    /// What to do before each request.
    pub(crate) script: VecDeque<Vec<Change>>,
    /// How long each request takes to be looked at.
    pub(crate) delays: VecDeque<Duration>,
    /// The numbers of the rows that are sent without an e-mail address.
    pub(crate) broken: Vec<u32>,
    /// Offset and limit of each request, as far as they were given.
    pub(crate) requests: Vec<(Option<u64>, Option<u64>)>,
    pub(crate) deleted: usize,
    next: u32,
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
            skew: 0,
            script: VecDeque::new(),
            delays: VecDeque::new(),
            broken: Vec::new(),
            requests: Vec::new(),
            deleted: 0,
            next: rows,
            in_flight: 0,
            most_in_flight: 0,
        })))
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().expect("not poisoned")
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
            let page = server
                .model()
                .answer(request.uri().query().unwrap_or_default());
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
            }
            Change::Delete(place) if !self.rows.is_empty() => {
                self.rows.remove(place % self.rows.len());
                self.deleted += 1;
            }
            Change::Delete(_) => {}
            Change::Clamp(clamp) => self.clamp = clamp,
            Change::Lie(total) => self.lie = Some(total),
            Change::Truth => self.lie = None,
            Change::Skew(skew) => self.skew = skew,
            Change::Repeat => self.skew = u64::MAX,
        }
    }

    fn answer(&mut self, query: &str) -> String {
        for change in self.script.pop_front().unwrap_or_default() {
            self.change(&change);
        }
        let number = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.parse::<u64>().expect("a number"))
        };
        let (offset, limit) = (number("offset"), number("limit"));
        self.requests.push((offset, limit));
        let limit = limit.unwrap_or(50).min(self.clamp);
        let offset = offset.unwrap_or(0).saturating_sub(self.skew);
        let users: Vec<_> = self
            .rows
            .iter()
            .skip(usize::try_from(offset).expect("64 bits"))
            .take(usize::try_from(limit).expect("64 bits"))
            .map(|number| user(*number, self.broken.contains(number)))
            .collect();
        let total = self.lie.unwrap_or(self.rows.len() as u64);
        format!(
            r#"{{"users":[{}],"total":{total},"limit":{limit},"offset":{offset}}}"#,
            users.join(",")
        )
    }
}

/// A row as text, quickly: most of the time of these tests goes into making and reading rows.
fn user(number: u32, is_broken: bool) -> String {
    static USER: LazyLock<String> = LazyLock::new(|| {
        let mut user = User::fixture();
        user.id = "NUMBER".into();
        user.email = "EMAIL".into();
        serde_json::to_string(&user).expect("a user")
    });
    let email = if is_broken {
        "null"
    } else {
        r#""ada@example.com""#
    };
    USER.replace("NUMBER", &number.to_string())
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
