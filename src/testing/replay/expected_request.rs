use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::Value;

use super::json_difference::difference;
use crate::testing::CapturedRequest;
use crate::testing::canned_reply::header;
use crate::{ApiRequest, Authority, Operation};

/// What a request must be like that a [`ReplayService`](super::ReplayService) expects. What is not
/// said is not looked at.
///
/// ```
/// use http::Method;
/// use idpflare_management::testing::{ExpectedRequest, ReplayService};
/// use idpflare_management::{ApiRequest, BlockUser, CreateUser, ListUsers};
/// use serde_json::json;
///
/// let replay = ReplayService::new()
///     // All of it: `GET /api/v1/users?limit=10`, without a body.
///     .exchange(ListUsers::new().limit(10), http::StatusCode::FORBIDDEN)
///     // Any request of this operation.
///     .exchange(BlockUser::OPERATION, &())
///     // What is said, and no more.
///     .exchange(
///         ExpectedRequest::new()
///             .method(Method::PATCH)
///             .path("/api/v1/users/usr_7")
///             .json(json!({"locale": "fr"}))
///             .header("x-tenant", "blue"),
///         http::StatusCode::CONFLICT,
///     );
/// # let _ = (replay, CreateUser::OPERATION);
/// ```
#[derive(Clone, Default)]
#[must_use = "it does nothing until it is part of a script"]
pub struct ExpectedRequest {
    operation: Option<&'static Operation>,
    method: Option<Method>,
    path: Option<String>,
    query: Option<String>,
    body: Option<ExpectedBody>,
    headers: HeaderMap,
    /// Why no client can send it.
    unsendable: Option<String>,
}

#[derive(Clone)]
enum ExpectedBody {
    Empty,
    Json(Value),
}

impl ExpectedRequest {
    /// Any request.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request of this operation, whatever its path looks like.
    pub fn operation(mut self, operation: &'static Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// A request with this method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// A request with this path, `/api/v1` included. The authority's own path, where it has one,
    /// may come before that.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        let mut path = path.into();
        // Only whole segments are compared.
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        self.path = Some(path);
        self
    }

    /// A request with these query parameters, in any order, and no others. An empty text stands for
    /// none.
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }

    /// A request with this body. The order of members does not matter.
    pub fn json(mut self, body: impl Into<Value>) -> Self {
        self.body = Some(ExpectedBody::Json(body.into()));
        self
    }

    /// A request with this header. May be said of several.
    ///
    /// # Panics
    ///
    /// Where the name or the value can't be sent.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let (name, value) = header(name, value);
        self.headers.insert(name, value);
        self
    }

    /// Where `found` is not like this one.
    pub(super) fn difference(&self, found: &CapturedRequest) -> Option<String> {
        let head = &found.head;
        let is_other = |operation| found.operation() != Some(operation);
        if self.operation.is_some_and(is_other) {
            return Some("it is another operation".into());
        }
        if self.unsendable.is_some() {
            return Some("no client can send the expected one".into());
        }
        if self.method.as_ref().is_some_and(|it| *it != head.method) {
            return Some("the method differs".into());
        }
        let is_path = |path: &String| head.uri.path().ends_with(path);
        if !self.path.as_ref().is_none_or(is_path) {
            return Some("the path differs".into());
        }
        let query = head.uri.query().unwrap_or_default();
        let is_query = |expected: &String| parameters(expected) == parameters(query);
        if !self.query.as_ref().is_none_or(is_query) {
            return Some("the query differs".into());
        }
        for (name, value) in &self.headers {
            if !head.headers.get_all(name).iter().any(|it| it == value) {
                return Some(format!("the header {name} differs"));
            }
        }
        match (&self.body, found.json()) {
            (None, _) => None,
            (Some(ExpectedBody::Empty), _) => {
                (!found.body.is_empty()).then(|| "it has a body".into())
            }
            (Some(ExpectedBody::Json(_)), None) => Some("the body is not JSON".into()),
            (Some(ExpectedBody::Json(expected)), Some(found)) => {
                let place = difference(expected, &found)?;
                Some(match place.as_str() {
                    "" => "the body differs".into(),
                    place => format!("the body differs at {place}"),
                })
            }
        }
    }

    fn of_http(operation: &'static Operation, request: &Request<Full<Bytes>>) -> Self {
        let request = CapturedRequest::of(request);
        let uri = &request.head.uri;
        Self {
            operation: Some(operation),
            path: Some(uri.path().to_owned()),
            query: Some(uri.query().unwrap_or_default().to_owned()),
            body: Some(
                request
                    .json()
                    .map_or(ExpectedBody::Empty, ExpectedBody::Json),
            ),
            method: Some(request.head.method),
            headers: HeaderMap::new(),
            unsendable: None,
        }
    }
}

impl From<&'static Operation> for ExpectedRequest {
    fn from(operation: &'static Operation) -> Self {
        Self::new().operation(operation)
    }
}

impl<R: ApiRequest> From<R> for ExpectedRequest {
    fn from(request: R) -> Self {
        let authority = "https://idpflare.test".parse();
        match authority.and_then(|authority: Authority| request.to_http(&authority)) {
            Ok(http) => Self::of_http(R::OPERATION, &http),
            // It never comes, which the script tells in the end.
            Err(error) => Self {
                unsendable: Some(error.message().to_owned()),
                ..Self::from(R::OPERATION)
            },
        }
    }
}

/// The parameters of a query in an order of their own.
fn parameters(query: &str) -> Vec<(String, String)> {
    let parameters = form_urlencoded::parse(query.as_bytes()).into_owned();
    let mut parameters: Vec<_> = parameters.collect();
    parameters.sort_unstable();
    parameters
}

impl fmt::Display for ExpectedRequest {
    /// One line: method, path and query, and the operation, as far as they are known, and the names
    /// of the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.method.as_ref().map(ToString::to_string));
        let query = self.query.as_ref().filter(|query| !query.is_empty());
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        match &self.path {
            Some(path) => parts.push(format!("{path}{query}")),
            None if !query.is_empty() => parts.push(query),
            None => {}
        }
        match self.operation {
            Some(operation) if parts.is_empty() => parts.push(operation.id.into()),
            Some(operation) => parts.push(format!("({})", operation.id)),
            None if parts.is_empty() => parts.push("a request".into()),
            None => {}
        }
        if let Some(reason) = &self.unsendable {
            parts.push(format!("(which can't be sent: {reason})"));
        }
        if let Some(ExpectedBody::Json(_)) = self.body {
            parts.push("with a body".into());
        }
        parts.extend(self.headers.keys().map(|name| format!("with {name}")));
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Debug for ExpectedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExpectedRequest({self})")
    }
}
