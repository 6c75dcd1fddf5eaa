use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::{BoxError, Timeout, find_source};

/// Status and headers of a reply whose body did not arrive, or was not kept.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplyHead {
    /// The reply's status.
    pub status: StatusCode,
    /// The reply's headers.
    pub headers: HeaderMap,
}

impl ReplyHead {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, headers }
    }
}

impl fmt::Debug for ReplyHead {
    /// Names the headers without their values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyHead")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// How an attempt failed that was not the last one of its call.
///
/// ```
/// use idpflare_layers::{BoxError, Failure, TransportError};
///
/// let error: BoxError = TransportError::lost("connection reset".into()).into();
/// let failure = Failure::from(error);
/// assert!(matches!(failure, Failure::Error(error) if error.is::<TransportError>()));
///
/// let failure = Failure::from(&http::Response::new(()));
/// assert!(matches!(failure, Failure::Reply(head) if head.status == 200));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The server's reply said so.
    Reply(ReplyHead),
    /// There was no reply, or none that was complete.
    Error(Arc<dyn Error + Send + Sync>),
}

impl Failure {
    /// Whether all that is known is that time ran out.
    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Self::Reply(_) => false,
            Self::Error(error) => find_source::<Timeout>(&**error).is_some(),
        }
    }
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        Self::Error(error.into())
    }
}

impl<B> From<&http::Response<B>> for Failure {
    fn from(reply: &http::Response<B>) -> Self {
        Self::Reply(ReplyHead::new(reply.status(), reply.headers().clone()))
    }
}
