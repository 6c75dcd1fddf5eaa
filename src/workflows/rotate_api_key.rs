//! Replaces an API key while it is in use.

mod new_key;
mod report;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

pub use new_key::NewApiKey;
pub use report::{RotateApiKeyReport, Suspects};

use super::preflight::{active_keys, find};
use super::{KeyNotFound, KeyRef, ScopeCheck, StepOutcome};
use crate::api::setters::setters;
use crate::{
    ApiKey, ApiKeyId, Client, CreateApiKey, CreatedApiKey, KeyHandle, RevokeApiKey, Scope,
};

const NEEDED: [Scope; 3] = [
    Scope::ApiKeysRead,
    Scope::ApiKeysWrite,
    Scope::ApiKeysDelete,
];

/// As long as a call may take unless told otherwise.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// Replaces an API key by a new one with the same scopes and name: creates the new one, has it stored
/// and probed, swaps the running client over, waits for the calls in flight, and revokes the old one.
///
/// `store` is given the new key, and keeps it where the next start finds it. `probe` is given it as
/// well, and tries it out with a client of its own: the running one goes on with the old key until
/// that has worked. [`NewApiKey::probe`] is a harmless read for it. Where either fails, the new key is
/// revoked, and the old one stays.
///
/// Without a [`running_key`](Self::running_key) the client runs with the key that is replaced, which
/// then needs `api-keys:read`, `api-keys:write` and `api-keys:delete`; the new one needs the last, to
/// revoke the old.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use idpflare_management::layers::{ApiKey, BoxError};
/// use idpflare_management::testing::FakeIdpflare;
/// use idpflare_management::workflows::{NewApiKey, RotateApiKey};
/// use idpflare_management::{Client, GetUserStats, KeyHandle};
///
/// let fake = FakeIdpflare::new();
/// let connect = |handle: KeyHandle| {
///     Client::builder("https://idp.example.com")
///         .key_handle(handle)
///         .build_with(fake.service())
/// };
/// let key = ApiKey::new(fake.api_key())?;
/// let handle = KeyHandle::new(key.clone());
/// let client = connect(handle.clone())?;
///
/// let report = RotateApiKey::new(&key)
///     .swap(handle)
///     .run(
///         &client,
///         async |new: NewApiKey| {
///             let secret = new.secret(); // to the secret store with it
///             # let _ = secret;
///             Ok::<_, BoxError>(())
///         },
///         async |new: NewApiKey| new.probe(&connect(new.key().into())?).await,
///     )
///     .await;
/// println!("{report}");
/// assert!(report.is_complete());
/// client.send(GetUserStats::new()).await?; // with the new key
/// # Ok(())
/// # }
/// ```
///
/// # Where it ends early
///
/// Nothing is sent twice that may act twice: where nobody knows whether the new key was created, the
/// job ends, and [`suspects`](RotateApiKeyReport::suspects) are the keys of that name that have
/// appeared since. Nobody knows the secret of such a key; it should be revoked.
///
/// The future can be dropped at any point. What is left then, and what a second run makes of it:
///
/// | dropped | what is left | where the next run starts from |
/// |---|---|---|
/// | before or while the key is created | perhaps a key that nobody knows | the old key |
/// | while it is stored or probed | a key that only the store may know | the key that is in the store |
/// | after that | the old key besides the new one | the new key |
///
/// In all cases these are active keys of the same name, which the next run tells of as
/// [`leftovers`](RotateApiKeyReport::leftovers), and revokes if told to with
/// [`revoke_leftovers`](Self::revoke_leftovers).
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is run"]
pub struct RotateApiKey {
    old_key: KeyRef,
    running_key: Option<KeyRef>,
    name: Option<String>,
    scopes: Option<Vec<Scope>>,
    handle: Option<KeyHandle>,
    drain: Duration,
    revoke_leftovers: bool,
    dry_run: bool,
}

