use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::provided_key::{Fetch, ProvidedKey};
use crate::{ApiKey, CredentialProvider};

/// The key that a running client uses, and the means to change it.
///
/// Clones share the key: keep one, give one to [`ApiKeyLayer`](crate::ApiKeyLayer).
///
/// ```
/// use idpflare_layers::{ApiKey, KeyHandle};
///
/// let handle = KeyHandle::new(ApiKey::new("idk_old")?);
/// handle.rotate(ApiKey::new("idk_new")?);
/// # Ok::<(), idpflare_layers::InvalidApiKey>(())
/// ```
#[derive(Clone)]
pub struct KeyHandle {
    key: Key,
}

#[derive(Clone)]
enum Key {
    Given(Arc<ArcSwap<ApiKey>>),
    Provided(Arc<ProvidedKey>),
}

/// The value of the `Authorization` header, or who has to be waited for to have one.
pub(crate) enum Lookup {
    Found(HeaderValue),
    Ask(Fetch),
}

impl KeyHandle {
    /// How long a [`CredentialProvider`] may take: 5 s.
    pub const PROVIDER_LIMIT: Duration = Duration::from_secs(5);

    /// For how long after an answer of a [`CredentialProvider`] a 401 is no reason to ask it again:
    /// 5 s.
    pub const REFUSAL_PAUSE: Duration = Duration::from_secs(5);

    /// A handle on `key`.
    #[must_use]
    pub fn new(key: ApiKey) -> Self {
        Self {
            key: Key::Given(Arc::new(ArcSwap::from_pointee(key))),
        }
    }

    /// A handle on the key that `provider` gives. It is asked when the first request needs it, and
    /// again whenever there is no valid one.
    ///
    /// Of all who need a key at the same time one asks, and the others wait with it; where that one
    /// is given up, the next one goes on. Each wait ends at the deadline of its own call. While a
    /// key is valid, nobody waits.
    ///
    /// A failure is told to all who waited, as a [`CredentialError`](crate::CredentialError), and
    /// the next request asks again. Where the server refuses the key with 401, the provider is asked
    /// as well, unless it answered within the last [`REFUSAL_PAUSE`](Self::REFUSAL_PAUSE); a key
    /// that is still the same is not sent again.
    #[must_use]
    pub fn from_provider(provider: impl CredentialProvider) -> Self {
        Self {
            key: Key::Provided(Arc::new(ProvidedKey::new(provider))),
        }
    }

    /// Replaces the key. Every attempt that starts from now on is sent with the new one, in all
    /// clients that share this handle; attempts under way are left alone.
    ///
    /// Where there is a provider, its key takes the place of this one as soon as the server refuses
    /// it.
    pub fn rotate(&self, key: ApiKey) {
        match &self.key {
            Key::Given(current) => current.store(Arc::new(key)),
            Key::Provided(provided) => provided.rotate(key),
        }
    }

    pub(crate) fn lookup(&self) -> Lookup {
        match &self.key {
            Key::Given(current) => Lookup::Found(current.load().authorization().clone()),
            Key::Provided(provided) => provided.lookup(),
        }
    }

    /// What there is instead of a key that was refused; `None` where it is still the one to be sent.
    pub(crate) fn lookup_other_than(&self, refused: &HeaderValue) -> Option<Lookup> {
        match self.lookup() {
            Lookup::Found(found) if found == *refused => match &self.key {
                Key::Given(_) => None,
                Key::Provided(provided) => provided.fetch_after_refusal().map(Lookup::Ask),
            },
            found => Some(found),
        }
    }
}

impl fmt::Debug for KeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHandle([REDACTED])")
    }
}

impl From<ApiKey> for KeyHandle {
    fn from(key: ApiKey) -> Self {
        Self::new(key)
    }
}
