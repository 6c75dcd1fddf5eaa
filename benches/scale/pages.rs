//! Long lists, whose pages were prepared.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::Fixture;
use idpflare_management::{Client, ListUsers, Pager, User};
use tower::Service;

/// Rows of a page.
pub(crate) const PAGE: usize = 100;
/// So many pages come again and again: a pager has forgotten their rows by then.
const DIFFERENT: usize = 64;

#[derive(Clone)]
pub(crate) struct Pages(Arc<[Bytes]>);

impl Pages {
    /// Those of a list of `total` users.
    pub(crate) fn new(total: usize) -> Self {
        let id = User::fixture().id;
        let row = serde_json::to_string(&User::fixture()).expect("a user");
        let (before, after) = row.split_once(id.as_str()).expect("its id");
        let page = |number: usize| {
            let first = number * PAGE;
            let users: Vec<_> = (first..first + PAGE)
                .map(|number| format!("{before}usr_{number:016}{after}"))
                .collect();
            let users = users.join(",");
            let body =
                format!(r#"{{"users":[{users}],"total":{total},"limit":{PAGE},"offset":{first}}}"#);
            Bytes::from(body)
        };
        Self((0..DIFFERENT.min(total / PAGE)).map(page).collect())
    }

    /// The body of a page.
    pub(crate) fn body(&self, number: usize) -> &Bytes {
        &self.0[number % self.0.len()]
    }

    /// The page that `request` asks for.
    pub(crate) fn reply<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let offset: usize = form_urlencoded::parse(query)
            .find(|(name, _)| name == "offset")
            .map_or(0, |(_, value)| value.parse().expect("a number"));
        Response::new(Full::new(self.body(offset / PAGE).clone()))
    }
}

/// A client with the standard stack over `service`.
pub(crate) fn client<S, B>(service: S) -> Client
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Client::builder("https://idp.example.com")
        .api_key("idk_1f3870be274f6c49b3e31a0c6728957f")
        .build_with(service)
        .expect("a client")
}

/// Reads all users, with so many pages on their way.
pub(crate) fn pager(client: &Client, concurrency: usize) -> Pager<ListUsers> {
    Pager::new(client, ListUsers::new().limit(PAGE as u64)).concurrency(concurrency)
}
