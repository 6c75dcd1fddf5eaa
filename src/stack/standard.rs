//! The standard stack, as one static type and as data.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{
    ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, BoxError, Call, CallSpanLayer,
    CollectLayer, DeadlineLayer, DeliveryLayer, KeyHandle, Origin, RateLimitLayer, RateLimiter,
    RetryLayer, RetryPolicy, TransportError,
};
use tower::filter::{FilterLayer, Predicate};
use tower::{Layer, Service};

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
    pub(crate) fn below(&self) -> (FilterLayer<Outgoing>, DeliveryLayer) {
        let user_agent = self.user_agent.clone();
        let outgoing = Outgoing { user_agent };
        (FilterLayer::new(outgoing), DeliveryLayer::new())
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

/// Gives a request the headers that all have, where it has no others of these names.
///
/// One that has lost the [`Call`] of the client is refused: what was sent could not be counted any
/// more, and a create would be sent again as one that never was.
///
/// A step for each of these would move the request once more, which takes as long as the step.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    user_agent: HeaderValue,
}

impl Predicate<Request<Full<Bytes>>> for Outgoing {
    type Request = Request<Full<Bytes>>;

    fn check(&mut self, mut request: Self::Request) -> Result<Self::Request, BoxError> {
        // Layers further in have made another call, which knows of nothing.
        if !Call::of(&request).is_some_and(Call::has_recorder) {
            let error = "a layer has dropped the extensions of the request: keep them where a new request is made of it";
            return Err(TransportError::not_sent(error.into()).permanent().into());
        }
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert_with(|| self.user_agent.clone());
        headers
            .entry(ACCEPT)
            .or_insert_with(|| HeaderValue::from_static("application/json"));
        Ok(request)
    }
}
