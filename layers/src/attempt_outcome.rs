use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use http::{Extensions, HeaderMap, StatusCode};

use crate::{BoxError, CollectError, Delivery, Timeout, find_source, retry_after};

/// What one attempt came to: a reply, whose body is not looked at, or an error.
///
/// ```
/// use idpflare_layers::{AttemptOutcome, BoxError};
///
/// let mut reply = http::Response::new(());
/// *reply.status_mut() = http::StatusCode::BAD_GATEWAY;
/// let attempt: Result<_, BoxError> = Ok(reply);
/// assert_eq!(AttemptOutcome::of(&attempt).status(), Some(http::StatusCode::BAD_GATEWAY));
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum AttemptOutcome<'a> {
    /// The head of a reply.
    #[non_exhaustive]
    Reply {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: &'a HeaderMap,
        /// What layers below have added.
        extensions: &'a Extensions,
    },
    /// There was no reply, or none that was complete. Look into it with [`find_source`].
    Error(&'a (dyn Error + 'static)),
}

impl<'a> AttemptOutcome<'a> {
    /// The outcome that `attempt` is.
    #[must_use]
    pub fn of<B>(attempt: &'a Result<http::Response<B>, BoxError>) -> Self {
        match attempt {
            Ok(reply) => Self::Reply {
                status: reply.status(),
                headers: reply.headers(),
                extensions: reply.extensions(),
            },
            Err(error) => Self::Error(&**error),
        }
    }

    /// The status of the reply, also of one whose body broke off.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Reply { status, .. } => Some(*status),
            Self::Error(_) => self.collect_error().map(CollectError::status),
        }
    }

    /// The headers of the reply, also of one whose body broke off.
    #[must_use]
    pub fn headers(&self) -> Option<&'a HeaderMap> {
        match self {
            Self::Reply { headers, .. } => Some(headers),
            Self::Error(_) => self.collect_error().map(CollectError::headers),
        }
    }

    /// The error, where there was no complete reply.
    #[must_use]
    pub fn error(&self) -> Option<&'a (dyn Error + 'static)> {
        match self {
            Self::Reply { .. } => None,
            Self::Error(error) => Some(*error),
        }
    }

    /// What the layers below have added to the reply.
    #[must_use]
    pub fn extensions(&self) -> Option<&'a Extensions> {
        match self {
            Self::Reply { extensions, .. } => Some(extensions),
            Self::Error(_) => None,
        }
    }

    /// Whether the server may have acted.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Reply { status, .. } => Delivery::of_status(*status),
            Self::Error(error) => Delivery::of_error(*error),
        }
    }

    /// How long the server asks to wait: see [`retry_after()`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.headers()?)
    }

    /// Whether time ran out: a [`Timeout`], or the operating system's.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.error().is_some_and(|error| {
            find_source::<Timeout>(error).is_some()
                || find_source::<io::Error>(error)
                    .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        })
    }

    pub(crate) fn collect_error(&self) -> Option<&'a CollectError> {
        find_source(self.error()?)
    }
}

impl fmt::Debug for AttemptOutcome<'_> {
    /// Leaves out headers and extensions, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { status, .. } => f.debug_tuple("Reply").field(status).finish(),
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
        }
    }
}
