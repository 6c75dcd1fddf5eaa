//! What can go wrong, in one type.

mod from_service;
mod kind;
mod message;

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use idpflare_layers::{BoxError, Call, Delivery, Operation, Safety, Timeout, is_transient};

pub use kind::ErrorKind;

use crate::one_line::one_line;
use crate::{DecodeError, EncodeError};

/// Why a client could not be made, or an operation did not succeed.
///
/// Its text is one line; what caused it, where that is another error, is its
/// [`source`](StdError::source). Nothing that the server said is lost: see
/// [`status`](Self::status), [`headers`](Self::headers) and [`raw_body`](Self::raw_body). Neither
/// `Display` nor `Debug` shows a body or a credential, and of the headers no more than the request
/// id, the origin of a redirect, and the type and coding of what is not JSON.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # use idpflare_management::{testing::FakeIdpflare, Scope};
/// # let client = FakeIdpflare::new().client_with_scopes([Scope::UsersRead]);
/// use idpflare_management::{DeleteUser, ErrorKind};
///
/// let error = client.send(DeleteUser::new("usr_7")).await.expect_err("no such right");
/// assert_eq!(error.kind(), ErrorKind::Api);
/// assert_eq!(error.status().map(|status| status.as_u16()), Some(403));
/// assert_eq!(error.required_scope(), Some("users:delete"));
/// assert!(error.to_string().starts_with(
///     "deleteUser failed: 403 Forbidden: Insufficient scope (needs users:delete; request "
/// ));
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    /// What happened, in words that no source repeats.
    message: String,
    operation: Option<&'static Operation>,
    attempts: u32,
    delivery: Delivery,
    reply: Option<Reply>,
    timeout: Option<Timeout>,
    /// How an earlier attempt failed, where the last one was not made or only ran out of time.
    earlier: Option<String>,
    decode: Option<DecodeError>,
    /// What the client's own rate limit asks for.
    retry_after: Option<Duration>,
    /// Whether another attempt would fail for the same reason, whatever the kind says.
    permanent: bool,
    /// What a repeat does, where the caller knows better than the operation.
    safety: Option<Safety>,
    source: Option<BoxError>,
}

