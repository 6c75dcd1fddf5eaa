//! What the services below a client fail with, as an [`Error`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use idpflare_layers::{
    BoxError, Call, CollectError, CredentialError, Failure, Operation, OriginMismatch, RateLimited,
    Timeout, TransportError, TransportPhase, find_source,
};

use super::message::status_line;
use super::{Error, ErrorKind};
use crate::one_line::one_line;

impl Error {
    /// The error of a call whose service failed with `error`. The typed errors of the layers are
    /// found wherever a user's layer may have wrapped them.
    pub(crate) fn service(
        operation: &'static Operation,
        call: &Call,
        error: impl Into<BoxError>,
    ) -> Self {
        let error = error.into();
        let this = if let Some(collect) = find_source::<CollectError>(&*error) {
            Self::interrupted(collect)
        } else if let Some(timeout) = find_source::<Timeout>(&*error) {
            Self::timed_out(timeout, call)
        } else if let Some(transport) = find_source::<TransportError>(&*error) {
            Self::transport(transport)
        } else if let Some(limited) = find_source::<RateLimited>(&*error) {
            let mut this = Self::new(ErrorKind::RateLimited, limited.to_string());
            this.0.retry_after = Some(limited.retry_after());
            this.with_earlier(call)
        } else if let Some(mismatch) = find_source::<OriginMismatch>(&*error) {
            let mut this = Self::new(ErrorKind::Credential, mismatch.to_string());
            this.0.permanent = true;
            this
        } else if find_source::<CredentialError>(&*error).is_some() {
            let text = "not sent: there is no credential to send it with";
            let this = Self::new(ErrorKind::Credential, text);
            // Earlier attempts have mostly failed in the same way, which the source tells.
            match call.last_failure() {
                Some(Failure::Reply(_)) => this.with_earlier(call),
                _ => this,
            }
        } else {
            Self::new(ErrorKind::Service, "a service or layer failed")
        };
        let this = this.after(operation, call);
        match cause(error) {
            Some(cause) if this.0.source.is_none() => this.with_source(cause),
            _ => this,
        }
    }

    fn interrupted(error: &CollectError) -> Self {
        let kind = match error.exceeded_limit() {
            Some(_) => ErrorKind::TooLarge,
            None => ErrorKind::Truncated,
        };
        Self::new(kind, error.to_string()).with_head(error.status(), error.headers().clone())
    }

    fn timed_out(timeout: &Timeout, call: &Call) -> Self {
        let mut this = Self::new(ErrorKind::Timeout, timeout.to_string());
        this.0.timeout = Some(timeout.clone());
        let this = this.with_earlier(call);
        match call.interrupted_reply() {
            Some(head) => this.with_head(head.status, head.headers),
            None => this,
        }
    }

    /// Tells what an earlier attempt met, where that says more of what is wrong than that the last
    /// one was not made or ran out of time.
    fn with_earlier(mut self, call: &Call) -> Self {
        match call.last_failure() {
            Some(Failure::Reply(head)) => {
                self.0.earlier = Some(status_line(head.status));
                self.with_head(head.status, head.headers)
            }
            Some(Failure::Error(error)) => {
                self.0.earlier = Some(one_line(&error.to_string()));
                self.with_source(Earlier(error))
            }
            _ => self,
        }
    }

    fn transport(error: &TransportError) -> Self {
        let mut this = match error.phase() {
            TransportPhase::Connect => Self::new(ErrorKind::Connect, "could not connect"),
            _ => Self::new(ErrorKind::Transport, "the exchange with the server failed"),
        };
        this.0.permanent = error.is_permanent();
        this
    }

    fn with_head(self, status: http::StatusCode, headers: http::HeaderMap) -> Self {
        let mut reply = http::Response::new(Bytes::new());
        *reply.status_mut() = status;
        *reply.headers_mut() = headers;
        self.with_reply(reply)
    }
}

/// What an earlier attempt failed with, as a source.
#[derive(Debug)]
struct Earlier(Arc<dyn StdError + Send + Sync>);

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an earlier attempt failed: {}", self.0)
    }
}

impl StdError for Earlier {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// What is left to tell, once the error's own text has said what `error` says.
fn cause(error: BoxError) -> Option<BoxError> {
    if error.is::<Timeout>() || error.is::<OriginMismatch>() || error.is::<RateLimited>() {
        return None;
    }
    let error = match error.downcast::<TransportError>() {
        Ok(transport) => return Some(transport.into_source()),
        Err(error) => error,
    };
    match error.downcast::<CollectError>() {
        Ok(collect) => collect.into_source(),
        Err(error) => Some(error),
    }
}
