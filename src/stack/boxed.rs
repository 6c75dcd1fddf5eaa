use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

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
        Self(BoxCloneSyncService::new(
            ServiceBuilder::new()
                .map_response(|reply: Response<B>| reply.map(ReplyBody::of))
                .map_err(Into::into)
                .service(service),
        ))
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
