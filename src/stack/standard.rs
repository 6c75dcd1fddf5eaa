//! The standard stack, as one static type and as data.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{
    ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, BoxError, CallSpanLayer, CollectLayer,
    DeadlineLayer, DeliveryLayer, KeyHandle, Origin, RateLimitLayer, RateLimiter, RetryLayer,
    RetryPolicy,
};
use tower::{Layer, Service};

use super::outgoing::OutgoingLayer;
use super::{BoxService, Stack, StackLayer};

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
        BoxService::new((self.layers(), self.below()).layer(transport))
    }

    /// The same as data, to be changed.
    pub(crate) fn stack(&self) -> Stack {
        let (call_span, deadline, retry, rate_limit, timeout, attempt_span, auth, collect) =
            self.layers();
        let layers: [Arc<dyn StackLayer>; SLOTS.len()] = [
            Arc::new(call_span),
            Arc::new(deadline),
            Arc::new(retry),
            Arc::new(rate_limit),
            Arc::new(timeout),
            Arc::new(attempt_span),
            Arc::new(auth),
            Arc::new(collect),
        ];
        Stack::of(SLOTS.into_iter().zip(layers), self.deadline)
    }

    /// The layers of [`SLOTS`], in one place for both.
    fn layers(&self) -> Layers {
        (
            CallSpanLayer::new(),
            DeadlineLayer::new(self.deadline),
            RetryLayer::new(self.retry.clone()),
            RateLimitLayer::new(self.rate_limiter.clone()),
            AttemptTimeoutLayer::new(self.attempt_timeout),
            AttemptSpanLayer::new(),
            ApiKeyLayer::new(self.key.clone(), self.origin.clone()),
            CollectLayer::new(self.max_reply_bytes),
        )
    }

    /// What belongs to the transport, so that no attempt goes around it, whatever the order of the
    /// slots.
    pub(crate) fn below(&self) -> (OutgoingLayer, DeliveryLayer) {
        let outgoing = OutgoingLayer::new(self.user_agent.clone(), self.origin.clone());
        (outgoing, DeliveryLayer::new())
    }
}

/// Outermost first.
const SLOTS: [&str; 8] = [
    Stack::CALL_SPAN,
    Stack::DEADLINE,
    Stack::RETRY,
    Stack::RATE_LIMIT,
    Stack::ATTEMPT_TIMEOUT,
    Stack::ATTEMPT_SPAN,
    Stack::AUTH,
    Stack::COLLECT,
];

type Layers = (
    CallSpanLayer,
    DeadlineLayer,
    RetryLayer,
    RateLimitLayer,
    AttemptTimeoutLayer,
    AttemptSpanLayer,
    ApiKeyLayer,
    CollectLayer,
);
