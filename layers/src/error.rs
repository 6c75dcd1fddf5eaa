use std::error::Error;
use std::io;

use crate::CredentialError;

/// Any error that crosses a layer: the type that every layer of this crate returns, so that they
/// compose in any order.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// The first error of type `E` in the chain of `error` and its sources.
///
/// Layers wrap what they get from further in; this is how an outer layer finds the typed error
/// underneath, a [`Timeout`](crate::Timeout) or a [`TransportError`](crate::TransportError). What a
/// [`CredentialError`] has for a source is not looked at: it tells of another exchange.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::{BoxError, Timeout, TimeoutScope, find_source};
///
/// let limit = Duration::from_secs(10);
/// let error: BoxError = Box::new(Timeout::new(TimeoutScope::Attempt, limit, limit));
/// let timeout = find_source::<Timeout>(&*error);
/// assert_eq!(timeout.map(|timeout| timeout.scope()), Some(TimeoutScope::Attempt));
/// ```
pub fn find_source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    // A chain that points back into itself would never end; no honest chain is this long.
    for _ in 0..64 {
        let error = next?;
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = cause(error);
    }
    None
}

/// The next error of a chain. What an [`io::Error`] wraps is one too, though its own `source` skips
/// it.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if error.is::<CredentialError>() {
        return None;
    }
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TransportError;

    #[test]
    fn what_an_io_error_wraps_is_found() {
        let lost = TransportError::lost("reset".into());
        let wrapped = io::Error::other(io::Error::other(lost));
        assert!(find_source::<TransportError>(&wrapped).is_some());
        let wrapped = TransportError::connect(wrapped.into());
        assert!(find_source::<io::Error>(&wrapped).is_some());
    }

    #[test]
    fn what_a_provider_failed_with_is_not_of_this_exchange() {
        let lost = TransportError::lost("reset".into());
        let error = CredentialError::failed(lost.into());
        assert!(find_source::<TransportError>(&error).is_none());
        assert!(find_source::<CredentialError>(&io::Error::other(error)).is_some());
    }
}
