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

/// The value of the `Authorization` header, or the wait for it.
pub(crate) enum Lookup {
    Found(HeaderValue),
    Ask(Fetch),
}

impl KeyHandle {
    /// How long a [`CredentialProvider`] may take by default: 5 s. See
    /// [`provider_limit`](Self::provider_limit).
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

    /// Returns a handle on the key that `provider` gives.
    ///
    /// The provider is asked if a request needs a key and there is no valid one. This takes place in a
    /// task, one at a time on each runtime, for which all requests wait that need a key in the
    /// meantime. Each wait ends at the deadline of its own call. The task goes on without them; it
    /// ends with the answer, at its [limit](Self::provider_limit), or when the last clone of this
    /// handle is dropped.
    ///
    /// While a key is valid, no request waits. A key that expires is refreshed ahead of that: the
    /// first request in the last tenth to fifth of its lifetime begins such a task, and is sent with
    /// the key that is there. When exactly is random, so that processes which started together don't
    /// ask together. The span is longer than the provider's limit, but at most half of the lifetime.
    /// After a failure the key stays, and a later request begins again, after a quarter of the time
    /// that is left, though at least 1 s.
    ///
    /// All requests that wait get the provider's failure, as a
    /// [`CredentialError`](crate::CredentialError), and the next request asks again. If the server
    /// refuses the key with 401, the provider is asked as well, unless it answered within the last
    /// [`REFUSAL_PAUSE`](Self::REFUSAL_PAUSE); a key that is still the same is not sent again.
    #[must_use]
    pub fn from_provider(provider: impl CredentialProvider) -> Self {
        Self {
            key: Key::Provided(Arc::new(ProvidedKey::new(provider))),
        }
    }

    /// Sets how long the provider may take for an answer, for all clones of this handle; 5 s by
    /// default. Without a provider it has no effect.
    ///
    /// It may be longer than the limit of an attempt, which includes the wait: the answer then serves
    /// the next attempt.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use idpflare_layers::{ApiKey, KeyHandle};
    ///
    /// let handle = KeyHandle::from_provider(async || ApiKey::new("idk_from_a_slow_vault"))
    ///     .provider_limit(Duration::from_secs(20));
    /// ```
    #[must_use]
    pub fn provider_limit(self, limit: Duration) -> Self {
        if let Key::Provided(provided) = &self.key {
            provided.set_limit(limit);
        }
        self
    }

    /// Replaces the key. Every attempt that starts from now on is sent with the new one, in all
    /// clients that share this handle; attempts under way are left alone.
    ///
    /// Where there is a provider, its key takes the place of this one as soon as the server refuses
    /// it.
    pub fn rotate(&self, key: ApiKey) {
        match &self.key {
            Key::Given(current) => current.store(Arc::new(key)),
            Key::Provided(provided) => provided.rotate(&key),
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
                Key::Provided(provided) => provided.fetch_after_refusal(refused).map(Lookup::Ask),
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
