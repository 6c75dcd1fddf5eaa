use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower::Service;

use super::EncodeReply;
use super::respond::error_body;

/// A reply that is known in advance: what a [`ReplayService`](super::ReplayService) answers with,
/// what an [`ErrorFixture`](super::ErrorFixture) is made of.
///
/// A status, an [`http::Response`], and a reference to the value of a successful reply convert to
/// one, and it converts to an [`http::Response`]. It is also a [`Service`], which gives the same reply
/// to every request:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// use http::StatusCode;
/// use idpflare_management::testing::CannedReply;
/// use idpflare_management::{Client, GetUser};
///
/// let busy = CannedReply::error(StatusCode::SERVICE_UNAVAILABLE, "Maintenance")
///     .header("retry-after", "120");
/// let client = Client::from_service("https://idp.example.com", busy)?;
/// let error = client.send(GetUser::new("usr_7")).await.expect_err("it is down");
/// assert_eq!(error.message(), "Maintenance");
/// assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(120));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a reply does nothing until it is given to something"]
pub struct CannedReply(Response<Bytes>);

impl CannedReply {
    /// A reply with this status, without headers and body.
    pub fn new(status: StatusCode) -> Self {
        let mut reply = Response::new(Bytes::new());
        *reply.status_mut() = status;
        Self(reply)
    }

    /// A refusal in the protocol's shape.
    pub fn error(status: StatusCode, message: &str) -> Self {
        Self::new(status).json(&error_body(status, message))
    }

    /// The same with this header, in place of one of the same name.
    ///
    /// # Panics
    ///
    /// Where the name or the value can't be sent.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let (name, value) = header(name, value);
        self.0.headers_mut().insert(name, value);
        self
    }

    /// The same with this body, as JSON.
    pub fn json(mut self, body: &Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.0.headers_mut().insert(CONTENT_TYPE, json);
        self.body(body.to_string())
    }

    /// The same with this body, whatever it is.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.0.body_mut() = body.into();
        self
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        self.0
    }
}

/// A header from what may be one.
#[track_caller]
#[expect(clippy::panic, reason = "only who writes a test gives headers")]
pub(super) fn header<N, V>(name: N, value: V) -> (HeaderName, HeaderValue)
where
    N: TryInto<HeaderName>,
    V: TryInto<HeaderValue>,
{
    let Ok(name) = name.try_into() else {
        panic!("the name of a header can't be sent");
    };
    let Ok(value) = value.try_into() else {
        panic!("the value of the header {name} can't be sent");
    };
    (name, value)
}

impl From<StatusCode> for CannedReply {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

impl<B: Into<Bytes>> From<Response<B>> for CannedReply {
    fn from(reply: Response<B>) -> Self {
        Self(reply.map(Into::into))
    }
}

impl<B: From<Bytes>> From<CannedReply> for Response<B> {
    fn from(reply: CannedReply) -> Self {
        reply.0.map(B::from)
    }
}

impl<T: EncodeReply> From<&T> for CannedReply {
    fn from(value: &T) -> Self {
        value.encode()
    }
}

impl<B> Service<Request<B>> for CannedReply {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(self.0.clone().map(Full::new)))
    }
}

impl fmt::Debug for CannedReply {
    /// Names the headers without their values, and shows nothing of the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CannedReply")
            .field("status", &self.0.status())
            .field("headers", &self.0.headers().keys().collect::<Vec<_>>())
            .field("body_length", &self.0.body().len())
            .finish()
    }
}
