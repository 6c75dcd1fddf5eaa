//! What callers are told of a failure: problem details (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::offboard::Step;

/// The longest wait that a caller is asked for, whatever the identity provider says.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The type of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidRequest,
    NotFound,
    MethodNotAllowed,
    Conflict,
    IdentityProviderFailed,
    Busy,
    NotReady,
    Timeout,
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::IdentityProviderFailed => StatusCode::BAD_GATEWAY,
            Self::Busy | Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The end of the URI that identifies it, and the title.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid-request", "The request is not valid"),
            Self::NotFound => ("not-found", "There is no such thing"),
            Self::MethodNotAllowed => ("method-not-allowed", "This can't be done here"),
            Self::Conflict => ("conflict", "The request does not fit what is there"),
            Self::IdentityProviderFailed => {
                ("identity-provider-failed", "The identity provider failed")
            }
            Self::Busy => (
                "busy",
                "The identity provider takes no more requests for now",
            ),
            Self::NotReady => ("not-ready", "The service can't reach the identity provider"),
            Self::Timeout => ("timeout", "The identity provider took too long"),
        }
    }
}

/// A failure, in words that may be shown to anyone.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    operation: Option<&'static str>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    steps: Vec<Step>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            operation: None,
            request_id: None,
            retry_after: None,
            steps: Vec::new(),
        }
    }

    /// Says what was asked of the identity provider, and what it calls the request.
    pub(crate) fn upstream(
        mut self,
        operation: Option<&'static str>,
        request_id: Option<&str>,
    ) -> Self {
        self.operation = operation;
        self.request_id = request_id.map(str::to_owned);
        self
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.min(LONGEST_WAIT));
        self
    }

    /// Says how far a job of several steps has come.
    pub(crate) fn steps(mut self, steps: Vec<Step>) -> Self {
        self.steps = steps;
        self
    }

    fn to_json(&self, instance: &str) -> String {
        let (name, title) = self.kind.names();
        let mut members = json!({
            "type": format!("https://example.com/problems/{name}"),
            "title": title,
            "status": self.kind.status().as_u16(),
            "detail": self.detail,
            "instance": instance,
        });
        if let Some(operation) = self.operation {
            members["operation"] = operation.into();
        }
        if let Some(request_id) = &self.request_id {
            members["request_id"] = request_id.as_str().into();
        }
        if !self.steps.is_empty() {
            members["steps"] = json!(self.steps);
        }
        members.to_string()
    }
}

impl IntoResponse for Problem {
    /// Leaves the body to [`render`], which knows what was asked for.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The middleware that writes problems out.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    *response.body_mut() = Body::from(problem.to_json(&instance));
    let headers = response.headers_mut();
    // That of the empty body before.
    headers.remove(CONTENT_LENGTH);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(wait) = problem.retry_after {
        // Whole seconds, and never too early.
        let begun = u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, wait.as_secs().saturating_add(begun).into());
    }
    response
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(Kind::InvalidRequest, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Kind::InvalidRequest, rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(Kind::InvalidRequest, rejection.body_text())
    }
}
