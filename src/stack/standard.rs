//! The standard stack, as one static type and as data.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{
    ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, BoxError, CallSpanLayer, CollectLayer,
    DeadlineLayer, DeliveryLayer, KeyHandle, Origin, RateLimitLayer, RateLimiter, RetryLayer,
    RetryPolicy,
};
use tower::{Service, ServiceBuilder};
use tower_http::set_header::request::SetMultipleRequestHeadersLayer;

use super::{BoxService, Stack};

/// What the layers of the standard stack are made of.
pub(crate) struct Settings {
    pub(crate) deadline: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) attempt_timeout: Duration,
    pub(crate) key: KeyHandle,
    pub(crate) origin: Origin,
    pub(crate) user_agent: HeaderValue,
    pub(crate) max_reply_bytes: usize,
}

impl Settings {
    /// The standard stack over `transport`, outermost layer first. It is one static type, boxed
    /// once.
    pub(crate) fn build<T, B>(&self, transport: T) -> BoxService
    where
        T: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        BoxService::new(
            ServiceBuilder::new()
                .layer(CallSpanLayer::new())
                .layer(self.deadline())
                .layer(self.retry())
                .layer(self.rate_limit())
                .layer(self.attempt_timeout())
                .layer(AttemptSpanLayer::new())
                .layer(self.auth())
                .layer(self.collect())
                .layer(self.below())
                .service(transport),
        )
    }

    /// The same as data, to be changed.
    pub(crate) fn stack(&self) -> Stack {
        Stack { slots: Vec::new() }
            .with(Stack::CALL_SPAN, CallSpanLayer::new())
            .with(Stack::DEADLINE, self.deadline())
            .with(Stack::RETRY, self.retry())
            .with(Stack::RATE_LIMIT, self.rate_limit())
            .with(Stack::ATTEMPT_TIMEOUT, self.attempt_timeout())
            .with(Stack::ATTEMPT_SPAN, AttemptSpanLayer::new())
            .with(Stack::AUTH, self.auth())
            .with(Stack::COLLECT, self.collect())
    }

    fn deadline(&self) -> DeadlineLayer {
        DeadlineLayer::new(self.deadline)
    }

    fn retry(&self) -> RetryLayer {
        RetryLayer::new(self.retry.clone())
    }

    fn rate_limit(&self) -> RateLimitLayer {
        RateLimitLayer::new(self.rate_limiter.clone())
    }

    fn attempt_timeout(&self) -> AttemptTimeoutLayer {
        AttemptTimeoutLayer::new(self.attempt_timeout)
    }

    fn auth(&self) -> ApiKeyLayer {
        ApiKeyLayer::new(self.key.clone(), self.origin.clone())
    }

    fn collect(&self) -> CollectLayer {
        CollectLayer::new(self.max_reply_bytes)
    }

    /// What belongs to the transport, so that no attempt goes around it, whatever the order of the
    /// slots.
    pub(crate) fn below(&self) -> (FixedHeaders, DeliveryLayer) {
        let headers = SetMultipleRequestHeadersLayer::if_not_present(vec![
            (USER_AGENT, self.user_agent.clone()).into(),
            (ACCEPT, HeaderValue::from_static("application/json")).into(),
        ]);
        (headers, DeliveryLayer::new())
    }
}

type FixedHeaders = SetMultipleRequestHeadersLayer<Request<Full<Bytes>>>;
