//! The key of a provider.
//!
//! The provider is asked in a task, one at a time on each runtime: the answer does not depend on a
//! caller that is held without being polled, nor on another runtime that stands still. A key that
//! expires is refreshed ahead of that, in such a task too, so that no caller waits for it.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::{Map, Shared};
use http::HeaderValue;
use tokio::runtime::{Handle, Id};
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span, info_span};

use crate::backoff::Jitter;
use crate::key_handle::Lookup;
use crate::{ApiKey, BoxError, Credential, CredentialError, CredentialProvider, KeyHandle};

/// The least pause after a refresh ahead that failed.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct ProvidedKey {
    current: ArcSwapOption<Current>,
    provide: Box<dyn Fn() -> Provided + Send + Sync>,
    jitter: Jitter,
    asking: Mutex<Asking>,
}

type Provided = Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send>>;

struct Current {
    authorization: HeaderValue,
    expires_at: Option<Instant>,
    refresh_at: Option<Instant>,
}

struct Asking {
    /// How long the provider may take.
    limit: Duration,
    /// At most one for each runtime. None is reused on another: its timers and sockets are driven by
    /// the runtime on which it began.
    asks: Vec<Ask>,
    /// When the provider answered last, even if with an error.
    answered_at: Option<Instant>,
    /// Before this, no other refresh ahead begins.
    no_refresh_before: Option<Instant>,
    /// How many keys were rotated in.
    rotations: u64,
}

struct Ask {
    runtime: Id,
    task: AbortHandle,
    answer: Answer,
}

/// The value of the `Authorization` header.
type Outcome = Result<HeaderValue, CredentialError>;

/// `None` if the runtime ended before the task did.
type Answer = Shared<Map<JoinHandle<Outcome>, fn(Result<Outcome, JoinError>) -> Option<Outcome>>>;

/// The wait for the provider's answer.
pub(crate) type Fetch = Pin<Box<dyn Future<Output = Outcome> + Send>>;

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
            jitter: Jitter::random(),
            asking: Mutex::new(Asking {
                limit: KeyHandle::PROVIDER_LIMIT,
                asks: Vec::new(),
                answered_at: None,
                no_refresh_before: None,
                rotations: 0,
            }),
        }
    }

    pub(crate) fn set_limit(&self, limit: Duration) {
        self.asking().limit = limit;
    }

    pub(crate) fn rotate(&self, key: &ApiKey) {
        let mut asking = self.asking();
        asking.rotations += 1;
        self.current.store(Some(Arc::new(Current {
            authorization: key.authorization().clone(),
            expires_at: None,
            refresh_at: None,
        })));
    }

    pub(crate) fn lookup(self: &Arc<Self>) -> Lookup {
        let current = self.current.load();
        match current.as_ref().filter(|current| current.is_valid()) {
            Some(current) => {
                self.refresh_if_due(current);
                Lookup::Found(current.authorization.clone())
            }
            None => Lookup::Ask(Box::pin(Arc::clone(self).fetch(None))),
        }
    }

    /// Asks for another key than one that was refused, unless there has just been an answer.
    pub(crate) fn fetch_after_refusal(self: &Arc<Self>, refused: &HeaderValue) -> Option<Fetch> {
        let recently = self
            .asking()
            .answered_at
            .is_some_and(|at| at.elapsed() < KeyHandle::REFUSAL_PAUSE);
        (!recently).then(|| Box::pin(Arc::clone(self).fetch(Some(refused.clone()))) as Fetch)
    }

    async fn fetch(self: Arc<Self>, refused: Option<HeaderValue>) -> Outcome {
        // Once more if the runtime of the task ends while this caller goes on, on another one.
        for _ in 0..2 {
            let answer = {
                let mut asking = self.asking();
                // Another caller may have brought a key since this one looked.
                let current = self.current.load();
                let other = current.as_ref().filter(|current| {
                    current.is_valid() && Some(&current.authorization) != refused.as_ref()
                });
                if let Some(other) = other {
                    return Ok(other.authorization.clone());
                }
                self.ask(&mut asking)?
            };
            if let Some(outcome) = answer.await {
                return outcome;
            }
        }
        Err(no_runtime())
    }

    /// Begins to ask for the key after `current`. No caller waits here: one that finds the lock taken
    /// goes on with the key that it has.
    fn refresh_if_due(self: &Arc<Self>, current: &Current) {
        let Some(refresh_at) = current.refresh_at else {
            return;
        };
        let now = Instant::now();
        if now < refresh_at {
            return;
        }
        let mut asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if asking.no_refresh_before.is_some_and(|at| now < at) {
            return;
        }
        // If this runtime ends or stands still, another one takes over after that.
        asking.no_refresh_before = now.checked_add(asking.limit);
        drop(self.ask(&mut asking));
    }

    /// Joins the question that is under way on this runtime, or begins one.
    fn ask(self: &Arc<Self>, asking: &mut Asking) -> Result<Answer, CredentialError> {
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        let id = runtime.id();
        asking.asks.retain(|ask| !ask.task.is_finished());
        if let Some(ask) = asking.asks.iter().find(|ask| ask.runtime == id) {
            return Ok(ask.answer.clone());
        }
        // It belongs to no call, since others may wait for the same answer.
        let span = info_span!(parent: None, "credential");
        span.follows_from(Span::current().id());
        let (provided, limit) = ((self.provide)(), asking.limit);
        let (this, rotations) = (Arc::downgrade(self), asking.rotations);
        let task = runtime.spawn(
            async move {
                let outcome = within(limit, provided).await;
                settle(&this, outcome, id, rotations)
            }
            .instrument(span),
        );
        let abort = task.abort_handle();
        let finished: fn(_) -> _ = Result::ok;
        let answer = task.map(finished).shared();
        asking.asks.push(Ask {
            runtime: id,
            task: abort,
            answer: answer.clone(),
        });
        Ok(answer)
    }

    /// The parts are consistent after each statement, so a panic elsewhere does no harm.
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The random part of the time ahead keeps processes that started together from asking together.
    fn keep(&self, credential: Credential, limit: Duration) -> Current {
        let (key, lifetime) = credential.into_parts();
        let expires_at = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        Current {
            authorization: key.authorization().clone(),
            expires_at,
            refresh_at: expires_at.and_then(|at| {
                let lifetime = lifetime.unwrap_or_default();
                let ahead = (lifetime / 10).max(limit).min(lifetime / 4);
                at.checked_sub(ahead + self.jitter.up_to(ahead))
            }),
        }
    }
}

