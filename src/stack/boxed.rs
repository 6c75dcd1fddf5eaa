use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::BoxCloneSyncService;

use crate::ReplyBody;

/// The service below a [`Client`](crate::Client) that a builder made: a stack of any shape over any
/// transport, with its type erased.
#[derive(Clone)]
pub struct BoxService(BoxCloneSyncService<Request<Full<Bytes>>, Response<ReplyBody>, BoxError>);

impl BoxService {
    /// Erases the type of `service`, and of the bodies and errors that it returns.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(BoxCloneSyncService::new(Uniform(service)))
    }
}

/// Returns what [`BoxService`] does, in one step: each adapter would move the future of the whole stack
/// once more before it is boxed.
#[derive(Clone)]
struct Uniform<S>(S);

impl<S, B> Service<Request<Full<Bytes>>> for Uniform<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ReplyBody>;
    type Error = BoxError;
    type Future = UniformFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        UniformFuture {
            future: self.0.call(request),
        }
    }
}

pin_project! {
    struct UniformFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F, B, E> Future for UniformFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ReplyBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.project().future.poll(cx));
        Poll::Ready(match outcome {
            Ok(reply) => Ok(reply.map(ReplyBody::of)),
            Err(error) => Err(error.into()),
        })
    }
}

impl Service<Request<Full<Bytes>>> for BoxService {
    type Response = Response<ReplyBody>;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> BoxFuture {
        self.0.call(request)
    }
}

impl fmt::Debug for BoxService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxService").finish_non_exhaustive()
    }
}

type BoxFuture = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, BoxError>> + Send>>;