/// What arrived of the last reply.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            operation: None,
            attempts: 0,
            delivery: Delivery::NotSent,
            reply: None,
            timeout: None,
            earlier: None,
            decode: None,
            retry_after: None,
            permanent: false,
            safety: None,
            source: None,
        }))
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The error of an option that can't be sent, before there is an operation to send it with.
    pub(crate) fn option(error: &EncodeError) -> Self {
        Self::new(ErrorKind::Encode, error.to_string())
    }

    pub(crate) fn encode(operation: &'static Operation, error: &EncodeError) -> Self {
        let mut this = Self::new(ErrorKind::Encode, error.to_string());
        this.0.operation = Some(operation);
        this
    }

    pub(crate) fn decode(
        operation: &'static Operation,
        call: &Call,
        reply: http::Response<Bytes>,
        error: DecodeError,
    ) -> Self {
        let message = format!("the body is not what the protocol says: {error}");
        let mut this = Self::new(ErrorKind::Decode, message)
            .after(operation, call)
            .with_reply(reply);
        this.0.decode = Some(error);
        this
    }

    /// The error of a listing that gets nowhere.
    pub(crate) fn no_progress(operation: &'static Operation, call: &Call, message: String) -> Self {
        Self::new(ErrorKind::NoProgress, message).after(operation, call)
    }

    /// The error that a reply outside of 2xx is.
    pub(crate) fn reply(
        operation: &'static Operation,
        call: &Call,
        reply: http::Response<Bytes>,
    ) -> Self {
        let kind = if reply.status().is_redirection() {
            ErrorKind::Redirect
        } else {
            ErrorKind::Api
        };
        let message = message::of(reply.status(), reply.body());
        Self::new(kind, message)
            .after(operation, call)
            .with_reply(reply)
    }

    /// Takes over what is known of the call that failed.
    fn after(mut self, operation: &'static Operation, call: &Call) -> Self {
        self.0.operation = Some(operation);
        self.0.attempts = call.attempts();
        self.0.delivery = call.delivery();
        self
    }

    /// Takes over what the caller said of a repeat.
    pub(crate) fn with_safety(mut self, safety: Safety) -> Self {
        self.0.safety = Some(safety);
        self
    }

    fn safety(&self) -> Option<Safety> {
        let of_operation = || self.0.operation.map(|operation| operation.safety);
        self.0.safety.or_else(of_operation)
    }

    fn with_reply(mut self, reply: http::Response<Bytes>) -> Self {
        let (head, body) = reply.into_parts();
        self.0.reply = Some(Reply {
            status: head.status,
            headers: head.headers,
            body,
        });
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Which operation failed; `None` where a client or an option could not be made.
    #[must_use]
    pub fn operation(&self) -> Option<&'static Operation> {
        self.0.operation
    }

    /// How many times the request was handed to the transport, whether or not that could send it.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Whether the server may have acted: the worst over all attempts.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// The status of the last reply, where one arrived. Where the last attempt was not made or ran
    /// out of time, it is that of an earlier one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.reply.as_ref().map(|reply| reply.status)
    }

    /// The headers of the last reply, where one arrived.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.reply.as_ref().map(|reply| &reply.headers)
    }

    /// The body of the last reply, as it arrived; empty where none did, and where a
    /// [lenient pager](crate::Pager::lenient) tells of one row, which
    /// [`DecodeError::raw_row`] has. It may hold a secret.
    #[must_use]
    pub fn raw_body(&self) -> &[u8] {
        self.0.reply.as_ref().map_or(&[], |reply| &reply.body)
    }

    /// What went wrong, in words. For an answer of the server these are the server's own, or
    /// `Request failed with status N` where it has none.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What identifies the request at Cloudflare: the reply's `cf-ray`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.headers()?.get("cf-ray")?.to_str().ok()
    }

    /// How long the server asks to wait (RFC 9110, section 10.2.3), or the client's own rate limit.
    ///
    /// It is as long as the server says, up to [`Duration::MAX`]: bound it, and add it to a time only by
    /// `checked_add`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0
            .retry_after
            .or_else(|| idpflare_layers::retry_after(self.headers()?))
    }

    /// The scope that the operation needs, where the server refused it with 403.
    #[must_use]
    pub fn required_scope(&self) -> Option<&'static str> {
        (self.status()? == StatusCode::FORBIDDEN)
            .then_some(self.0.operation?.scope)
            .flatten()
    }

    /// Which limit of time ran out, where the kind is [`Timeout`](ErrorKind::Timeout).
    #[must_use]
    pub fn timeout(&self) -> Option<&Timeout> {
        self.0.timeout.as_ref()
    }

    /// Where in the body the fault is, where the kind is [`Decode`](ErrorKind::Decode).
    #[must_use]
    pub fn decode_error(&self) -> Option<&DecodeError> {
        self.0.decode.as_ref()
    }

    /// Whether it makes sense and is safe to send the operation again: the fault is likely to pass,
    /// and a repeat can't act twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let transient = !self.0.permanent
            && match self.0.kind {
                ErrorKind::Connect
                | ErrorKind::Transport
                | ErrorKind::Timeout
                | ErrorKind::RateLimited
                | ErrorKind::Credential => true,
                // What broke off is of the kind that the whole is, a success aside.
                ErrorKind::Truncated if !self.is_refused() => true,
                ErrorKind::Api | ErrorKind::Truncated | ErrorKind::TooLarge => {
                    self.status().is_some_and(is_transient)
                }
                _ => false,
            };
        let repeatable = self.safety().is_some_and(|safety| safety != Safety::Once);
        let not_done = match self.0.delivery {
            Delivery::NotSent => true,
            // Answered with a refusal: by the last attempt, or by earlier ones where the last sent
            // nothing, since what is carried out is not tried again.
            Delivery::Answered => match self.0.kind {
                ErrorKind::Api
                | ErrorKind::Connect
                | ErrorKind::Credential
                | ErrorKind::RateLimited => true,
                ErrorKind::Truncated | ErrorKind::TooLarge => self.is_refused(),
                _ => false,
            },
            _ => false,
        };
        transient && (repeatable || not_done)
    }

    /// Whether the last reply was no success.
    fn is_refused(&self) -> bool {
        self.status().is_some_and(|status| !status.is_success())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.0.operation {
            write!(f, "{} failed: ", operation.id)?;
        }
        let mut says_status = false;
        if let Some(status) = self.status()
            && self.0.kind != ErrorKind::Timeout
            && self.0.earlier.is_none()
        {
            write!(f, "{}", message::status_line(status))?;
            says_status = true;
        }
        if !(says_status && message::is_fallback(&self.0.message)) {
            if says_status {
                f.write_str(": ")?;
            }
            f.write_str(&one_line(&self.0.message))?;
        }
        let mut details = Vec::new();
        if self.0.kind == ErrorKind::Redirect {
            details.extend(self.headers().and_then(message::redirection));
        }
        if self.headers().is_some_and(message::is_html) {
            details.push(String::from("an HTML page, not an answer of IDPFlare"));
        }
        if let Some(scope) = self.required_scope() {
            details.push(format!("needs {scope}"));
        }
        if let Some(earlier) = &self.0.earlier {
            details.push(format!("an earlier attempt: {earlier}"));
        }
        if self.0.attempts > 1 {
            details.push(format!("{} attempts", self.0.attempts));
        }
        let changes = self
            .safety()
            .is_some_and(|safety| safety != Safety::ReadOnly);
        if self.0.delivery == Delivery::Unknown && changes {
            details.push(String::from("it may have taken effect"));
        }
        if let Some(request_id) = self.request_id() {
            details.push(format!("request {}", one_line(request_id)));
        }
        if !details.is_empty() {
            write!(f, " ({})", details.join("; "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation.map(|operation| operation.id))
            .field("message", &one_line(&self.0.message))
            .field("status", &self.status())
            .field("request_id", &self.request_id().map(one_line))
            .field("attempts", &self.0.attempts)
            .field("delivery", &self.0.delivery)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_large_as_a_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }
}
