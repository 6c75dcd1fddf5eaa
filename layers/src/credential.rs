use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{ApiKey, BoxError};

/// Where keys come from that are not known in advance: a secret store, a file that is replaced, a
/// token endpoint.
///
/// A [`KeyHandle`](crate::KeyHandle) [made from a provider](crate::KeyHandle::from_provider) asks
/// it for the first request, some time before the credential expires, and when the server has refused
/// it (401). It does so never twice at the same time on one runtime, and waits for no longer than
/// [`KeyHandle::provider_limit`](crate::KeyHandle::provider_limit).
///
/// Every closure that returns such a future is a provider.
///
/// ```
/// use std::time::Duration;
///
/// use idpflare_layers::{ApiKey, BoxError, Credential, CredentialProvider, KeyHandle};
///
/// struct Vault;
///
/// impl CredentialProvider for Vault {
///     async fn provide(&self) -> Result<Credential, BoxError> {
///         let key = ApiKey::new("idk_from_the_vault")?;
///         Ok(Credential::new(key).expires_in(Duration::from_secs(3600)))
///     }
/// }
///
/// let handle = KeyHandle::from_provider(Vault);
/// let handle = KeyHandle::from_provider(async || ApiKey::new("idk_from_a_closure"));
/// ```
pub trait CredentialProvider: Send + Sync + 'static {
    /// Gets the credential to be sent from now on.
    ///
    /// The future runs in a task, on the runtime of the call that needed the credential first, and is
    /// dropped with the last clone of the handle.
    ///
    /// # Errors
    ///
    /// Any. Each call that waited fails with a [`CredentialError`] of which this is the source.
    fn provide(&self) -> impl Future<Output = Result<Credential, BoxError>> + Send;
}

impl<F, A, C, E> CredentialProvider for F
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = Result<C, E>> + Send,
    C: Into<Credential>,
    E: Into<BoxError>,
{
    async fn provide(&self) -> Result<Credential, BoxError> {
        self().await.map(Into::into).map_err(Into::into)
    }
}

/// A key, and for how long it may be used.
#[derive(Clone, Debug)]
pub struct Credential {
    key: ApiKey,
    expires_in: Option<Duration>,
}

impl Credential {
    /// A key that is used until the server refuses it.
    #[must_use]
    pub fn new(key: ApiKey) -> Self {
        Self {
            key,
            expires_in: None,
        }
    }

    /// How long after the provider's answer the key is not sent any more (RFC 6749, section 5.1). With
    /// zero it is sent only by those who wait for that answer. A time beyond the clock is none.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    pub(crate) fn into_parts(self) -> (ApiKey, Option<Duration>) {
        (self.key, self.expires_in)
    }
}

impl From<ApiKey> for Credential {
    fn from(key: ApiKey) -> Self {
        Self::new(key)
    }
}

/// There is no credential to send: the [`CredentialProvider`] failed, or did not answer. The request
/// was not sent.
#[derive(Clone, Debug)]
pub struct CredentialError {
    reason: Reason,
}

#[derive(Clone, Debug)]
enum Reason {
    /// Shared by all calls that waited for it.
    Failed(Arc<dyn Error + Send + Sync>),
    TimedOut(Duration),
}

impl CredentialError {
    /// The provider failed with `error`: for a credential layer of your own, and for tests.
    #[must_use]
    pub fn failed(error: BoxError) -> Self {
        Self {
            reason: Reason::Failed(error.into()),
        }
    }

    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self {
            reason: Reason::TimedOut(limit),
        }
    }

    /// Whether the provider did not answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.reason, Reason::TimedOut(_))
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Failed(_) => f.write_str("the credential provider failed"),
            Reason::TimedOut(limit) => {
                write!(f, "the credential provider did not answer within {limit:?}")
            }
        }
    }
}

impl Error for CredentialError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::Failed(error) => Some(&**error),
            Reason::TimedOut(_) => None,
        }
    }
}