impl RotateApiKey {
    /// Names the key that is replaced.
    pub fn new(old_key: impl Into<KeyRef>) -> Self {
        Self {
            old_key: old_key.into(),
            running_key: None,
            name: None,
            scopes: None,
            handle: None,
            drain: DEFAULT_DRAIN,
            revoke_leftovers: false,
            dry_run: false,
        }
    }

    setters! {
        /// Which key the client has, if it is another one than the one that is replaced: that of an
        /// administrator, who replaces the key of a service.
        running_key: Option<KeyRef>,
        /// What people call the new key; without, as the old one.
        name: Option<String>,
        /// What the new key may do; without, the same as the old one.
        scopes: [Option<Vec<Scope>>],
    }

    /// Whose clients get the new key. Without, nobody does but who reads it from the store.
    pub fn swap(mut self, handle: KeyHandle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// How long the old key is left alone after the swap, so that calls in flight come to their end.
    /// The default is 30 s.
    pub fn drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Whether all other active keys of the same name are revoked in the end, as what earlier runs
    /// have left. Not for keys whose names say nothing.
    pub fn revoke_leftovers(mut self, revoke: bool) -> Self {
        self.revoke_leftovers = revoke;
        self
    }

    /// Whether to say only what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Does it. `store` and `probe` are called at most once each, in this order.
    pub async fn run<S, B, Store, Stored, StoreError, Probe, Probed, ProbeError>(
        &self,
        client: &Client<S>,
        store: Store,
        probe: Probe,
    ) -> RotateApiKeyReport
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
        Store: FnOnce(NewApiKey) -> Stored,
        Stored: Future<Output = Result<(), StoreError>>,
        StoreError: Into<BoxError>,
        Probe: FnOnce(NewApiKey) -> Probed,
        Probed: Future<Output = Result<(), ProbeError>>,
        ProbeError: Into<BoxError>,
    {
        let mut report = RotateApiKeyReport::new(self.dry_run);
        let job = Job { client, job: self };
        let Some(new) = job.prepare(&mut report).await else {
            return report;
        };
        let new = match new {
            Ok(new) => new,
            Err(unusable) => {
                report.probe = StepOutcome::Failed(unusable);
                job.roll_back(&mut report).await;
                return report;
            }
        };
        report.store = caller(store(new.clone()).await);
        if report.store.is_done() {
            report.probe = caller(probe(new.clone()).await);
        }
        if report.probe.is_done() {
            job.complete(&mut report, new).await;
        } else {
            job.roll_back(&mut report).await;
        }
        report
    }
}

fn caller<E: Into<BoxError>>(result: Result<(), E>) -> StepOutcome<BoxError> {
    match result {
        Ok(()) => StepOutcome::Done,
        Err(error) => StepOutcome::Failed(error.into()),
    }
}

struct Job<'a, S> {
    client: &'a Client<S>,
    job: &'a RotateApiKey,
}

