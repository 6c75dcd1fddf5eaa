use std::error::Error;

use crate::{CredentialError, OriginMismatch, RateLimited, find_source};

/// Whether a layer of this crate refused the request, so that it never came to a transport:
/// [`OriginMismatch`], [`RateLimited`] or [`CredentialError`].
///
/// ```
/// use idpflare_layers::is_refusal;
///
/// let error = std::io::Error::other("connection refused");
/// assert!(!is_refusal(&error));
/// ```
#[must_use]
pub fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    find_source::<OriginMismatch>(error).is_some()
        || find_source::<RateLimited>(error).is_some()
        || find_source::<CredentialError>(error).is_some()
}
