use std::error::Error;
use std::fmt;

use http::{HeaderMap, StatusCode};

use crate::BoxError;

/// A reply whose head arrived and whose body did not: it was larger than the limit, or broke off.
pub struct CollectError {
    head: Box<http::response::Parts>,
    reason: Reason,
}

pub(crate) enum Reason {
    TooLarge { limit: usize },
    Broken(BoxError),
}

impl CollectError {
    pub(crate) fn new(head: http::response::Parts, reason: Reason) -> Self {
        Self {
            head: Box::new(head),
            reason,
        }
    }

    /// The reply's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The reply's headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// What broke it off; `None` where the body was larger than the limit.
    #[must_use]
    pub fn into_source(self) -> Option<BoxError> {
        match self.reason {
            Reason::TooLarge { .. } => None,
            Reason::Broken(error) => Some(error),
        }
    }

    /// The limit, in bytes, where the body was larger; `None` where it broke off.
    #[must_use]
    pub fn exceeded_limit(&self) -> Option<usize> {
        match self.reason {
            Reason::TooLarge { limit } => Some(limit),
            Reason::Broken(_) => None,
        }
    }
}

impl fmt::Debug for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CollectError");
        debug.field("status", &self.head.status);
        match &self.reason {
            Reason::TooLarge { limit } => debug.field("limit", limit),
            Reason::Broken(error) => debug.field("source", error),
        };
        debug.finish()
    }
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::TooLarge { limit } => {
                write!(f, "the reply is larger than the limit of {limit} bytes")
            }
            Reason::Broken(_) => f.write_str("the reply broke off before its end"),
        }
    }
}

impl Error for CollectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::TooLarge { .. } => None,
            Reason::Broken(error) => Some(&**error),
        }
    }
}
