use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};

use super::CannedReply;
use crate::layers::{
    BoxError, Call, CollectError, Delivery, Failure, Timeout, collect, is_refusal,
};
use crate::{ApiRequest, DecodeError, Error, Listing, Operation};

/// Makes an [`Error`] without a client, to test code that handles errors.
///
/// It is made of what a client would have met, so that all it tells fits together: kind, attempts and
/// delivery follow from that, and can't contradict it.
///
/// | kind | made with |
/// |---|---|
/// | `Api`, `Redirect` | [`reply`](Self::reply) with such a status |
/// | `Decode` | [`reply`](Self::reply) with 2xx and a body that is not what the protocol says |
/// | `TooLarge` | [`too_large`](Self::too_large) |
/// | `Truncated` | [`truncated`](Self::truncated) |
/// | `Connect`, `Transport` | [`failure`](Self::failure) with a [`TransportError`](crate::layers::TransportError) |
/// | `Timeout` | [`failure`](Self::failure) with a [`Timeout`](crate::layers::Timeout); [`timed_out`](Self::timed_out) where the head of a reply had arrived |
/// | `RateLimited` | [`failure`](Self::failure) with a [`RateLimited`](crate::layers::RateLimited) |
/// | `Credential` | [`failure`](Self::failure) with a [`CredentialError`](crate::layers::CredentialError) |
/// | `NoProgress` | [`no_progress`](Self::no_progress) |
/// | `Service` | [`failure`](Self::failure) with any other error |
/// | `Encode` | [`ApiRequest::to_http`] of a request that can't be sent, such as `GetUser::new("")` |
/// | `Configuration` | [`Client::builder`](crate::Client::builder) with what is wrong |
///
/// ```
/// use http::StatusCode;
/// use idpflare_management::layers::TransportError;
/// use idpflare_management::testing::{CannedReply, ErrorFixture};
/// use idpflare_management::{Delivery, DeleteUser};
///
/// let gone = CannedReply::error(StatusCode::NOT_FOUND, "User not found");
/// let error = ErrorFixture::reply::<DeleteUser>(gone)
///     .after_failure(TransportError::lost("connection reset".into()))
///     .after_reply(StatusCode::BAD_GATEWAY)
///     .build();
/// assert_eq!(
///     error.to_string(),
///     "deleteUser failed: 404 Not Found: User not found (3 attempts; it may have taken effect)"
/// );
/// assert_eq!((error.attempts(), error.delivery()), (3, Delivery::Unknown));
/// ```
#[derive(Debug)]
#[must_use = "it is not an error until it is built"]
pub struct ErrorFixture {
    operation: &'static Operation,
    call: Call,
    outcome: Outcome,
}

/// What came of the last attempt.
#[derive(Debug)]
enum Outcome {
    Refused(CannedReply),
    Undecodable(CannedReply, DecodeError),
    Failed(BoxError),
    Interrupted(CannedReply, Timeout),
    Stuck,
}

impl ErrorFixture {
    /// The operation `R` was answered so.
    ///
    /// # Panics
    ///
    /// Where that is no error: the status is 2xx, and the body is what the protocol says.
    #[track_caller]
    #[expect(clippy::panic, reason = "only who writes a test gives replies")]
    pub fn reply<R: ApiRequest>(reply: impl Into<CannedReply>) -> Self {
        let reply = reply.into();
        let response = reply.clone().into_response();
        if !response.status().is_success() {
            return Self::new::<R>(Outcome::Refused(reply));
        }
        match R::decode(&response) {
            Err(error) => Self::new::<R>(Outcome::Undecodable(reply, error)),
            Ok(_) => panic!("{} succeeds with this reply", R::OPERATION.id),
        }
    }

    /// The layers or the transport below the client failed so.
    pub fn failure<R: ApiRequest>(error: impl Into<BoxError>) -> Self {
        Self::new::<R>(Outcome::Failed(error.into()))
    }

