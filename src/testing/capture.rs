use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body::Body;
use http_body_util::Full;
use serde_json::Value;
use tower::Service;

use crate::Operation;

/// Keeps a copy of every request that passes it, to be looked at later. Its clones keep theirs in the
/// same place.
///
/// It goes around any service: the fake's, to see what arrives there, or a
/// [`CannedReply`](super::CannedReply), where nothing more is needed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// use http::StatusCode;
/// use idpflare_management::testing::{CannedReply, CaptureService};
/// use idpflare_management::{BlockUser, Client};
/// use serde_json::json;
///
/// let capture = CaptureService::new(CannedReply::new(StatusCode::NO_CONTENT));
/// let client = Client::from_service("https://idp.example.com", capture.clone())?;
/// client.send(BlockUser::new("usr_7").reason("reported")).await?;
///
/// let requests = capture.take();
/// assert_eq!(requests.len(), 1);
/// assert_eq!(requests[0].to_string(), "POST /api/v1/users/usr_7/block (blockUser)");
/// assert_eq!(requests[0].json(), Some(json!({"reason": "reported"})));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CaptureService<S> {
    inner: S,
    requests: Arc<Mutex<Vec<CapturedRequest>>>,
}

impl<S> CaptureService<S> {
    /// Goes around `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            requests: Arc::default(),
        }
    }

    /// The requests so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<CapturedRequest> {
        self.kept().clone()
    }

    /// The requests since the last time, in the order in which they came; they are not kept any
    /// longer.
    #[must_use]
    pub fn take(&self) -> Vec<CapturedRequest> {
        std::mem::take(&mut *self.kept())
    }

    fn kept(&self) -> MutexGuard<'_, Vec<CapturedRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for CaptureService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> S::Future {
        let captured = CapturedRequest::of(&request);
        self.kept().push(captured);
        self.inner.call(request)
    }
}

impl<S> fmt::Debug for CaptureService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureService")
            .field("requests", &*self.kept())
            .finish_non_exhaustive()
    }
}

/// A request that a [`CaptureService`] has kept.
///
/// Its text is one line: method, path and query, and the operation. Neither that nor its `Debug`
/// shows the value of a header, or the body.
#[derive(Clone)]
#[non_exhaustive]
pub struct CapturedRequest {
    /// All but the body. Among the extensions is what layers have put there.
    pub head: Parts,
    /// The body.
    pub body: Bytes,
}

impl CapturedRequest {
    pub(super) fn of(request: &Request<Full<Bytes>>) -> Self {
        let (head, mut body) = request.clone().into_parts();
        // Such a body has arrived as a whole, so nobody has to be woken.
        let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        let body = match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            _ => Bytes::new(),
        };
        Self { head, body }
    }

    /// The operation that it performs; `None` where nobody said.
    #[must_use]
    pub fn operation(&self) -> Option<&'static Operation> {
        self.head.extensions.get::<&'static Operation>().copied()
    }

    /// The body as JSON; `None` where it is not JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl fmt::Display for CapturedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.head.uri.path_and_query();
        let path = path.map_or("", |path| path.as_str());
        write!(f, "{} {path}", self.head.method)?;
        if let Some(operation) = self.operation() {
            write!(f, " ({})", operation.id)?;
        }
        Ok(())
    }
}

impl fmt::Debug for CapturedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedRequest")
            .field("method", &self.head.method)
            .field("path", &self.head.uri.path())
            .field("operation", &self.operation().map(|operation| operation.id))
            .field("headers", &self.head.headers.keys().collect::<Vec<_>>())
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}