impl Current {
    fn is_valid(&self) -> bool {
        self.expires_at.is_none_or(|at| Instant::now() < at)
    }
}

impl Drop for ProvidedKey {
    fn drop(&mut self) {
        let asking = self.asking.get_mut();
        let asking = asking.unwrap_or_else(PoisonError::into_inner);
        asking.asks.iter().for_each(|ask| ask.task.abort());
    }
}

async fn within(limit: Duration, provided: Provided) -> Result<Credential, CredentialError> {
    // Unwinding would leave the waiting calls without an answer.
    match timeout(limit, AssertUnwindSafe(provided).catch_unwind()).await {
        Err(_) => Err(CredentialError::timed_out(limit)),
        Ok(Err(_)) => Err(CredentialError::failed("it has panicked".into())),
        Ok(Ok(answer)) => answer.map_err(CredentialError::failed),
    }
}

/// Keeps the answer, unless a key was rotated in since the question: that is newer than the
/// provider's.
fn settle(
    of: &Weak<ProvidedKey>,
    outcome: Result<Credential, CredentialError>,
    runtime: Id,
    rotations: u64,
) -> Outcome {
    let Some(this) = of.upgrade() else {
        return outcome.map(|credential| credential.into_parts().0.authorization().clone());
    };
    let mut asking = this.asking();
    asking.asks.retain(|ask| ask.runtime != runtime);
    let now = Instant::now();
    asking.answered_at = Some(now);
    let current = this.current.load_full();
    let credential = outcome.inspect_err(|_| {
        let expires_at = current.as_ref().and_then(|current| current.expires_at);
        let left = expires_at.map(|at| at.saturating_duration_since(now) / 4);
        asking.no_refresh_before = now.checked_add(left.unwrap_or_default().max(REFRESH_PAUSE));
    })?;
    asking.no_refresh_before = None;
    match current {
        Some(rotated) if asking.rotations != rotations => Ok(rotated.authorization.clone()),
        _ => {
            let new = this.keep(credential, asking.limit);
            let authorization = new.authorization.clone();
            this.current.store(Some(Arc::new(new)));
            Ok(authorization)
        }
    }
}

fn no_runtime() -> CredentialError {
    CredentialError::failed("no tokio runtime runs that could ask it".into())
}