    /// The operation `R` was answered so, but the body broke off.
    pub fn truncated<R: ApiRequest>(reply: impl Into<CannedReply>) -> Self {
        let reply = reply.into().into_response().map(|body| {
            let lost = io::Error::from(io::ErrorKind::UnexpectedEof);
            let body = Full::new(body).map_err(|never: Infallible| match never {});
            body.with_trailers(ready(Some(Err::<_, io::Error>(lost))))
        });
        Self::failure::<R>(interruption(reply, usize::MAX))
    }

    /// The operation `R` was answered so, but with a body of more than `limit` bytes, as its
    /// `Content-Length` says.
    pub fn too_large<R: ApiRequest>(reply: impl Into<CannedReply>, limit: usize) -> Self {
        let length = limit.saturating_add(1);
        let reply = reply.into().header(CONTENT_LENGTH, length).body("{");
        Self::failure::<R>(interruption(reply.into_response().map(Full::new), limit))
    }

    /// The head of this reply had arrived when time ran out.
    pub fn timed_out<R: ApiRequest>(reply: impl Into<CannedReply>, timeout: Timeout) -> Self {
        Self::new::<R>(Outcome::Interrupted(reply.into(), timeout))
    }

    /// A [`Pager`](crate::Pager) was given pages that only repeat rows.
    pub fn no_progress<R: Listing>() -> Self {
        Self::new::<R>(Outcome::Stuck)
    }

    fn new<R: ApiRequest>(outcome: Outcome) -> Self {
        Self {
            operation: R::OPERATION,
            call: Call::new(),
            outcome,
        }
    }

    /// There was an attempt before, which was answered so. May be said several times, the first
    /// attempt first.
    pub fn after_reply(self, reply: impl Into<CannedReply>) -> Self {
        let reply = reply.into().into_response();
        self.call.record_send(Delivery::of_status(reply.status()));
        self.call.record_failure(Failure::from(&reply));
        self
    }

    /// There was an attempt before, which failed so. May be said several times, the first attempt
    /// first.
    pub fn after_failure(self, error: impl Into<BoxError>) -> Self {
        let error = error.into();
        record_failure(&self.call, &error);
        self.call.record_failure(Failure::from(error));
        self
    }

    /// The error.
    #[must_use]
    pub fn build(self) -> Error {
        let Self {
            operation, call, ..
        } = self;
        match self.outcome {
            Outcome::Refused(reply) => {
                let reply = reply.into_response();
                call.record_send(Delivery::of_status(reply.status()));
                Error::reply(operation, &call, reply)
            }
            Outcome::Undecodable(reply, error) => {
                let reply = reply.into_response();
                call.record_send(Delivery::of_status(reply.status()));
                Error::decode(operation, &call, reply, error)
            }
            Outcome::Interrupted(reply, timeout) => {
                let reply = reply.into_response();
                call.record_send(Delivery::of_status(reply.status()));
                let never = pending::<Option<Result<HeaderMap, Infallible>>>();
                let reply = reply.map(|body| Full::new(body).with_trailers(never));
                // Dropped half-way, it leaves the head in the call.
                let mut reading = Box::pin(collect(reply, usize::MAX, call.clone()));
                let _ = reading
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
                drop(reading);
                Error::service(operation, &call, timeout)
            }
            Outcome::Stuck => {
                let message = String::from("the pages repeat themselves");
                call.record_send(Delivery::Answered);
                Error::no_progress(operation, &call, message)
            }
            Outcome::Failed(error) => {
                record_failure(&call, &error);
                Error::service(operation, &call, error)
            }
        }
    }
}

/// What a layer refused was not an attempt.
fn record_failure(call: &Call, error: &BoxError) {
    if !is_refusal(&**error) {
        call.record_send(Delivery::of_error(&**error));
    }
}

/// What reading `reply` comes to, whose body is there and is known to end in an error.
fn interruption<B>(reply: Response<B>, limit: usize) -> BoxError
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let reading = pin!(collect(reply, limit, Call::new()));
    match reading.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => CollectError::into(error),
        _ => "the reply broke off before its end".into(),
    }
}
