//! What the services below a client fail with, as an [`Error`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use idpflare_layers::{
    BoxError, Call, CollectError, Failure, Operation, OriginMismatch, RateLimited, Timeout,
    TransportError, TransportPhase, find_source,
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
            this
        } else if let Some(mismatch) = find_source::<OriginMismatch>(&*error) {
            Self::new(ErrorKind::Credential, mismatch.to_string())
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
        if let Some(head) = call.interrupted_reply() {
            return this.with_head(head.status, head.headers);
        }
        // A limit of time says little of what was wrong, so what an earlier attempt met is told.
        match call.last_failure() {
            Some(Failure::Reply(head)) => {
                this.0.earlier = Some(status_line(head.status));
                this.with_head(head.status, head.headers)
            }
            Some(Failure::Error(error)) => {
                this.0.earlier = Some(one_line(&error.to_string()));
                this.with_source(Earlier(error))
            }
            _ => this,
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
