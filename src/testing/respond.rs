//! Answers in the protocol's shapes.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");

/// What an operation comes to; both sides are answers, the second ends it early.
pub(super) type Outcome = Result<Reply, Reply>;

/// The body of a refusal.
pub(super) fn error_body(status: StatusCode, message: &str) -> Value {
    json!({"error": message, "status": status.as_u16()})
}

/// An answer, before it is given its headers.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    body: Option<Bytes>,
}

impl Reply {
    pub(super) fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
        }
    }

    pub(super) fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    pub(super) fn created(value: &impl Serialize) -> Self {
        Self::json(StatusCode::CREATED, value)
    }

    pub(super) fn error(status: StatusCode, message: &str) -> Self {
        Self::json(status, &error_body(status, message))
    }

    /// The refusal of one argument.
    pub(super) fn invalid(argument: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, &format!("Invalid {argument}"))
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::error(StatusCode::NOT_FOUND, &format!("{what} not found"))
    }

    fn json(status: StatusCode, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self {
                status,
                body: Some(json.into()),
            },
            Err(_) => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                body: None,
            },
        }
    }

    /// The whole answer, with `headers` beside those that every one has.
    pub(super) fn into_response(
        self,
        request_id: Option<&str>,
        headers: HeaderMap,
    ) -> Response<Bytes> {
        let has_body = self.body.is_some();
        let mut response = Response::new(self.body.unwrap_or_default());
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        let headers = response.headers_mut();
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(Ok(request_id)) = request_id.map(HeaderValue::from_str) {
            headers.insert(CF_RAY, request_id);
        }
        response
    }
}
