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

/// What all problems of one type have in common.
#[derive(Debug)]
pub(crate) struct Kind {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
}

impl Kind {
    const fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self {
            status,
            slug,
            title,
        }
    }
}

pub(crate) const INVALID_REQUEST: &Kind = &Kind::new(
    StatusCode::BAD_REQUEST,
    "invalid-request",
    "The request is not valid",
);
pub(crate) const NOT_FOUND: &Kind =
    &Kind::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing");
pub(crate) const METHOD_NOT_ALLOWED: &Kind = &Kind::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "method-not-allowed",
    "This can't be done here",
);
pub(crate) const CONFLICT: &Kind = &Kind::new(
    StatusCode::CONFLICT,
    "conflict",
    "The request does not fit what is there",
);
pub(crate) const IDENTITY_PROVIDER_FAILED: &Kind = &Kind::new(
    StatusCode::BAD_GATEWAY,
    "identity-provider-failed",
    "The identity provider failed",
);
pub(crate) const BUSY: &Kind = &Kind::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "busy",
    "The identity provider takes no more requests for now",
);
pub(crate) const NOT_READY: &Kind = &Kind::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "not-ready",
    "The service can't reach the identity provider",
);
pub(crate) const TIMEOUT: &Kind = &Kind::new(
    StatusCode::GATEWAY_TIMEOUT,
    "timeout",
    "The identity provider took too long",
);

/// A failure, in words that may be shown to anyone.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: &'static Kind,
    detail: Cow<'static, str>,
    operation: Option<&'static str>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            operation: None,
            request_id: None,
            retry_after: None,
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
        self.retry_after = Some(wait);
        self
    }

    fn to_json(&self, instance: &str) -> String {
        let mut members = json!({
            "type": format!("https://example.com/problems/{}", self.kind.slug),
            "title": self.kind.title,
            "status": self.kind.status.as_u16(),
            "detail": self.detail,
            "instance": instance,
        });
        if let Some(operation) = self.operation {
            members["operation"] = operation.into();
        }
        if let Some(request_id) = &self.request_id {
            members["request_id"] = request_id.as_str().into();
        }
        members.to_string()
    }
}

impl IntoResponse for Problem {
    /// Leaves the body to [`render`], which knows what was asked for.
    fn into_response(self) -> Response {
        let mut response = self.kind.status.into_response();
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
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(INVALID_REQUEST, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(INVALID_REQUEST, rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(INVALID_REQUEST, rejection.body_text())
    }
}