impl<S, B> Job<'_, S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// All up to the new key, which may be one that can't be used.
    async fn prepare(
        &self,
        report: &mut RotateApiKeyReport,
    ) -> Option<Result<NewApiKey, BoxError>> {
        let job = self.job;
        let keys = match active_keys(self.client).await {
            Ok(keys) => keys,
            Err(reason) => {
                if let KeyNotFound::NotListed(error) = &reason {
                    report.scopes.heed(error);
                }
                report.find = StepOutcome::Failed(reason);
                return None;
            }
        };
        let old = match find(&keys, &job.old_key) {
            Ok(old) => old.clone(),
            Err(reason) => {
                report.find = StepOutcome::Failed(reason);
                return None;
            }
        };
        report.find = StepOutcome::Done;
        let name = job.name.clone().unwrap_or_else(|| old.name.clone());
        let scopes = job.scopes.clone().unwrap_or_else(|| old.scopes.clone());
        report.leftovers = keys
            .iter()
            .filter(|key| key.id != old.id && (key.name == old.name || key.name == name))
            .cloned()
            .collect();
        report.scopes = self.check_scopes(&keys, &old, &scopes);
        report.old_key = Some(old);
        if report.scopes.is_missing() {
            return None;
        }
        if job.dry_run {
            report.foresee(job.handle.is_some(), job.revoke_leftovers);
            return None;
        }
        self.create(report, &keys, name, scopes).await
    }

    fn check_scopes(&self, keys: &[ApiKey], old: &ApiKey, new: &[Scope]) -> ScopeCheck {
        match &self.job.running_key {
            Some(running_key) => match find(keys, running_key) {
                Ok(key) => ScopeCheck::of(&key.scopes, &NEEDED),
                Err(reason) => ScopeCheck::Unknown(reason),
            },
            None => match ScopeCheck::of(&old.scopes, &NEEDED) {
                // From the swap on it is the new key that the client has.
                ScopeCheck::Sufficient if self.job.handle.is_some() => {
                    ScopeCheck::of(new, &[Scope::ApiKeysDelete])
                }
                check => check,
            },
        }
    }

    async fn create(
        &self,
        report: &mut RotateApiKeyReport,
        before: &[ApiKey],
        name: String,
        scopes: Vec<Scope>,
    ) -> Option<Result<NewApiKey, BoxError>> {
        let create = CreateApiKey::new(&*name).scopes(scopes.clone());
        match self.client.send(create).await {
            Ok(CreatedApiKey { api_key, raw_key }) => {
                report.create = StepOutcome::Done;
                report.new_key = Some(api_key.clone());
                Some(NewApiKey::new(api_key, raw_key, &scopes))
            }
            Err(error) => {
                report.create = StepOutcome::failed(error);
                if matches!(report.create, StepOutcome::Unknown(_)) {
                    report.suspects = self.suspects(before, &name).await;
                }
                None
            }
        }
    }

    /// The keys of this name that were not there before.
    async fn suspects(&self, before: &[ApiKey], name: &str) -> Suspects {
        let is_new = |key: &ApiKey| before.iter().all(|known| known.id != key.id);
        match active_keys(self.client).await {
            Ok(mut keys) => {
                keys.retain(|key| key.name == name && is_new(key));
                Suspects::Found(keys)
            }
            Err(reason) => Suspects::Unknown(reason),
        }
    }

    async fn complete(&self, report: &mut RotateApiKeyReport, new: NewApiKey) {
        if let Some(handle) = &self.job.handle {
            handle.rotate(new.key());
            report.swap = StepOutcome::Done;
        }
        // Nothing of the secret is kept for the time of the wait.
        drop(new);
        tokio::time::sleep(self.job.drain).await;
        report.drain = StepOutcome::Done;
        let Some(old) = &report.old_key else {
            return;
        };
        if self.job.revoke_leftovers {
            // Before the old key, with which the client may still be running.
            let mut outcome = StepOutcome::AlreadyDone;
            for key in &report.leftovers {
                let revoked = self.revoke(&key.id).await;
                if outcome.is_done() {
                    outcome = revoked;
                }
            }
            report.revoke_leftovers = outcome;
        }
        report.revoke_old = self.revoke(&old.id).await;
    }

    async fn roll_back(&self, report: &mut RotateApiKeyReport) {
        if let Some(new) = &report.new_key {
            report.roll_back = self.revoke(&new.id).await;
        }
    }

    async fn revoke(&self, id: &ApiKeyId) -> StepOutcome {
        revoke(self.client, id).await
    }
}

/// Revokes a key. Where that fails, whether the key is still there says more than the error: a 404
/// may be that of a proxy, and a reply may be lost after the key was revoked.
async fn revoke<S, B>(client: &Client<S>, id: &ApiKeyId) -> StepOutcome
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    match client.send(RevokeApiKey::new(id)).await {
        Ok(()) => StepOutcome::Done,
        Err(error) => match active_keys(client).await {
            Ok(keys) if keys.iter().all(|key| key.id != *id) => StepOutcome::AlreadyDone,
            _ => StepOutcome::failed(error),
        },
    }
}
