use std::error::Error;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode, Uri};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::key_handle::Lookup;
use crate::provided_key::Fetch;
use crate::{BoxError, Call, KeyHandle, Origin, ReplyHead};

/// Adds `Authorization: Bearer …` to the requests of one origin.
///
/// ```
/// use http::{Request, Response, Uri};
/// use idpflare_layers::{ApiKey, ApiKeyLayer, BoxError, KeyHandle, Origin};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let handle = KeyHandle::new(ApiKey::new("idk_example")?);
///     let origin = Origin::of(&Uri::from_static("https://api.example.com"))?;
///     let service = ApiKeyLayer::new(handle.clone(), origin).layer(service_fn(
///         async |request: Request<()>| {
///             assert_eq!(request.headers()["authorization"], "Bearer idk_example");
///             Ok::<_, BoxError>(Response::new(()))
///         },
///     ));
///
///     let here = Request::get("https://api.example.com/users").body(())?;
///     assert!(service.clone().oneshot(here).await.is_ok());
///
///     let elsewhere = Request::get("https://evil.example.net/users").body(())?;
///     let error = service.oneshot(elsewhere).await.expect_err("another origin");
///     assert_eq!(
///         error.to_string(),
///         "not sent: the API key is for https://api.example.com, the request for https://evil.example.net"
///     );
///     Ok(())
/// }
/// ```
///
/// The key is read for each request, so [`KeyHandle::rotate`] takes effect with the next attempt,
/// if this layer is inside of what repeats requests; outside, all attempts of a call have the key
/// that its first one had. An `Authorization` that the request already has is replaced.
///
/// A request to any other origin is not sent at all: it fails with [`OriginMismatch`], so that no
/// redirect and no mistake of a caller carries the key elsewhere. Layers inside of this one can still
/// change the origin: check it once more around the transport, with [`Origin::matches`].
///
/// Where the server answers 401 and the key has been rotated since the request went out, the reply
/// is marked with [`NewerCredential`]: [`RetryLayer`](crate::RetryLayer) sends it again then.
///
/// Where the key comes from a [`CredentialProvider`](crate::CredentialProvider) that has to be asked
/// first, the request waits in the future of the reply, for as long as its [`Call`] has, and then
/// fails with a [`Timeout`](crate::Timeout) of scope [`Call`](crate::TimeoutScope::Call); where the
/// provider fails, with its [`CredentialError`](crate::CredentialError). After a 401 the provider is
/// asked for another key; a failure then leaves the reply as it is. Moved outside of a timeout, the
/// wait is not covered by that.
///
/// Layers outside of this one never see the key.
#[derive(Clone, Debug)]
pub struct ApiKeyLayer {
    pinned: Arc<PinnedKey>,
}

/// One for all clones: there is one of the service for each call.
#[derive(Debug)]
struct PinnedKey {
    key: KeyHandle,
    origin: Origin,
}

impl ApiKeyLayer {
    /// The key, or the handle on it, and the only origin that it is sent to.
    #[must_use]
    pub fn new(key: impl Into<KeyHandle>, origin: Origin) -> Self {
        let key = key.into();
        Self {
            pinned: Arc::new(PinnedKey { key, origin }),
        }
    }
}

impl<S> Layer<S> for ApiKeyLayer {
    type Service = ApiKeyAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ApiKeyAuth {
            inner,
            pinned: Arc::clone(&self.pinned),
        }
    }
}

/// The service of [`ApiKeyLayer`].
#[derive(Clone, Debug)]
pub struct ApiKeyAuth<S> {
    inner: S,
    pinned: Arc<PinnedKey>,
}

impl<S, B, ResB> Service<http::Request<B>> for ApiKeyAuth<S>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ApiKeyFuture<S, http::Request<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let PinnedKey { key, origin } = &*self.pinned;
        if !origin.matches(request.uri()) {
            let mismatch = OriginMismatch::new(origin, request.uri());
            return ApiKeyFuture {
                state: State::Refused {
                    mismatch: Some(mismatch),
                },
                pinned: Arc::clone(&self.pinned),
                call: None,
            };
        }
        let call = Call::of(&request).cloned();
        let pinned = Arc::clone(&self.pinned);
        match key.lookup() {
            Lookup::Found(authorization) => {
                let headers = request.headers_mut();
                headers.insert(AUTHORIZATION, authorization.clone());
                ApiKeyFuture {
                    pinned,
                    call,
                    // Last, so that it is made where it stays.
                    state: State::Calling {
                        sent: authorization,
                        future: self.inner.call(request),
                    },
                }
            }
            Lookup::Ask(fetch) => {
                let clone = self.inner.clone();
                let asking = Box::new(Asking {
                    answer: Answer::of(fetch, call.clone()),
                    // The clone stays behind: the one that is ready is the one to call.
                    service: mem::replace(&mut self.inner, clone),
                    request: Some(request),
                });
                ApiKeyFuture {
                    pinned,
                    call,
                    state: State::Asking { asking },
                }
            }
        }
    }
}

