use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use idpflare_layers::{BoxError, Call, Origin, OriginMismatch, TransportError};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::request::reserved;

/// The last look at a request before it is sent: no layer comes after it.
///
/// - Adds `User-Agent` and `Accept` unless the request has them.
/// - Removes `Host` and the headers of the connection, which are the transport's to set.
/// - Refuses a request to another origin than the client's: the key would go there.
///
/// One that has lost the [`Call`] of the client is refused: what was sent could not be counted any
/// more, and a create would be sent again as one that never was.
///
/// A step for each of these, or tower's `Filter`, would move the request once more, which takes as
/// long as the step.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingLayer {
    fixed: Arc<Fixed>,
}

#[derive(Debug)]
struct Fixed {
    user_agent: HeaderValue,
    origin: Origin,
}

impl OutgoingLayer {
    pub(super) fn new(user_agent: HeaderValue, origin: Origin) -> Self {
        Self {
            fixed: Arc::new(Fixed { user_agent, origin }),
        }
    }
}

impl<S> Layer<S> for OutgoingLayer {
    type Service = Outgoing<S>;

    fn layer(&self, inner: S) -> Outgoing<S> {
        Outgoing {
            inner,
            fixed: Arc::clone(&self.fixed),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Outgoing<S> {
    inner: S,
    fixed: Arc<Fixed>,
}

impl<S, B> Service<Request<Full<Bytes>>> for Outgoing<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = OutgoingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        // A call that a layer has made itself knows of nothing.
        if !Call::of(&request).is_some_and(|call| call.has_recorder() && call.is_complete(&request))
        {
            let error = "a layer has dropped the extensions of the request: keep them where a new request is made of it";
            let error = TransportError::not_sent(error.into()).permanent();
            return OutgoingFuture::Refused {
                error: Some(error.into()),
            };
        }
        let Fixed { user_agent, origin } = &*self.fixed;
        if !origin.matches(request.uri()) {
            let error = OriginMismatch::new(origin, request.uri());
            return OutgoingFuture::Refused {
                error: Some(error.into()),
            };
        }
        let headers = request.headers_mut();
        // Transports of another make do not remove them.
        reserved::remove_from(headers);
        headers
            .entry(USER_AGENT)
            .or_insert_with(|| user_agent.clone());
        headers
            .entry(ACCEPT)
            .or_insert_with(|| HeaderValue::from_static("application/json"));
        OutgoingFuture::Sending {
            future: self.inner.call(request),
        }
    }
}

pin_project! {
    #[project = OutgoingProjection]
    pub(crate) enum OutgoingFuture<F> {
        Sending { #[pin] future: F },
        Refused { error: Option<BoxError> },
    }
}

impl<F, B> Future for OutgoingFuture<F>
where
    F: Future<Output = Result<Response<B>, BoxError>>,
{
    type Output = Result<Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            OutgoingProjection::Sending { future } => future.poll(cx),
            OutgoingProjection::Refused { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}
