//! The order of the layers between a client and its transport.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{
    ApiKeyLayer, AttemptTimeoutLayer, BoxError, CollectLayer, DeadlineLayer, DeliveryLayer,
    KeyHandle, Origin,
};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};
use tower_http::set_header::request::SetMultipleRequestHeadersLayer;

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
                .map_response(|reply: Response<B>| reply.map(ReplyBody::streamed))
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

/// What the layers of the standard stack need to know.
pub(crate) struct Settings {
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) key: KeyHandle,
    pub(crate) origin: Origin,
    pub(crate) user_agent: HeaderValue,
    pub(crate) max_reply_bytes: usize,
}

/// The standard stack over `transport`, outermost layer first. It is one static type, boxed once.
pub(crate) fn standard<T, B>(settings: Settings, transport: T) -> BoxService
where
    T: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    let fixed_headers = SetMultipleRequestHeadersLayer::if_not_present(vec![
        (USER_AGENT, settings.user_agent).into(),
        (ACCEPT, HeaderValue::from_static("application/json")).into(),
    ]);
    let service = ServiceBuilder::new()
        .map_response(|reply: Response<Full<Bytes>>| reply.map(ReplyBody::from))
        .layer(DeadlineLayer::new(settings.deadline))
        .layer(AttemptTimeoutLayer::new(settings.attempt_timeout))
        .layer(ApiKeyLayer::new(settings.key, settings.origin))
        .layer(CollectLayer::new(settings.max_reply_bytes))
        // What is below belongs to the transport: no attempt goes around it.
        .layer(fixed_headers)
        .layer(DeliveryLayer::new())
        .service(transport);
    BoxService(BoxCloneSyncService::new(service))
}
