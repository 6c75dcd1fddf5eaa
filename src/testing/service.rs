use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::connection::{ConnectionLost, reset_error};
use crate::ReplyBody;
use crate::layers::{BoxError, TransportError};

/// A [`FakeIdpflare`](super::FakeIdpflare) as a Tower service: what goes below a client in place of
/// a transport. It takes requests with any body, to any authority, with the path `/api/v1/…`.
///
/// It is always ready, and cheap to clone. What is wrong with a request is said by the reply. An
/// error is what a [`FaultScript`](super::FaultScript) asks for: a [`TransportError`] where the
/// connection is lost before the reply.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::layers::BoxError> {
/// use bytes::Bytes;
/// use http_body_util::Empty;
/// use idpflare_management::testing::FakeIdpflare;
/// use tower::ServiceExt;
///
/// let request = http::Request::get("https://idp.example.com/api/v1/stats/users")
///     .body(Empty::<Bytes>::new())?;
/// let reply = FakeIdpflare::new().service().oneshot(request).await?;
/// assert_eq!(reply.status(), 401);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FakeService {
    router: Router,
}

impl FakeService {
    pub(super) fn new(router: Router) -> Self {
        Self { router }
    }
}

impl<B> Service<Request<B>> for FakeService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ReplyBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let reply = self.router.call(request);
        Box::pin(async move {
            let reply = reply.await?;
            if reply.extensions().get::<ConnectionLost>().is_some() {
                return Err(TransportError::lost(reset_error().into()).into());
            }
            Ok(reply.map(ReplyBody::streamed))
        })
    }
}

impl fmt::Debug for FakeService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeService").finish_non_exhaustive()
    }
}
