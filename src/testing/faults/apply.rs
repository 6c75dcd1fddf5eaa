//! From a fault to the answer that it makes.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER, SERVER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::body::{End, FaultyBody};
use super::fault::{Effect, Fault};
use super::kind::RetryAfter;
use super::unknown;
use crate::Timestamp;
use crate::testing::connection::{ConnectionLost, ResetHandle};
use crate::testing::http_date::http_date;
use crate::testing::quota::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::testing::respond::Reply;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");

impl Fault {
    /// What becomes of `reply`: the operation's own, or one that is empty where it was not
    /// performed. One that must not arrive is marked as [`ConnectionLost`]. In process there is no
    /// connection.
    pub(in crate::testing) fn apply(
        &self,
        reply: Response<Bytes>,
        connection: Option<ResetHandle>,
    ) -> Response<Body> {
        match &self.effect {
            Effect::Nothing => reply.map(Body::from),
            Effect::Reply(other) => replaced(
                reply,
                other.status,
                other.headers.clone(),
                other.body.clone(),
            ),
            Effect::EdgePage(status) => edge_page(reply, *status),
            Effect::TooManyRequests(retry_after) => too_many_requests(reply, *retry_after),
            Effect::ResetBeforeReply => {
                let mut lost = Response::default();
                lost.extensions_mut().insert(ConnectionLost);
                lost
            }
            Effect::ResetDuringReply => broken(reply, End::Reset(connection)),
            Effect::TruncatedBody => broken(reply, End::Truncated),
            Effect::SlowBody { pieces, interval } => {
                with_length(reply).map(|body| Body::new(FaultyBody::slow(body, *pieces, *interval)))
            }
            Effect::OversizedBody { bytes } => {
                with_body(reply).map(|body| Body::new(FaultyBody::padded(*bytes, body)))
            }
            Effect::WrongContentType => {
                let mut reply = with_body(reply);
                reply.headers_mut().insert(CONTENT_TYPE, HTML);
                reply.map(Body::from)
            }
            Effect::UnknownFields => {
                with_body(reply).map(|body| Body::from(unknown::with_fields(&body)))
            }
            Effect::UnknownValues => {
                with_body(reply).map(|body| Body::from(unknown::with_values(&body)))
            }
        }
    }
}

/// Another reply in place of `reply`, of which only the `cf-ray` and the like are kept.
fn replaced(
    mut reply: Response<Bytes>,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    *reply.status_mut() = status;
    reply.headers_mut().remove(CONTENT_TYPE);
    reply.headers_mut().extend(headers);
    reply.map(|_| Body::from(body))
}

fn edge_page(reply: Response<Bytes>, status: StatusCode) -> Response<Body> {
    let code = status.as_u16();
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>{code}</title></head>\
         <body><h1>Error {code}</h1><p>The origin did not answer as it should.</p></body></html>\n"
    );
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HTML),
        (SERVER, HeaderValue::from_static("cloudflare")),
    ]);
    replaced(reply, status, headers, html.into())
}

fn too_many_requests(reply: Response<Bytes>, retry_after: RetryAfter) -> Response<Body> {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let (head, body) = Reply::error(status, "Too many requests")
        .into_response(None, HeaderMap::new())
        .into_parts();
    let mut headers = head.headers;
    let mut say = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    };
    match retry_after {
        RetryAfter::Absent => {}
        RetryAfter::Seconds(seconds) => say(RETRY_AFTER, Some(seconds.into())),
        RetryAfter::HttpDate(seconds) => {
            let now = Timestamp::now();
            // Said as well, so that the two differ by whole seconds whatever the client's clock is.
            say(DATE, http_date(now, 0));
            say(RETRY_AFTER, http_date(now, seconds));
        }
        RetryAfter::RateLimit(seconds) => {
            let limit = HeaderValue::from_str(&format!("\"default\";r=0;t={seconds}"));
            say(RATE_LIMIT, limit.ok());
            let policy = HeaderValue::from_static("\"default\";q=1");
            say(RATE_LIMIT_POLICY, Some(policy));
        }
    }
    replaced(reply, status, headers, body)
}

/// `reply` with half of the body that its head speaks of.
fn broken(reply: Response<Bytes>, end: End) -> Response<Body> {
    with_length(reply).map(|mut body| {
        body.truncate(body.len() / 2);
        Body::new(FaultyBody::ending(body, end))
    })
}

/// `reply` with a head that says how long its body is, which a stream can't say by itself.
fn with_length(reply: Response<Bytes>) -> Response<Bytes> {
    let mut reply = with_body(reply);
    let length = reply.body().len().into();
    reply.headers_mut().insert(CONTENT_LENGTH, length);
    reply
}

/// `reply` with something in its body.
fn with_body(mut reply: Response<Bytes>) -> Response<Bytes> {
    if reply.body().is_empty() {
        if reply.status() == StatusCode::NO_CONTENT {
            *reply.status_mut() = StatusCode::OK;
        }
        let json = HeaderValue::from_static("application/json");
        reply.headers_mut().insert(CONTENT_TYPE, json);
        *reply.body_mut() = Bytes::from_static(b"{}");
    }
    reply
}
