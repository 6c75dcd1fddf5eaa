use std::error::Error;
use std::fmt;

use crate::{BoxError, Delivery};

/// Where an exchange with the server broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportPhase {
    /// While a connection was made: name lookup, TCP, proxy tunnel, TLS.
    Connect,
    /// On a connection.
    Exchange,
}

/// A request got no reply, and what its transport knows of how far it came.
///
/// Only a transport can know that, so it says it here, and layers further out find it with
/// [`find_source`](crate::find_source). A transport or mock of your own should do the same: an
/// error of any other type counts as [`Delivery::Unknown`].
///
/// ```
/// use idpflare_layers::{Delivery, TransportError};
///
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// assert_eq!(TransportError::connect(refused.into()).delivery(), Delivery::NotSent);
/// assert_eq!(TransportError::lost("connection reset".into()).delivery(), Delivery::Unknown);
/// ```
#[derive(Debug)]
pub struct TransportError {
    phase: TransportPhase,
    delivery: Delivery,
    permanent: bool,
    refused_stream: bool,
    source: BoxError,
}

impl TransportError {
    /// No connection could be made, so nothing was sent.
    #[must_use]
    pub fn connect(source: BoxError) -> Self {
        Self {
            phase: TransportPhase::Connect,
            delivery: Delivery::NotSent,
            permanent: false,
            refused_stream: false,
            source,
        }
    }

    /// There was a connection, but the request did not go out on it, or the server went away
    /// before it (HTTP/2 GOAWAY with a lower last stream id).
    #[must_use]
    pub fn not_sent(source: BoxError) -> Self {
        Self {
            phase: TransportPhase::Exchange,
            ..Self::connect(source)
        }
    }

    /// The connection failed after the request, or a part of it, had gone out.
    #[must_use]
    pub fn lost(source: BoxError) -> Self {
        Self {
            delivery: Delivery::Unknown,
            ..Self::not_sent(source)
        }
    }

    /// The server reset the stream with `REFUSED_STREAM`.
    ///
    /// RFC 9113, section 8.7, says that such a request was not processed. HAProxy sends the code for
    /// requests that it has forwarded, so the delivery is [`Unknown`](Delivery::Unknown). See
    /// [`RetryPolicy::repeat_once_after_refused_stream`](crate::RetryPolicy::repeat_once_after_refused_stream).
    #[must_use]
    pub fn refused_stream(source: BoxError) -> Self {
        Self {
            refused_stream: true,
            ..Self::lost(source)
        }
    }

    /// The same, where another attempt would fail for the same reason, such as a certificate that
    /// is not trusted.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    /// What caused it.
    #[must_use]
    pub fn into_source(self) -> BoxError {
        self.source
    }

    /// Where it broke.
    #[must_use]
    pub fn phase(&self) -> TransportPhase {
        self.phase
    }

    /// Whether the server may have acted.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Returns whether the server reset the stream with `REFUSED_STREAM`.
    #[must_use]
    pub fn is_refused_stream(&self) -> bool {
        self.refused_stream
    }

    /// Whether another attempt would fail for the same reason.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.phase, self.delivery) {
            (TransportPhase::Connect, _) => "no connection to the server could be made",
            (TransportPhase::Exchange, Delivery::NotSent) => "the request was not sent",
            (TransportPhase::Exchange, _) if self.refused_stream => "the server refused the stream",
            (TransportPhase::Exchange, _) => "the connection was lost before a reply arrived",
        })
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
