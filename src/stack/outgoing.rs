use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use idpflare_layers::{BoxError, Call, TransportError};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// Gives a request the headers that all have, where it has no others of these names.
///
/// One that has lost the [`Call`] of the client is refused: what was sent could not be counted any
/// more, and a create would be sent again as one that never was.
///
/// A step for each of these, or tower's `Filter`, would move the request once more, which takes as
/// long as the step.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingLayer {
    user_agent: HeaderValue,
}

impl OutgoingLayer {
    pub(super) fn new(user_agent: HeaderValue) -> Self {
        Self { user_agent }
    }
}

impl<S> Layer<S> for OutgoingLayer {
    type Service = Outgoing<S>;

    fn layer(&self, inner: S) -> Outgoing<S> {
        Outgoing {
            inner,
            user_agent: self.user_agent.clone(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Outgoing<S> {
    inner: S,
    user_agent: HeaderValue,
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
        // Layers further in have made another call, which knows of nothing.
        if !Call::of(&request).is_some_and(Call::has_recorder) {
            let error = "a layer has dropped the extensions of the request: keep them where a new request is made of it";
            let error = TransportError::not_sent(error.into()).permanent();
            return OutgoingFuture::Refused {
                error: Some(error.into()),
            };
        }
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert_with(|| self.user_agent.clone());
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