pin_project! {
    /// The future of [`ApiKeyAuth`].
    pub struct ApiKeyFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R, S::Future, S::Response>,
        pinned: Arc<PinnedKey>,
        call: Option<Call>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, F, Reply> {
        // Boxed, as what most calls need no room for.
        Asking { asking: Box<Asking<S, R>> },
        Calling { #[pin] future: F, sent: HeaderValue },
        // The server has refused the key, and the provider is asked for another one.
        AskingAgain { asking: Box<AskingAgain<Reply>> },
        Refused { mismatch: Option<OriginMismatch> },
    }
}

struct Asking<S, R> {
    answer: Answer,
    service: S,
    request: Option<R>,
}

struct AskingAgain<Reply> {
    answer: Answer,
    sent: HeaderValue,
    reply: Option<Reply>,
    refusal: Refusal,
}

/// The head of a 401, which is left in the call where the wait for another key is given up.
struct Refusal {
    call: Option<Call>,
    head: Option<ReplyHead>,
}

impl Refusal {
    fn of<B>(reply: &http::Response<B>, call: Option<Call>) -> Self {
        let head = ReplyHead::new(reply.status(), reply.headers().clone());
        Self {
            call,
            head: Some(head),
        }
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        if let (Some(call), Some(head)) = (&self.call, self.head.take()) {
            call.set_interrupted_reply(Some(head));
        }
    }
}

/// What a provider is waited for, at most until the deadline of the call.
struct Answer(Pin<Box<dyn Future<Output = Result<HeaderValue, BoxError>> + Send>>);

impl Answer {
    fn of(fetch: Fetch, call: Option<Call>) -> Self {
        Self(Box::pin(async move {
            Ok(match call {
                Some(call) => call.before_deadline(fetch).await??,
                None => fetch.await?,
            })
        }))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<HeaderValue, BoxError>> {
        self.0.as_mut().poll(cx)
    }
}

impl<S, B, ResB> Future for ApiKeyFuture<S, http::Request<B>>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<http::Response<ResB>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Asking { asking } => {
                    let authorization = ready!(asking.answer.poll(cx))?;
                    let Some(mut request) = asking.request.take() else {
                        return Poll::Pending;
                    };
                    let headers = request.headers_mut();
                    headers.insert(AUTHORIZATION, authorization.clone());
                    State::Calling {
                        future: asking.service.call(request),
                        sent: authorization,
                    }
                }
                StateProjection::Calling { future, sent } => {
                    let mut reply = ready!(future.poll(cx)).map_err(Into::into)?;
                    if reply.status() != StatusCode::UNAUTHORIZED {
                        return Poll::Ready(Ok(reply));
                    }
                    let last = this.call.as_ref().is_some_and(|call| {
                        let limit = call.attempt_limit();
                        limit.is_some_and(|limit| call.attempts() >= limit)
                    });
                    match this.pinned.key.lookup_other_than(sent) {
                        None => return Poll::Ready(Ok(reply)),
                        // Nobody would send it.
                        Some(Lookup::Ask(_)) if last => return Poll::Ready(Ok(reply)),
                        Some(Lookup::Found(_)) => {
                            reply.extensions_mut().insert(NewerCredential::new());
                            return Poll::Ready(Ok(reply));
                        }
                        Some(Lookup::Ask(fetch)) => State::AskingAgain {
                            asking: Box::new(AskingAgain {
                                answer: Answer::of(fetch, this.call.clone()),
                                sent: sent.clone(),
                                refusal: Refusal::of(&reply, this.call.clone()),
                                reply: Some(reply),
                            }),
                        },
                    }
                }
                StateProjection::AskingAgain { asking } => {
                    let answer = ready!(asking.answer.poll(cx));
                    let Some(mut reply) = asking.reply.take() else {
                        return Poll::Pending;
                    };
                    asking.refusal.head = None;
                    if answer.is_ok_and(|key| key != asking.sent) {
                        reply.extensions_mut().insert(NewerCredential::new());
                    }
                    return Poll::Ready(Ok(reply));
                }
                StateProjection::Refused { mismatch } => {
                    return match mismatch.take() {
                        Some(mismatch) => Poll::Ready(Err(mismatch.into())),
                        None => Poll::Pending,
                    };
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for ApiKeyFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyFuture")
            .field("key", &self.pinned.key)
            .finish_non_exhaustive()
    }
}

/// A mark on a reply: the credential was refused (401), and a newer one is there to be sent.
///
/// A layer that adds a credential puts it into the extensions of the reply, and
/// [`RetryLayer`](crate::RetryLayer) then sends the request again, once and at once.
///
/// ```
/// use idpflare_layers::NewerCredential;
///
/// let mut reply = http::Response::new(());
/// *reply.status_mut() = http::StatusCode::UNAUTHORIZED;
/// reply.extensions_mut().insert(NewerCredential::new());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewerCredential {}

impl NewerCredential {
    /// The mark.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
}

/// A request for another origin than the API key's. It was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginMismatch {
    expected: String,
    found: String,
}

impl OriginMismatch {
    /// Creates the error for a request to `found` that only `expected` may get.
    #[must_use]
    pub fn new(expected: &Origin, found: &Uri) -> Self {
        let found = Origin::of(found).map_or_else(
            |_| String::from("a URL without an http or https origin"),
            |origin| origin.to_string(),
        );
        Self {
            expected: expected.to_string(),
            found,
        }
    }
}

impl fmt::Display for OriginMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(
            f,
            "not sent: the API key is for {expected}, the request for {found}"
        )
    }
}

impl Error for OriginMismatch {}
