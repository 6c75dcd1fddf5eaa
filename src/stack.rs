//! The order of the layers between a client and its transport.

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
/// transport.
pub type BoxService = BoxCloneSyncService<Request<Full<Bytes>>, Response<ReplyBody>, BoxError>;

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
    BoxCloneSyncService::new(service)
}
