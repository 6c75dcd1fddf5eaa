//! Tower layers for HTTP clients.
//!
//! Each layer stands alone in any stack whose requests are [`http::Request`]s, whatever their body
//! type, and none of them knows what API it serves. What a layer needs to know about a request it
//! reads from the request's [`http::Extensions`], never from its own position in the stack:
//!
//! - [`&'static Operation`](Operation): which operation the request performs, whether repeating it
//!   is safe, which scope it needs. Optional; put there by the API client that built the request.
//! - [`Call`]: what all attempts of one call share: the absolute deadline, how often something was
//!   sent and may be, whether the server may have acted, and how the last attempt failed. The outermost layer of this crate inserts it
//!   where the client did not.
//!
//! | layer | what it does | default |
//! |---|---|---|
//! | [`CallSpanLayer`] | a span around the whole call, named after the operation | – |
//! | [`MetricsLayer`] | counts and times calls or attempts, for a [`Recorder`] of your choice | none: the recorder is an argument |
//! | [`DeadlineLayer`] | bounds the whole call, readiness and all attempts included | none: the limit is an argument |
//! | [`RetryLayer`] | sends a request again where that is safe and may help | 3 attempts, see [`RetryPolicy`] |
//! | [`RateLimitLayer`] | keeps requests within a rate that clones share, in order, and pauses when the server asks for it | none: the limiter is an argument |
//! | [`AttemptTimeoutLayer`] | bounds one attempt, by its limit or the time the call has left | none: the limit is an argument |
//! | [`AttemptSpanLayer`] | a span around each attempt, as OpenTelemetry's conventions have it | values of queries are redacted |
//! | [`ApiKeyLayer`] | adds `Authorization: Bearer …` for one origin, refuses every other | – |
//! | [`CollectLayer`] | reads the reply's body into memory, up to a limit | none: the limit is an argument |
//! | [`DeliveryLayer`] | records every send, and what is known of it, in the [`Call`] | – |
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use idpflare_layers::{
//!     ApiKey, ApiKeyLayer, AttemptTimeoutLayer, BoxError, CollectLayer, DeadlineLayer,
//!     DeliveryLayer, Origin, RetryLayer,
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let origin = Origin::of(&http::Uri::from_static("https://api.example.com"))?;
//! let transport = service_fn(async |request: http::Request<Full<Bytes>>| {
//!     assert!(request.headers()["authorization"].is_sensitive());
//!     Ok::<_, BoxError>(http::Response::new(Full::new(Bytes::from("hello"))))
//! });
//!
//! let service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(30)))
//!     .layer(RetryLayer::default())
//!     .layer(AttemptTimeoutLayer::new(Duration::from_secs(10)))
//!     .layer(ApiKeyLayer::new(ApiKey::new("idk_example")?, origin))
//!     .layer(CollectLayer::new(1024 * 1024))
//!     .layer(DeliveryLayer::new())
//!     .service(transport);
//!
//! let request = http::Request::get("https://api.example.com/greeting").body(Full::default())?;
//! let reply = service.oneshot(request).await?;
//! assert_eq!(reply.status(), 200);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api_key;
mod attempt_outcome;
mod attempt_span;
mod attempt_timeout;
mod auth;
mod backoff;
mod before_deadline;
mod call;
mod call_limit;
mod call_span;
mod collect;
mod collect_error;
mod connecting;
mod conventions;
mod credential;
mod deadline;
mod delivery;
mod error;
mod failure;
mod found_rate;
mod gcra;
mod key_handle;
mod limiter;
mod limiter_builder;
mod metrics;
mod observed;
mod operation;
mod origin;
mod outcome;
mod permit;
mod permit_wait;
mod permits;
mod provided_key;
mod queue;
mod quota;
mod rate;
mod rate_limit;
mod rate_limit_headers;
mod rate_limited;
mod redact;
mod refusal;
mod request_copy;
mod retry;
mod retry_after;
mod retry_budget;
mod retry_class;
mod retry_decision;
mod retry_override;
mod retry_policy;
mod retry_progress;
mod schedule;
mod source;
mod span_future;
mod status;
mod timeout;
#[cfg(feature = "opentelemetry")]
mod trace_context;
mod transport_error;
mod unsent;
mod wakes;

#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use self::metrics::FacadeRecorder;
#[cfg(feature = "opentelemetry")]
#[cfg_attr(docsrs, doc(cfg(feature = "opentelemetry")))]
pub use self::metrics::OpenTelemetryRecorder;
pub use self::metrics::{
    AttemptFinished, CallFinished, DURATION_BUCKETS, Metrics, MetricsFuture, MetricsLayer,
    QuotaAsked, QuotaQuestion, Recorder, Subject,
};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::quota::{QuotaKey, RedisQuota};
pub use api_key::{ApiKey, InvalidApiKey};
pub use attempt_outcome::AttemptOutcome;
pub use attempt_span::{AttemptSpan, AttemptSpanLayer};
pub use attempt_timeout::{AttemptTimeout, AttemptTimeoutFuture, AttemptTimeoutLayer};
pub use auth::{ApiKeyAuth, ApiKeyFuture, ApiKeyLayer, NewerCredential, OriginMismatch};
pub use backoff::{Backoff, InvalidBackoff};
pub use call::Call;
pub use call_limit::CallLimit;
pub use call_span::{CallSpan, CallSpanLayer};
pub use collect::{Collect, CollectFuture, CollectLayer, collect};
pub use collect_error::CollectError;
pub use connecting::Connecting;
pub use credential::{Credential, CredentialError, CredentialProvider};
pub use deadline::{Deadline, DeadlineFuture, DeadlineLayer};
pub use delivery::{Delivery, DeliveryFuture, DeliveryLayer, RecordDelivery};
pub use error::{BoxError, find_source};
pub use failure::{Failure, ReplyHead};
pub use key_handle::KeyHandle;
pub use limiter::RateLimiter;
pub use limiter_builder::RateLimiterBuilder;
pub use operation::{Operation, Safety};
pub use origin::{InvalidOrigin, Origin};
pub use outcome::{ErrorType, Outcome};
pub use quota::{
    InvalidQuota, Lease, LeaseRequest, LocalQuota, QuotaBackend, QuotaError, QuotaFailure,
    QuotaNotice, SharedQuota, WhenAway,
};
pub use rate::{InvalidRate, Rate};
pub use rate_limit::{RateLimit, RateLimitFuture, RateLimitLayer};
pub use rate_limited::RateLimited;
pub use refusal::is_refusal;
pub use retry::{Retry, RetryFuture, RetryLayer};
pub use retry_after::{reply_date, retry_after};
pub use retry_budget::RetryBudget;
pub use retry_class::RetryClass;
pub use retry_decision::{RetryDecision, RetryStop};
pub use retry_override::RetryOverride;
pub use retry_policy::RetryPolicy;
pub use span_future::SpanFuture;
pub use status::is_transient;
pub use timeout::{Timeout, TimeoutScope};
pub use transport_error::{TransportError, TransportPhase};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
