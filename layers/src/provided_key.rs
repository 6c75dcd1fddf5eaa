//! The key of a provider, which all who need it at the same time wait for together.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use http::HeaderValue;
use tokio::time::{Instant, timeout};

use crate::key_handle::Lookup;
use crate::{ApiKey, BoxError, Credential, CredentialError, CredentialProvider, KeyHandle};

pub(crate) struct ProvidedKey {
    current: ArcSwapOption<Current>,
    provide: Box<dyn Fn() -> Provided + Send + Sync>,
    asking: Mutex<Asking>,
}

type Provided = Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send>>;

struct Current {
    authorization: HeaderValue,
    expires_at: Option<Instant>,
}

#[derive(Default)]
struct Asking {
    /// Weak, so that it ends with the last of those who wait for it.
    under_way: Option<WeakShared<Answering>>,
    /// When the provider answered last, be it with an error.
    answered_at: Option<Instant>,
}

type Answering = Pin<Box<dyn Future<Output = Result<HeaderValue, CredentialError>> + Send>>;

/// The wait for the provider's answer, with the value of the `Authorization` header.
pub(crate) type Fetch = Shared<Answering>;

impl ProvidedKey {
    pub(crate) fn new(provider: impl CredentialProvider) -> Self {
        let provider = Arc::new(provider);
        let provide = move || -> Provided {
            let provider = Arc::clone(&provider);
            Box::pin(async move { provider.provide().await })
        };
        Self {
            current: ArcSwapOption::empty(),
            provide: Box::new(provide),
            asking: Mutex::default(),
        }
    }

    pub(crate) fn rotate(&self, key: ApiKey) {
        let credential = Credential::new(key);
        self.current.store(Some(Arc::new(credential.into())));
    }

    pub(crate) fn lookup(self: &Arc<Self>) -> Lookup {
        if let Some(found) = self.valid() {
            return Lookup::Found(found);
        }
        let mut asking = self.asking();
        // An answer may have come while this waited for its turn.
        match self.valid() {
            Some(found) => Lookup::Found(found),
            None => Lookup::Ask(self.join(&mut asking)),
        }
    }

    fn valid(&self) -> Option<HeaderValue> {
        let current = self.current.load();
        let current = current.as_ref()?;
        current.is_valid().then(|| current.authorization.clone())
    }

    /// Asks for another key than one that was refused, unless there has just been an answer.
    pub(crate) fn fetch_after_refusal(self: &Arc<Self>) -> Option<Fetch> {
        let mut asking = self.asking();
        let recently = asking
            .answered_at
            .is_some_and(|at| at.elapsed() < KeyHandle::REFUSAL_PAUSE);
        (!recently).then(|| self.join(&mut asking))
    }

    fn join(self: &Arc<Self>, asking: &mut Asking) -> Fetch {
        let under_way = asking.under_way.as_ref().and_then(WeakShared::upgrade);
        under_way.unwrap_or_else(|| {
            let answering: Answering = Box::pin(Arc::clone(self).answer());
            let answering = answering.shared();
            asking.under_way = answering.downgrade();
            answering
        })
    }

    async fn answer(self: Arc<Self>) -> Result<HeaderValue, CredentialError> {
        let before = self.current.load_full();
        // Unwinding would leave those who wait for the same answer without any.
        let provided = AssertUnwindSafe((self.provide)()).catch_unwind();
        let answer = match timeout(KeyHandle::PROVIDER_LIMIT, provided).await {
            Err(_) => Err(CredentialError::timed_out(KeyHandle::PROVIDER_LIMIT)),
            Ok(Err(_)) => Err(CredentialError::failed("it has panicked".into())),
            Ok(Ok(Err(error))) => Err(CredentialError::failed(error)),
            Ok(Ok(Ok(credential))) => Ok(self.store(&before, &Arc::new(credential.into()))),
        };
        let mut asking = self.asking();
        asking.under_way = None;
        asking.answered_at = Some(Instant::now());
        answer
    }

    /// Keeps `new`, unless a key was rotated in since `before`: that is newer than the provider's.
    fn store(&self, before: &Option<Arc<Current>>, new: &Arc<Current>) -> HeaderValue {
        let as_pointer = |current: &Option<Arc<Current>>| current.as_ref().map(Arc::as_ptr);
        let found = self.current.compare_and_swap(before, Some(Arc::clone(new)));
        match &*found {
            Some(rotated) if as_pointer(&found) != as_pointer(before) => {
                rotated.authorization.clone()
            }
            _ => new.authorization.clone(),
        }
    }

    /// What is kept is replaced as a whole, so a panic elsewhere can't have left it half-done.
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn is_valid(&self) -> bool {
        self.expires_at.is_none_or(|at| Instant::now() < at)
    }
}

impl From<Credential> for Current {
    fn from(credential: Credential) -> Self {
        let (key, expires_in) = credential.into_parts();
        Self {
            authorization: key.authorization().clone(),
            expires_at: expires_in.and_then(|time| Instant::now().checked_add(time)),
        }
    }
}
